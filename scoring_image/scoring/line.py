"""The line before the model: who comes first is first, and who would wait in vain is turned away at once."""

from __future__ import annotations

import asyncio
import time
from collections import Counter

from scoring.costs import Usual, size_of
from scoring.errors import try_again

# The model is given the next one while it is at work on the first, so that it need not wait for the event loop.
_AT_ONCE = 2
# Predictions may take so many times longer than usual, and who was let into the line is still answered in time.
_RESERVE = 2.0


class Turn:
    """One request's place in the line, and of what size it is."""

    __slots__ = ("size",)

    def __init__(self, size: int) -> None:
        self.size = size


class Line:
    """Who waits for a prediction and whom the model has in hand. Belongs to one event loop.

    `seconds` are what a caller has in all, waiting and prediction together.
    """

    def __init__(self, seconds: float) -> None:
        self.usual = Usual()
        self._seconds = seconds
        # In order, both. Nobody waits while the model could have more in hand.
        self._waiting: dict[Turn, asyncio.Future[None]] = {}
        self._in_hand: list[Turn] = []
        self._held: Counter[int] = Counter()  # how many of each size, waiting and in hand
        self._since = 0.0

    @property
    def idle(self) -> bool:
        """Whether the model has nothing to do."""
        return not self._in_hand

    async def turn(self, rows: int) -> Turn:
        """Wait for a turn with so many rows; `end` must follow.

        Raises a 503 where it would probably come too late. Who is cancelled leaves the line.
        """
        if self._in_hand:
            self._check(rows)
        turn = Turn(size_of(rows))
        self._held[turn.size] += 1
        if len(self._in_hand) < _AT_ONCE:
            self._begin(turn)
            return turn
        came = self._waiting[turn] = asyncio.get_running_loop().create_future()
        try:
            await came
        except asyncio.CancelledError:
            if came.cancelled():
                del self._waiting[turn]
                self._forget(turn)
            else:
                # It came in the moment in which its owner went.
                self.end(turn, worked=False)
            raise
        return turn

    def end(self, turn: Turn, *, worked: bool) -> None:
        """The model is done with it, whether or not somebody still wants the answer; the next one's turn comes.

        Only what the model `worked` on tells how long it takes.
        """
        now = time.monotonic()
        if self._in_hand[0] is turn:
            if worked:
                self.usual.learn(turn.size, now - self._since)
            self._since = now
        self._in_hand.remove(turn)
        self._forget(turn)
        for following, came in self._waiting.items():
            if not came.done():
                del self._waiting[following]
                self._begin(following)
                came.set_result(None)
                break

    def _begin(self, turn: Turn) -> None:
        if not self._in_hand:
            self._since = time.monotonic()
        self._in_hand.append(turn)

    def _forget(self, turn: Turn) -> None:
        self._held[turn.size] -= 1

    def _check(self, rows: int) -> None:
        usual = self.usual
        ahead = sum(count * usual.of(size) for size, count in self._held.items() if count)
        # What has been at work for so long may well take as long again.
        ahead = max(ahead, time.monotonic() - self._since)
        if ahead * _RESERVE + usual.of(size_of(rows)) > self._seconds:
            raise try_again(
                "overloaded",
                f"Those who came before keep the model busy for some {ahead:.1f} seconds.",
                "Try again in a moment.",
            )
