"""Secrets of resources held in this process's memory for a few minutes, for the web's own calls to them."""

import time
from collections.abc import Mapping

from ..engine.secrets import secrets_of
from ..models import Deployment

SECONDS = 300.0

_held: dict[tuple[str, str], tuple[float, Mapping[str, str]]] = {}


def held_secrets(deployment: Deployment, key: str) -> Mapping[str, str]:
    """The secrets of one resource, read at most five minutes ago; {} where it has none."""
    now = time.monotonic()
    found = _held.get((deployment.uid, key))
    if found is not None and found[0] > now:
        return found[1]
    for name in [name for name, (until, _secrets) in _held.items() if until <= now]:
        _held.pop(name, None)
    secrets = secrets_of(deployment, key)
    if secrets:
        _held[deployment.uid, key] = (now + SECONDS, secrets)
    return secrets


def drop_held(deployment: Deployment, key: str) -> None:
    """Forget them: the resource did not accept one."""
    _held.pop((deployment.uid, key), None)
