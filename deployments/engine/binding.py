"""Joins targets with the site's settings: the only place that knows both."""

from functools import cache
from pathlib import Path
from typing import Any

from django.conf import settings

from ..domain.resources import Target
from ..models import Environment
from ..targets import registry
from ..targets.local.config import LocalConfig
from ..targets.paper import PaperConfig


def target_of(environment: Environment) -> Target:
    """The target of an environment, configured by the settings. Raises NotFound for a name that is no target's."""
    return _loaded(environment.target)


@cache
def _loaded(name: str) -> Target:
    return registry.load(name, _config(name))


def _config(name: str) -> Any:
    match name:
        case "local":
            return LocalConfig(
                root=Path(settings.LOCAL_TARGET_ROOT),
                scoring_root=Path(settings.SCORING_IMAGE_ROOT),
                enabled=settings.LOCAL_EXECUTION_ENABLED,
            )
        case "paper":
            return PaperConfig(root=Path(settings.LOCAL_TARGET_ROOT) / "paper", **settings.PAPER_TARGET)
        case _:
            return None
