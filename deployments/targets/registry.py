"""The targets by name; each is imported when it is first asked for."""

from collections.abc import Mapping
from importlib import import_module
from typing import Any, cast

from ..domain.errors import NotFound
from ..domain.resources import Target

NAMES: Mapping[str, str] = {
    "local": "deployments.targets.local.target:LocalTarget",
    "paper": "deployments.targets.paper:PaperTarget",
}


def load(name: str, config: Any) -> Target:
    """The target of that name, made with the configuration that its class takes.

    Raises NotFound for a name that is no target's.
    """
    path = NAMES.get(name)
    if path is None:
        raise NotFound(
            f"There is no target called {name}.",
            cause="The environment names a target that this console does not have.",
            action=f"Choose one of {', '.join(sorted(NAMES))}.",
            field="target",
        )
    module, _, attribute = path.partition(":")
    return cast(Target, getattr(import_module(module), attribute)(config))
