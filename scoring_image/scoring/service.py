"""The service: from a request's body to an answer, whichever face it came in by.

It knows nothing of HTTP beyond a status number. Faces give it the body and the caller's wish about the cache.
"""

from __future__ import annotations

import asyncio
import logging
from concurrent.futures import ThreadPoolExecutor
from time import perf_counter

import msgspec

from scoring.answers import Answer, CacheWish
from scoring.cache import Cache, Lookup
from scoring.calls import ReplyError, Schemas, storable
from scoring.entry_script import ScriptScorer
from scoring.errors import ScoringError, try_again
from scoring.expected import Expected
from scoring.flights import Flights
from scoring.given import LARGE, Given
from scoring.inputs import Asked, Reader, Request, RowReader, reader_for
from scoring.keys import digester
from scoring.loading import aside, example_of, failure_of
from scoring.manifest import Manifest
from scoring.meter import Meter
from scoring.model import Scorer, open_scorer
from scoring.policy import Auto
from scoring.rows import Rows, row_digests
from scoring.running import Runner
from scoring.settings import Settings
from scoring.stats import Statistics

# How long the first answer waits for a cache that is not there: a container starts without one as well.
_CACHE_PATIENCE = 3.0

_DEFAULT = CacheWish.DEFAULT

log = logging.getLogger("scoring")


class _Question(msgspec.Struct):
    """One request on its way to an answer: as it came, as it was read, and its key at its epoch."""

    body: bytes
    asked: Asked | None
    request: Request
    key: str
    epoch: int


class Service:
    """One package's model behind its cache. All methods belong to one event loop."""

    def __init__(self, settings: Settings, manifest: Manifest) -> None:
        self.settings = settings
        self.manifest = manifest
        self.statistics = Statistics(manifest.model_version)
        self.scripted = manifest.code.entry_script is not None
        # A script answers whatever it likes.
        expected = Expected(None if self.scripted else manifest.output)
        version = manifest.model_version
        self.cache = Cache(settings, model_version=version, statistics=self.statistics, expected=expected)
        self.runner = Runner(settings)
        self.failure: ScoringError | None = None
        self.schemas: Schemas | None = None
        self._digest = digester(settings.digest_key)
        self._given: Given | None = None
        self._auto = Auto(Meter(), ttl=settings.ttl) if settings.policy == "auto" else None
        self._reader: Reader | None = None
        self._rows: Rows | None = None
        self._row_reader: RowReader | None = None
        self._deterministic = True
        self._cacheable = False
        self._flights = Flights()
        self._under_way = 0
        self._reading = ThreadPoolExecutor(1, thread_name_prefix="read")
        self._loading: asyncio.Task[None] | None = None

    @property
    def ready(self) -> bool:
        """Whether the model has been opened."""
        return self._reader is not None

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
        self.runner.stop()
        self._reading.shutdown(wait=False, cancel_futures=True)

    async def answer(self, body: bytes, wish: CacheWish = CacheWish.DEFAULT, asked: Asked | None = None) -> Answer:
        """Score one request; `asked` is for scripts. Raises ScoringError for everything that is not an answer."""
        start = perf_counter()
        cache, reader = self.cache, self._reader
        epoch, space = cache.epoch, cache.space
        if reader is None:
            raise self._not_ready()
        auto = self._auto
        if auto is not None:
            auto.enter()
        self._under_way += 1
        answer: Answer | None = None
        try:
            if self._under_way > self.settings.most_waiting:
                raise _overloaded()
            if len(body) <= LARGE:
                request = reader.read(body, asked)
            else:
                loop = asyncio.get_running_loop()
                request = await loop.run_in_executor(self._reading, reader.read, body, asked)
            parsed = perf_counter()
            key = f"{space}:q:{self._digest(request.form)}"
            looks = wish is _DEFAULT and self._cacheable and (auto is None or auto.uses_cache(key))
            if looks and (kept := cache.kept(key)) is not None:
                answer = Answer(kept, "HIT", key, local=True)
            else:
                answer = await self._decided(_Question(body, asked, request, key, epoch), wish, looks=looks)
        except ScoringError:
            if wish is not CacheWish.ONLY_IF_CACHED:
                self.statistics.failed(epoch=epoch)
            raise
        finally:
            self._under_way -= 1
            if auto is not None:
                auto.leave(*((None, None) if answer is None else (answer.verdict, answer.predict)))
        answer.parse = parsed - start
        answer.total = perf_counter() - start
        if wish is not CacheWish.ONLY_IF_CACHED:
            self._count(answer, epoch, request.rows)
        return answer

    async def _decided(self, question: _Question, wish: CacheWish, *, looks: bool) -> Answer:
        if wish is CacheWish.ONLY_IF_CACHED:
            return await self._looked_up_only(question)
        if not self._deterministic or wish is CacheWish.NO_STORE:
            return await self._computed(question)
        if wish is CacheWish.NO_CACHE:
            return await self._afresh(question)
        key, flights = question.key, self._flights
        if key in flights:
            shared = await self._shared(key)
            return await self._computed(question) if shared is None else shared
        flights.begin(key)
        try:
            answer = await (self._looked_up(question) if looks else self._computed(question))
        except BaseException as error:
            flights.fail(key, error)
            raise
        flights.end(key, answer)
        return answer

    async def _shared(self, key: str) -> Answer | None:
        """The answer to an equal request that is under way; None where it is for that caller alone."""
        try:
            answer = await self._flights.join(key)
        except ReplyError:
            # An answer as well, of a status that is not shared.
            return None
        return None if self.scripted and not storable(answer.body) else answer

    async def _looked_up(self, question: _Question) -> Answer:
        """Look up, or compute and store."""
        key = question.key
        if self._rows is not None:
            return await self._rows.answer(question.request, key, question.epoch, size=len(question.body))
        start = perf_counter()
        looked = self.cache.look_up(key, question.epoch, rows=question.request.rows)
        found = None if looked is None else await looked
        took = perf_counter() - start
        if isinstance(found, bytes):
            return Answer(found, "HIT", key, took)
        if found is not Lookup.NOTHING:
            return await self._computed(question)
        answer = await self._stored(question)
        answer.get = took
        return answer

    async def _afresh(self, question: _Question) -> Answer:
        """Compute and store, whatever is stored already."""
        if self._rows is None:
            return await self._stored(question)
        size = len(question.body)
        return await self._rows.answer(question.request, question.key, question.epoch, size=size, afresh=True)

    async def _looked_up_only(self, question: _Question) -> Answer:
        """What is stored. Raises a 504 where nothing is, as RFC 9111 5.2.1.7 says."""
        key, reader = question.key, self._row_reader
        digests = "" if reader is None else row_digests(reader, question.request, self._digest)
        if self._rows is not None:
            answer = await self._rows.look_up(question.request, key, question.epoch)
            if answer is not None:
                answer.row_digests = digests
                return answer
        else:
            start = perf_counter()
            looked = self.cache.look_up(key, question.epoch, rows=question.request.rows)
            found = None if looked is None else await looked
            if isinstance(found, bytes):
                return Answer(found, "HIT", key, perf_counter() - start, row_digests=digests)
        told = ((b"x-cache-row-digests", digests.encode()),) if digests else ()
        raise ScoringError(
            504,
            "not_cached",
            "No answer to this request is stored.",
            "Without Cache-Control: only-if-cached the model answers.",
            headers=((b"x-cache-key", key.encode()), *told),
        )

    async def _computed(self, question: _Question) -> Answer:
        """Ask the model; BYPASS until somebody stores it."""
        output, took = await self.runner.run(question.request, question.body, question.asked)
        return Answer(output, "BYPASS", question.key, predict=took)

    async def _stored(self, question: _Question) -> Answer:
        """Compute, and hand the answer to the cache; a MISS is what the cache took, and a BYPASS what it could not."""
        cache, request = self.cache, question.request
        if not cache.writable:
            return await self._computed(question)
        # Before the model sees it, which may change it.
        given = None if self._given is None else await self._given.whole(request, len(question.body))
        answer = await self._computed(question)
        if self.scripted and not storable(answer.body):
            return answer
        start = perf_counter()
        if cache.put(answer.key, answer.body, rows=request.rows, epoch=question.epoch, given=given):
            answer.verdict = "MISS"
            answer.set = perf_counter() - start
        return answer

    def _count(self, answer: Answer, epoch: int, rows: int) -> None:
        get, predict = answer.get, answer.predict
        self.statistics.answered(
            answer.verdict,
            epoch=epoch,
            total_us=int(answer.total * 1e6),
            predict_us=None if predict is None else int(predict * 1e6),
            redis_us=None if get is None else int(get * 1e6),
            rows=rows,
            joined=answer.joined,
            local=answer.local,
        )
        if answer.rows_hit or answer.rows_missed:
            self.statistics.rows(epoch=epoch, hit=answer.rows_hit, missed=answer.rows_missed)

    def _not_ready(self) -> ScoringError:
        return self.failure or try_again("loading", "The model is still being opened.", "Try again in a moment.")

    async def _load(self) -> None:
        try:
            opening = aside(lambda: open_scorer(self.settings.root, self.manifest))
            await self.cache.start(patience=_CACHE_PATIENCE)
            await self._adopt(await opening)
        except Exception as error:
            self.failure = failure_of(error)

    async def _adopt(self, scorer: Scorer) -> None:
        """Take over the open model; ready is who has come to the end of this."""
        settings, manifest = self.settings, self.manifest
        self._deterministic = scorer.deterministic
        self.schemas = scorer.schemas if isinstance(scorer, ScriptScorer) else None
        self._cacheable = scorer.deterministic and self.cache.state != "off"
        reader = scorer.reader
        masked = settings.masked_fields if settings.store_input == "masked" else frozenset[str]()
        unknown = reader.unknown(masked)
        if unknown:
            # Rather no input than one in which a secret field goes by another name.
            log.warning("fields to mask that are not in the input: %s; storing no input", sorted(unknown))
        elif settings.store_input != "none":
            self._given = Given(reader, masked=masked, thread=self._reading)
        rows = None
        if not self.scripted:
            # The same as the scorer's own: ONNX Runtime takes no DataFrames, and pandas may not be there.
            rows = reader_for(manifest.input, manifest.limits, frames=manifest.execution.executes != "onnx")
        example = None if rows is None else example_of(manifest.input, rows)
        took = await self.runner.adopt(scorer, example, rows)
        if took is not None:
            self.statistics.predicted(int(took * 1e6))
        # An array for each output is no list of rows, even where there are as many of both.
        if settings.keys == "row" and rows is not None and manifest.output.kind in ("array", "records"):
            self._rows = Rows(self.cache, rows, digest=self._digest, given=self._given, predict=self.runner.run)
        self._reader, self._row_reader = reader, rows
        log.info("ready: model version %s", manifest.model_version)


def _overloaded() -> ScoringError:
    return try_again("overloaded", "The function has more requests than it can answer.", "Try again in a moment.")
