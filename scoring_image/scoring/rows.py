"""Keys by row: each row of a request is looked up on its own, and only those that are missing are predicted, at once.

For models whose cost grows with their rows, and callers that send the same rows in ever new company. What is stored
of a row is the row's own JSON in the answer, so that the answer is put together without being read. Needs an answer
that is a list with one item for each row; whatever else a model answers is not stored.
"""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable, Sequence

import msgspec

from scoring.answers import Answer
from scoring.cache import Cache, Found, Lookup
from scoring.given import Given
from scoring.inputs import Request, RowReader
from scoring.keys import row_form

# Keys of one MGET, so that no reply is so long that those behind it wait for it.
_AT_ONCE = 256

# Told in a header, which not everybody on the way lets be larger than 16 kB.
_MOST_DIGESTS = 300

_ITEMS = msgspec.json.Decoder(list[msgspec.Raw])

# Predicts a request: the output's JSON and the seconds it took.
Predict = Callable[[Request], Awaitable[tuple[bytes, float]]]


class Rows:
    """The rows of requests behind the cache. `given` shows the inputs that are stored with them, if any are."""

    def __init__(
        self,
        cache: Cache,
        reader: RowReader,
        *,
        digest: Callable[[bytes], str],
        given: Given | None,
        predict: Predict,
    ) -> None:
        self._cache = cache
        self._reader = reader
        self._digest = digest
        self._given = given
        self._predict = predict

    async def look_up(self, request: Request, key: str, epoch: int) -> Answer | None:
        """The answer where every row of it is stored; None where one is not. Nothing is predicted."""
        known, took, _ = await self._known(self._keys(request), epoch)
        if None in known:
            return None
        return Answer(_joined(known), "HIT", key, get=took, rows_hit=len(known))

    async def answer(self, request: Request, key: str, epoch: int, *, size: int, afresh: bool = False) -> Answer:
        """The answer, from stored rows as far as there are any; what was missing is stored. Raises ScoringError.

        `size` is that of the body in bytes. `afresh` takes every row for missing.
        """
        keys = self._keys(request)
        known: list[bytes | None] = [None] * len(keys)
        got, reached = None, True
        if not afresh:
            known, got, reached = await self._known(keys, epoch)
        missing = [index for index, output in enumerate(known) if output is None]
        if not missing:
            return Answer(_joined(known), "HIT", key, get=got, rows_hit=len(known))
        # Rows that are equal are predicted once.
        first = {keys[index]: index for index in reversed(missing)}
        asked = sorted(first.values())
        picked = request if len(asked) == request.rows else self._reader.picked(request, asked)
        stores = reached and self._cache.writable
        # Before the model sees them, which may change them.
        given = await self._given.rows(picked, size) if stores and self._given is not None else None
        output, took = await self._predict(picked)
        answer = Answer(output, "BYPASS", key, get=got, predict=took)
        items = _items(output, len(asked))
        if items is None:
            if picked is not request:
                # It cannot be put together from parts: once more, whole.
                answer.body, again = await self._predict(request)
                answer.predict = took + again
            return answer
        fresh = {keys[index]: item for index, item in zip(asked, items, strict=True)}
        answer.body = _joined([fresh[keys[index]] if row is None else row for index, row in enumerate(known)])
        answer.rows_hit, answer.rows_missed = len(known) - len(missing), len(missing)
        if stores:
            start = time.perf_counter()
            shown: Sequence[bytes | None] = given or [None] * len(items)
            parts = zip(fresh.items(), shown, strict=True)
            if all(self._cache.put(key, item, rows=None, epoch=epoch, given=row) for (key, item), row in parts):
                answer.verdict, answer.set = "MISS", time.perf_counter() - start
        return answer

    def _keys(self, request: Request) -> list[str]:
        space, digest = self._cache.space, self._digest
        return [f"{space}:r:{digest(row_form(form))}" for form in self._reader.row_forms(request)]

    async def _known(self, keys: Sequence[str], epoch: int) -> tuple[list[bytes | None], float | None, bool]:
        """What is stored of each key, the seconds that asking Redis took, and whether it could be asked."""
        cache = self._cache
        known: dict[str, bytes | None] = {key: cache.kept(key) for key in keys}
        unknown = [key for key, output in known.items() if output is None]
        if not unknown:
            return [known[key] for key in keys], None, True
        start = time.perf_counter()
        # All are sent before the first is waited for.
        asked = [cache.look_up_all(unknown[at : at + _AT_ONCE], epoch) for at in range(0, len(unknown), _AT_ONCE)]
        found: list[Found] = []
        for part in asked:
            found += await part if part is not None else [Lookup.UNREACHABLE]
        if Lookup.UNREACHABLE in found:
            return [None] * len(keys), None, False
        known.update({key: output for key, output in zip(unknown, found, strict=True) if isinstance(output, bytes)})
        return [known[key] for key in keys], time.perf_counter() - start, True


def row_digests(reader: RowReader, request: Request, digest: Callable[[bytes], str]) -> str:
    """What names the first rows in keys of rows, comma-separated, also where rows have none now but had once."""
    few = reader.picked(request, range(min(request.rows, _MOST_DIGESTS)))
    return ",".join(digest(row_form(form)) for form in reader.row_forms(few))


def _joined(rows: Sequence[bytes | None]) -> bytes:
    return b"[" + b",".join(row or b"null" for row in rows) + b"]"


def _items(output: bytes, count: int) -> list[bytes] | None:
    """The items of the list, as they are written; None where it is not a list of so many."""
    try:
        items = [bytes(item) for item in _ITEMS.decode(output)]
    except msgspec.MsgspecError:
        return None
    return items if len(items) == count else None
