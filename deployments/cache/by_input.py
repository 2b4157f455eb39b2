"""The entries of one input: its digests under every version of the model that is known, without any SCAN."""

from collections.abc import Iterable, Sequence
from typing import cast

import redis

from .keys import KINDS, KeySpace

LOOKED_UP_AT_ONCE = 500


def known_versions(client: "redis.Redis", space: KeySpace) -> set[str]:
    """Versions, with their data epochs, that the scoring server has counted anything for."""
    found = cast(Iterable[bytes], client.smembers(space.versions))
    return {raw.decode(errors="replace") for raw in found}


def candidates(space: KeySpace, *, versions: Iterable[str], digests: Iterable[str]) -> list[str]:
    """Every key that may hold an answer to one of these digests, as a whole request or as a row.

    What is no version, and so would name something else than an entry, is passed over.
    """
    keys = (f"{space.prefix}:{version}:{kind}:{digest}" for version in versions for kind in KINDS for digest in digests)
    return sorted(key for key in keys if (name := space.name(key)) is not None and name.version)


def present(client: "redis.Redis", keys: Sequence[str]) -> tuple[str, ...]:
    """Those of the keys that are there, in their order."""
    found: list[str] = []
    for start in range(0, len(keys), LOOKED_UP_AT_ONCE):
        some = keys[start : start + LOOKED_UP_AT_ONCE]
        asked = client.pipeline(transaction=False)
        for key in some:
            asked.exists(key)
        found += [key for key, there in zip(some, asked.execute(), strict=True) if there]
    return tuple(found)
