"""Upgraders of stored Specs: yesterday's revision must always load."""

from collections.abc import Callable, Mapping
from typing import Any, Literal

LATEST: Literal[1] = 1

Upgrader = Callable[[dict[str, Any]], dict[str, Any]]

# from version -> function that returns the data of the next version
UPGRADERS: Mapping[int, Upgrader] = {}


def upgrade(
    data: dict[str, Any], *, upgraders: Mapping[int, Upgrader] = UPGRADERS, latest: int = LATEST
) -> dict[str, Any]:
    """Return the data in the latest schema version; the given one is not changed.

    Raises ValueError for a version that is newer than this console or has no way up.
    """
    version = data.get("schema_version", latest)
    if not isinstance(version, int) or isinstance(version, bool) or version > latest:
        raise ValueError(f"schema_version {version!r} is newer than this console reads (up to {latest})")
    current = dict(data)
    while version < latest:
        step = upgraders.get(version)
        if step is None:
            raise ValueError(f"schema_version {version} is not known")
        version += 1
        current = {**step(current), "schema_version": version}
    return current
