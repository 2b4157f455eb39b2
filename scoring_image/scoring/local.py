"""The answers that a process keeps itself, in front of Redis, and that Redis says when to forget.

Kept right by CLIENT TRACKING (https://redis.io/docs/latest/develop/reference/client-side-caching/) on the connection
that everything else goes over, in its broadcasting mode for the keys of this model version, without echoes of our own
writes (`ON BCAST PREFIX ... NOLOOP`):

- Broadcasting, for then an entry that this process stored itself is watched from the start. By default Redis watches
  only keys that were read, and forgets a key at the first write, so that every stored entry would have to be read
  back; and it would keep a table of everything that any process ever read.
- One connection, for then replies and invalidations come in the order in which Redis worked: what a GET brought is
  kept when its reply is read and not later, so that an invalidation behind it cannot be overtaken.

Everything is forgotten when the connection is lost, for nobody told us what happened meanwhile, when Redis says that
it was emptied, and when the data epoch rises.
"""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Iterable

# What a key with its value costs in memory besides their own bytes.
_OVERHEAD = 250


class LocalAnswers:
    """Outputs by key, the least recently used given up first, up to `most` bytes; each until its time to live ends."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._held = 0
        self._kept: OrderedDict[str, tuple[bytes, float]] = OrderedDict()

    def get(self, key: str) -> bytes | None:
        """The output; None where it is not kept, or not any more."""
        kept = self._kept.get(key)
        if kept is None:
            return None
        output, until = kept
        if until and time.time() >= until:
            self.drop(key)
            return None
        self._kept.move_to_end(key)
        return output

    def keep(self, key: str, output: bytes, *, until: float) -> None:
        """Keep it until that second of the Unix epoch, 0 for ever."""
        self.drop(key)
        size = _size(key, output)
        if size * 8 > self._most:
            return
        self._kept[key] = output, until
        self._held += size
        while self._held > self._most:
            oldest, (gone, _) = self._kept.popitem(last=False)
            self._held -= _size(oldest, gone)

    def drop(self, key: str) -> None:
        """Forget it, where it is kept."""
        kept = self._kept.pop(key, None)
        if kept is not None:
            self._held -= _size(key, kept[0])

    def invalidate(self, keys: Iterable[bytes] | None) -> None:
        """What Redis said: these keys have changed, or, for None, all may have."""
        if keys is None:
            self.clear()
            return
        for key in keys:
            self.drop(key.decode("utf-8", "replace"))

    def clear(self) -> None:
        """Forget everything."""
        self._kept.clear()
        self._held = 0


def _size(key: str, output: bytes) -> int:
    return len(key) + len(output) + _OVERHEAD
