"""The service: from a request's body to an answer, whichever face it came in by.

It knows nothing of HTTP beyond a status number. Faces give it the body and the caller's wish about the cache.
"""

from __future__ import annotations

import asyncio
import logging
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from enum import Enum
from typing import Any

import msgspec

from scoring.cache import Cache, UnavailableError
from scoring.errors import ScoringError, load_failed
from scoring.inputs import Asked, Request
from scoring.keys import DIGEST_HEX, digester
from scoring.manifest import Manifest
from scoring.meter import Meter
from scoring.model import Scorer, example_body, open_scorer
from scoring.opening import OpenError
from scoring.outputs import OutputError
from scoring.policy import Auto
from scoring.settings import Settings
from scoring.stats import Statistics, Verdict

# How long the first answer waits for a cache that is not there: a container starts without one as well.
_CACHE_PATIENCE = 3.0

log = logging.getLogger("scoring")


class CacheWish(Enum):
    """What the caller asked of the cache, in HTTP's own words."""

    DEFAULT = "default"
    NO_CACHE = "no-cache"
    NO_STORE = "no-store"


@dataclass(slots=True)
class Timings:
    """Seconds of each part of one answer; None for a part that was not needed."""

    parse: float = 0.0
    get: float | None = None
    predict: float | None = None
    set: float | None = None
    total: float = 0.0


@dataclass(slots=True)
class Answer:
    """One answer: the JSON and how it came about."""

    body: bytes
    verdict: Verdict
    key: str
    timings: Timings = field(default_factory=Timings)


class Service:
    """One package's model behind its cache. All methods belong to one event loop."""

    def __init__(self, settings: Settings, manifest: Manifest) -> None:
        self.settings = settings
        self.manifest = manifest
        self.statistics = Statistics(manifest.model_version)
        self.cache = Cache(settings, model_version=manifest.model_version, statistics=self.statistics)
        self.failure: ScoringError | None = None
        self._masked = settings.masked_fields if settings.store_input == "masked" else frozenset[str]()
        self._digest = digester(settings.digest_key)
        self._stores_input = settings.store_input != "none"
        self._auto = Auto(Meter(), ttl=settings.ttl) if settings.policy == "auto" else None
        self._scorer: Scorer | None = None
        self._flights: dict[str, asyncio.Future[Answer]] = {}
        # One thread: models and scripts need not be thread-safe.
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="predict")
        self._loading: asyncio.Task[None] | None = None

    @property
    def ready(self) -> bool:
        """Whether the model has been opened."""
        return self._scorer is not None

    def start(self) -> None:
        """Begin to open the model and to connect the cache; `ready` or `failure` tells how it went."""
        self._loading = asyncio.create_task(self._load())

    async def loaded(self) -> None:
        """Wait until the model is open or has failed to."""
        if self._loading is not None:
            await self._loading

    async def stop(self) -> None:
        """Write what is left to write; answers still being worked on are the face's to wait for."""
        if self._loading is not None and not self._loading.done():
            self._loading.cancel()
        await self.cache.stop()
        self._thread.shutdown(wait=False, cancel_futures=True)

    async def answer(self, body: bytes, wish: CacheWish = CacheWish.DEFAULT, *, asked: Asked | None = None) -> Answer:
        """Score one request. Raises ScoringError for everything that is not an answer."""
        start = time.perf_counter()
        epoch = self.cache.epoch
        scorer = self._ready_scorer()
        answer: Answer | None = None
        if self._auto is not None:
            self._auto.enter()
        try:
            request = scorer.reader.read(body, asked)
            parsed = time.perf_counter()
            key = f"{self.cache.space}:q:{self._digest(request.form)}"
            answer = await self._decide(scorer, request, key, epoch, wish)
        except ScoringError:
            self.statistics.failed(epoch=epoch)
            raise
        finally:
            if self._auto is not None:
                self._auto.leave(answer.verdict if answer else None, answer.timings.predict if answer else None)
        timings = answer.timings
        timings.parse = parsed - start
        timings.total = time.perf_counter() - start
        self._count(answer, epoch)
        return answer

    async def _decide(self, scorer: Scorer, request: Request, key: str, epoch: int, wish: CacheWish) -> Answer:
        if not scorer.deterministic or wish is CacheWish.NO_STORE:
            return await self._computed(scorer, request, key)
        if wish is CacheWish.NO_CACHE:
            return self._stored(scorer, request, epoch, await self._computed(scorer, request, key))
        flight = self._flights.get(key)
        if flight is not None:
            shared = await flight
            return Answer(shared.body, shared.verdict, key)
        return await self._lead(scorer, request, key, epoch)

    async def _lead(self, scorer: Scorer, request: Request, key: str, epoch: int) -> Answer:
        """Look up or compute, once for all equal requests that arrive meanwhile."""
        flight: asyncio.Future[Answer] = asyncio.get_running_loop().create_future()
        self._flights[key] = flight
        try:
            answer = await self._looked_up(scorer, request, key, epoch)
        except BaseException as error:
            if isinstance(error, Exception):
                flight.set_exception(error)
                # Marks it as seen: there may be nobody else waiting for it.
                flight.exception()
            else:
                flight.cancel()
            raise
        else:
            flight.set_result(answer)
            return answer
        finally:
            del self._flights[key]

    async def _looked_up(self, scorer: Scorer, request: Request, key: str, epoch: int) -> Answer:
        if self.cache.state == "off" or (self._auto and not self._auto.uses_cache(key[-DIGEST_HEX:])):
            return await self._computed(scorer, request, key)
        asked = time.perf_counter()
        try:
            output = await self.cache.get(key, epoch)
        except UnavailableError:
            return await self._computed(scorer, request, key)
        took = time.perf_counter() - asked
        if output is not None:
            return Answer(output, "HIT", key, Timings(get=took))
        answer = await self._computed(scorer, request, key)
        answer.timings.get = took
        return self._stored(scorer, request, epoch, answer)

    async def _computed(self, scorer: Scorer, request: Request, key: str) -> Answer:
        """Ask the model; BYPASS until somebody stores it."""
        loop = asyncio.get_running_loop()
        output, took = await loop.run_in_executor(self._thread, _timed, scorer, request)
        return Answer(output, "BYPASS", key, Timings(predict=took))

    def _stored(self, scorer: Scorer, request: Request, epoch: int, answer: Answer) -> Answer:
        """Hand the answer to the cache; a MISS is what the cache took, and a BYPASS what it could not."""
        started = time.perf_counter()
        if not self.cache.writable or not scorer.storable(answer.body):
            return answer
        if self.cache.put(answer.key, answer.body, epoch=epoch, given=self._given(scorer, request)):
            answer.verdict = "MISS"
            answer.timings.set = time.perf_counter() - started
        return answer

    def _given(self, scorer: Scorer, request: Request) -> Any:
        return scorer.reader.stored(request, self._masked) if self._stores_input else msgspec.UNSET

    def _count(self, answer: Answer, epoch: int) -> None:
        timings = answer.timings
        self.statistics.answered(
            answer.verdict,
            epoch=epoch,
            total_us=round(timings.total * 1e6),
            predict_us=None if timings.predict is None else round(timings.predict * 1e6),
        )

    def _ready_scorer(self) -> Scorer:
        if self._scorer is not None:
            return self._scorer
        if self.failure is not None:
            raise self.failure
        raise ScoringError(503, "loading", "The model is still being opened.", "Try again in a moment.")

    async def _load(self) -> None:
        opening = _in_daemon_thread(lambda: open_scorer(self.settings.root, self.manifest))
        await self.cache.start(patience=_CACHE_PATIENCE)
        try:
            scorer = await opening
        except OpenError as error:
            self.failure = load_failed(error.code, f"{error.message} {error.cause}", error.action)
            log.error("the model could not be opened: %s", error.message)
            return
        except Exception as error:
            self.failure = load_failed(
                "crashed",
                f"Opening the model raised {type(error).__name__}: {error}",
                "The function's log has the trace.",
            )
            log.exception("the model could not be opened")
            return
        unknown = scorer.reader.unknown(self._masked)
        if unknown:
            # Rather no input than one in which a secret field goes by another name.
            log.warning("fields to mask that are not in the input: %s; storing no input", sorted(unknown))
            self._stores_input = False
        await self._warm_up(scorer)
        self._scorer = scorer
        log.info("ready: model version %s", self.manifest.model_version)

    async def _warm_up(self, scorer: Scorer) -> None:
        """Score the manifest's example, so that the first caller does not pay for what is done only once."""
        body = example_body(self.manifest.input)
        if body is None or self.manifest.code.entry_script is not None:
            return
        try:
            request = scorer.reader.read(body)
            await self._computed(scorer, request, "")
            warm = await self._computed(scorer, request, "")
        except ScoringError as error:
            log.warning("the example in the manifest could not be scored: %s", error)
            return
        self.statistics.predicted(round((warm.timings.predict or 0.0) * 1e6))


def _timed(scorer: Scorer, request: Request) -> tuple[bytes, float]:
    """Run in the prediction thread. Raises ScoringError 500 for whatever the model raises."""
    start = time.perf_counter()
    try:
        output = scorer.score(request)
    except ScoringError:
        raise
    except OutputError as error:
        log.exception("the model's answer cannot be sent")
        raise ScoringError(
            500,
            "bad_output",
            f"The model answered, but {error}.",
            "Return numbers, strings, lists or arrays; a wrapper around the model can convert the rest.",
        ) from error
    except (Exception, SystemExit) as error:
        log.exception("the model raised")
        raise ScoringError(
            500,
            "model_error",
            f"The model raised {type(error).__name__}: {error}",
            "The request fits what the model declares, so the fault is in the model or its code; "
            "the function's log has the trace.",
        ) from error
    return output, time.perf_counter() - start


def _in_daemon_thread(work: Callable[[], Scorer]) -> asyncio.Future[Scorer]:
    """Run `work` where a stop need not wait for it: opening a large model may take minutes."""
    loop = asyncio.get_running_loop()
    future: asyncio.Future[Scorer] = loop.create_future()

    def settle(scorer: Scorer | None, error: BaseException | None) -> None:
        if future.done():
            return
        if error is not None:
            future.set_exception(error)
        elif scorer is not None:
            future.set_result(scorer)

    def run() -> None:
        try:
            scorer = work()
        except BaseException as error:
            loop.call_soon_threadsafe(settle, None, error)
        else:
            loop.call_soon_threadsafe(settle, scorer, None)

    threading.Thread(target=run, name="open-model", daemon=True).start()
    return future
