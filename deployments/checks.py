"""System checks: what is wrong with this installation, told by `manage.py check` with what to do about it."""

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from django.apps import AppConfig
from django.conf import settings
from django.core.checks import CheckMessage, Error, Tags, Warning, register

from .domain.errors import Unavailable
from .redis_server import find_server
from .targets.local import sandbox

SHORTEST_KEY = 32  # characters


@register(Tags.files)
def artifact_root_is_writable(app_configs: Sequence[AppConfig] | None, **kwargs: Any) -> list[CheckMessage]:
    """Uploads end up there; without it nobody can deploy a first model."""
    root = Path(settings.ARTIFACT_ROOT)
    existing = next((folder for folder in (root, *root.parents) if folder.exists()), Path("/"))
    if existing.is_dir() and os.access(existing, os.W_OK | os.X_OK):
        return []
    return [
        Error(
            f"Uploads cannot be stored: {existing} is not a folder that this user may write to.",
            hint="Make it writable for the console's user, or set CONSOLE_HOME to another folder.",
            id="deployments.E001",
        )
    ]


@register(Tags.security)
def secret_key_is_a_secret(app_configs: Sequence[AppConfig] | None, **kwargs: Any) -> list[CheckMessage]:
    """Sessions are signed with it, and the digests of API tokens are keyed with it."""
    if len(settings.SECRET_KEY) >= SHORTEST_KEY and not settings.SECRET_KEY.startswith("django-insecure-"):
        return []
    return [
        Error(
            "SECRET_KEY is too short or a sample's: who guesses it can sign in as anybody.",
            hint="Unset SECRET_KEY to let the console make and keep one, or set 50 random characters.",
            id="deployments.E002",
        )
    ]


@register(Tags.security)
def models_are_opened_in_a_sandbox(app_configs: Sequence[AppConfig] | None, **kwargs: Any) -> list[CheckMessage]:
    """Where neither bubblewrap nor Landlock is there, a model reads what the console's user can read."""
    if not settings.LOCAL_EXECUTION_ENABLED or sandbox.choose("auto") != "none":
        return []
    return [
        Warning(
            "Models run on this machine without a sandbox: a hostile one can read what the console's user can read.",
            hint="Install bubblewrap, use a kernel with Landlock, or set LOCAL_EXECUTION_ENABLED=0.",
            id="deployments.W001",
        )
    ]


@register()
def caches_can_be_started(app_configs: Sequence[AppConfig] | None, **kwargs: Any) -> list[CheckMessage]:
    """The local target gives every deployment a server of its own."""
    if not settings.LOCAL_EXECUTION_ENABLED:
        return []
    try:
        find_server()
    except Unavailable as error:
        return [Warning(f"{error} {error.detail.cause}", hint=error.detail.action, id="deployments.W002")]
    return []


@register(Tags.security)
def passwords_travel_encrypted(app_configs: Sequence[AppConfig] | None, **kwargs: Any) -> list[CheckMessage]:
    """A console that other machines reach without TLS sends passwords and tokens in the clear."""
    if settings.BEHIND_TLS or settings.HOST in ("127.0.0.1", "::1", "localhost"):
        return []
    return [
        Warning(
            f"The console listens on {settings.HOST} without TLS: passwords and tokens can be read on the way.",
            hint="Put a proxy with TLS in front of it and set CONSOLE_URL to its https address.",
            id="deployments.W003",
        )
    ]
