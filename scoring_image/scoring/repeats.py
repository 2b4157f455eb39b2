"""How many requests ask what was asked lately: the hit rate that a cache would have if it were used."""

from __future__ import annotations

from collections.abc import Hashable

# Keys remembered in each of two generations: about 4 MB in all.
REMEMBERED = 32_768


class Repeats:
    """Counts keys that came before, in this generation of keys or in the one before it.

    `ttl` is for how many seconds an entry would be kept, 0 for ever: a generation lasts half of that at most.
    """

    def __init__(self, ttl: float) -> None:
        self._ttl = ttl
        self._young: set[int] = set()
        self._old: set[int] = set()
        self._turned = 0.0
        self._counted = self._repeated = 0

    def count(self, key: Hashable) -> None:
        """A request with this key, or its digest, has come."""
        mark = hash(key)
        self._counted += 1
        if mark in self._young:
            self._repeated += 1
            return
        if mark in self._old:
            self._repeated += 1
        self._young.add(mark)

    def taken(self, now: float) -> float | None:
        """The share of keys that came before, since this was last asked; None without any. `now` is in seconds."""
        if len(self._young) >= REMEMBERED or (self._ttl and now - self._turned > self._ttl / 2):
            self._old, self._young, self._turned = self._young, set(), now
        counted, repeated = self._counted, self._repeated
        self._counted = self._repeated = 0
        return repeated / counted if counted else None
