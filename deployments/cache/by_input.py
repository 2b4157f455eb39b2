"""The entries of one input: its digests under every version of the model that is known, or wherever they stand."""

from collections.abc import Iterable, Sequence
from collections.abc import Set as AbstractSet
from typing import cast

import redis

from ..domain.errors import Unavailable
from .inspector import DELETE_SECONDS, walk
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


def walked(
    client: "redis.Redis", space: KeySpace, digests: AbstractSet[str], *, seconds: float = DELETE_SECONDS
) -> tuple[str, ...]:
    """The keys with one of these digests under whatever version, found by one walk through the whole prefix.

    Its memory is that of what it finds. Raises Unavailable where the time ends before the walk, for then nobody knows.
    """
    found: set[str] = set()
    for some in walk(client, space, seconds=seconds):
        if some is None:
            raise Unavailable(
                "The cache has more keys than could be looked through in time.",
                code="cache_slow",
                cause="So many rows under so many versions are looked for by a walk through all its keys.",
                action="Send fewer rows at once, or delete the entries by version.",
            )
        found |= {key for key in some if (name := space.name(key)) and name.version and name.digest in digests}
    return tuple(sorted(found))
