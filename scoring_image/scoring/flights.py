"""Single flight: of equal requests that are under way together, the first is answered and the others share that."""

from __future__ import annotations

import asyncio

from scoring.answers import Answer


class Flights:
    """The keys that are being answered now. A future is made only when somebody joins."""

    def __init__(self) -> None:
        self._under_way: dict[str, asyncio.Future[Answer] | None] = {}

    def __contains__(self, key: str) -> bool:
        return key in self._under_way

    def begin(self, key: str) -> None:
        """Be the first; `end` or `fail` must follow."""
        self._under_way[key] = None

    async def join(self, key: str) -> Answer:
        """Wait for the first one's answer, or raise what it raises."""
        shared = self._under_way[key]
        if shared is None:
            shared = self._under_way[key] = asyncio.get_running_loop().create_future()
        # Who waits may be given up without those who wait with it.
        first = await asyncio.shield(shared)
        return Answer(first.body, first.verdict, key, joined=True)

    def end(self, key: str, answer: Answer) -> None:
        """Give the answer to all who joined."""
        shared = self._under_way.pop(key)
        if shared is not None:
            shared.set_result(answer)

    def fail(self, key: str, error: BaseException) -> None:
        """Give the error to all who joined; cancel them where the first was cancelled."""
        shared = self._under_way.pop(key)
        if shared is None:
            return
        if isinstance(error, Exception):
            shared.set_exception(error)
            # Marks it as seen: those who joined may be gone.
            shared.exception()
        else:
            shared.cancel()
