"""Where predictions run, so that a slow one holds up nobody who only wants to look something up.

- On the event loop itself, where the prediction will probably take less than a millisecond: handing it to a thread
  and back costs more than that, and hits wait no longer than for each other.
- In the one prediction thread otherwise, and always for scripts, which may wait for something. Models and scripts need
  not be thread-safe, so that nothing runs on the loop while the thread is at work.
- In a process of its own, where a single row takes more than a few milliseconds: a thread shares the interpreter's
  lock with the loop. The model is opened there and this process gives up its own copy.

Who does not predict on the loop waits in line (`line.py`); thread and process have two requests in hand at most, so
that whoever gave up waiting costs the model nothing.
"""

from __future__ import annotations

import asyncio
import gc
import logging
import os
import time
from concurrent.futures import ThreadPoolExecutor
from functools import partial

from scoring.companion import Companion, CompanionError
from scoring.costs import Cost, size_of
from scoring.errors import ScoringError, try_again
from scoring.inputs import Asked, Request, RowReader
from scoring.line import Line
from scoring.model import Scorer
from scoring.predictions import measured, predict
from scoring.settings import Settings

_QUICK = 0.001
_SLOW = 0.003
_MEASURED_ROWS = 32
# A prediction that was given up is let be a little longer: it may be about to return.
_GRACE = 5.0

log = logging.getLogger("scoring")


class Runner:
    """Predicts, one prediction at a time, each within the seconds that the settings allow. Belongs to one event loop.

    `stuck` is true when the model cannot be used any more and only another process can help.
    """

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._seconds = settings.predict_seconds
        self._scorer: Scorer | None = None
        self._reader: RowReader | None = None
        self._cost: Cost | None = None
        self._companion: Companion | None = None
        self._lost = False
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="predict")
        self._line = Line(self._seconds)
        self._since: float | None = None

    @property
    def stuck(self) -> bool:
        """Whether a prediction does not return, or the predictor is gone for good."""
        since = self._since
        return self._lost or (since is not None and time.monotonic() - since > self._seconds + _GRACE)

    async def adopt(self, scorer: Scorer, example: Request | None, reader: RowReader | None) -> float | None:
        """Take over an open model: measure it and decide where it runs. Returns the seconds of one row, if known.

        Without an example, as for scripts, it runs in the thread.
        """
        self._scorer = scorer
        self._reader = reader
        one = None
        if example is not None and reader is not None:
            loop = asyncio.get_running_loop()
            one = await loop.run_in_executor(self._thread, self._measure, scorer, example, reader)
        if one is not None:
            self._line.usual.learn(size_of(1), one)
        if one is not None and one > _SLOW:
            await self._move_out(one)
        if self._companion is None and self._settings.predictor_fd is not None:
            # It is not needed, and ends when its socket is closed.
            os.close(self._settings.predictor_fd)
        return one

    def stop(self) -> None:
        """Give up what is still queued."""
        if self._companion is not None:
            self._companion.stop()
        self._thread.shutdown(wait=False, cancel_futures=True)

    async def run(self, request: Request, body: bytes | None = None, asked: Asked | None = None) -> tuple[bytes, float]:
        """The output's JSON and the seconds it took; `body` is what the request was read from, if it was.

        Raises ScoringError: 500 where the model fails, 503 where too many wait for it, 504 where it takes too long.
        """
        if self._companion is not None:
            return await self._in_process(self._companion, request, body, asked)
        scorer = self._scorer
        if scorer is None:
            raise try_again("loading", "The model is still being opened.", "Try again in a moment.")
        cost = self._cost
        if cost is not None and self._line.idle and cost.of(request.rows) < _QUICK:
            done = predict(scorer, request)
        else:
            done = await self._in_thread(scorer, request)
        if cost is not None:
            cost.learn(request.rows, done[1])
        return done

    async def _in_thread(self, scorer: Scorer, request: Request) -> tuple[bytes, float]:
        try:
            async with asyncio.timeout(self._seconds):
                turn = await self._line.turn(request.rows)
                job = self._thread.submit(self._in_turn, scorer, request)
                done = asyncio.wrap_future(job)
                done.add_done_callback(lambda ended: self._line.end(turn, worked=not ended.cancelled()))
                try:
                    return await asyncio.shield(done)
                finally:
                    # Takes it back where the thread has not begun with it; else it is done when the thread is.
                    job.cancel()
        except TimeoutError:
            raise self._too_slow() from None

    async def _in_process(
        self, companion: Companion, request: Request, body: bytes | None, asked: Asked | None
    ) -> tuple[bytes, float]:
        if body is None:
            assert self._reader is not None  # noqa: S101 - there is none only for scripts, which stay in the thread
            body = self._reader.body(request)
        try:
            async with asyncio.timeout(self._seconds):
                turn = await self._line.turn(request.rows)
                return await companion.score(body, asked, on_end=partial(self._line.end, turn))
        except TimeoutError:
            raise self._too_slow() from None

    def _in_turn(self, scorer: Scorer, request: Request) -> tuple[bytes, float]:
        self._since = time.monotonic()
        try:
            return predict(scorer, request)
        finally:
            self._since = None

    def _measure(self, scorer: Scorer, example: Request, reader: RowReader) -> float | None:
        try:
            one = reader.picked(example, [0])
            took = measured(scorer, one)
            if took <= _SLOW:
                many = reader.picked(example, [0] * _MEASURED_ROWS)
                self._cost = Cost(one=took, many=measured(scorer, many), rows=_MEASURED_ROWS)
        except ScoringError as error:
            log.warning("the example in the manifest could not be scored: %s", error)
            return None
        return took

    async def _move_out(self, one: float) -> None:
        companion = Companion(self._settings, on_end=self._predictor_lost)
        try:
            await companion.start()
        except CompanionError as error:
            log.warning(
                "one row takes %.1f ms, but there is no predictor (%s); predicting in a thread", one * 1e3, error
            )
            companion.stop()
            return
        self._companion = companion
        self._scorer = None
        gc.collect()
        log.info("one row takes %.1f ms: predicting in a process of its own", one * 1e3)

    def _predictor_lost(self) -> None:
        self._lost = True

    def _too_slow(self) -> ScoringError:
        return ScoringError(
            504,
            "predict_timeout",
            f"The model did not answer within {self._seconds:g} seconds.",
            "Send fewer rows at once, or allow a prediction more seconds.",
        )
