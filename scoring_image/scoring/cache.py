"""The cache as the service sees it: look up, store, the data epoch, and what of that is possible now."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Sequence
from enum import Enum
from functools import partial
from typing import Any, Literal

import hiredis

from scoring.entries import encode_entry, output_of, stored_at
from scoring.expected import Expected
from scoring.keys import key_space, version_tag
from scoring.local import LocalAnswers
from scoring.redis_client import RedisClient, accepted
from scoring.resp import ConnectionLostError, RespConnection
from scoring.settings import Settings
from scoring.stats import Statistics

TICK = 1.0
# A longer answer would hold up everything behind it on the shared connection.
MAX_ENTRY_BYTES = 8 * 1024 * 1024
# How long nothing is stored after Redis refused to: it is full, or a replica that only reads.
_WRITE_PAUSE = 2.0
# So much of the epoch's key is read, whatever lies there.
_EPOCH_DIGITS = 20
# Keys that were asked for when a connection was lost are looked at, at most so many; what is too long for the
# timeout, or for Redis, which ends connections with more than 32 MB to send, is taken away.
_MOST_SUSPECTS = 10_000
_TOO_LONG = 1024 * 1024

# Only ever upwards: an epoch key that was evicted or written by an older deployment must not bring old
# answers back.
_RAISE_EPOCH = (
    "local have = tonumber(redis.call('GET', KEYS[1]) or '0') or 0 "
    "if have < tonumber(ARGV[1]) then redis.call('SET', KEYS[1], ARGV[1]) end return 1"
)

log = logging.getLogger("scoring.cache")


class Lookup(Enum):
    """Why a lookup brought no output."""

    NOTHING = "nothing of this version is stored"
    UNREACHABLE = "the cache cannot be asked now; the answer has to come from the model"


Found = bytes | Lookup


class Cache:
    """One deployment's entries in Redis, for one model version. What is not as `expected` is not an entry of ours."""

    def __init__(self, settings: Settings, *, model_version: str, statistics: Statistics, expected: Expected) -> None:
        self.epoch = settings.epoch_floor
        # What the keys of this version and epoch start with, up to the kind.
        self.space = key_space(settings.prefix, model_version, self.epoch)
        self._local = LocalAnswers(settings.local_bytes) if settings.local_bytes else None
        self._tracked = False
        self._suspects: list[str] = []
        self._prefix = settings.prefix
        self._ttl = settings.ttl
        self._model_version = model_version
        self._statistics = statistics
        self._expected = expected
        self._told = False
        self._epoch_key = f"{settings.prefix}:epoch"
        self._no_writes_before = 0.0
        self._ticker: asyncio.Task[None] | None = None
        self._client: RedisClient | None = None
        if settings.cache is not None and settings.policy != "off":
            self._client = RedisClient(
                settings.cache, timeout=settings.timeout, greet=self._greet, on_push=self._pushed
            )

    @property
    def state(self) -> Literal["up", "down", "off"]:
        """`off` where there is nothing to use, by setting."""
        if self._client is None:
            return "off"
        return "up" if self._client.up else "down"

    @property
    def detail(self) -> str:
        """Why it is down; empty otherwise."""
        return self._client.detail if self._client is not None else ""

    @property
    def writable(self) -> bool:
        """Whether storing has a chance: Redis has not refused it a moment ago."""
        return self._client is not None and self._client.up and time.monotonic() >= self._no_writes_before

    async def start(self, *, patience: float) -> None:
        """Connect in the background; wait up to `patience` seconds for the first attempt's end."""
        if self._client is None:
            return
        self._client.start()
        self._ticker = asyncio.create_task(self._tick())
        try:
            await asyncio.wait_for(self._client.tried.wait(), patience)
        except TimeoutError:
            log.warning("cache not reached yet; starting without it")

    async def stop(self) -> None:
        """Write the last statistics and close."""
        if self._client is None:
            return
        if self._ticker is not None:
            self._ticker.cancel()
        self._flush_statistics(self._client)
        await self._client.stop()

    def kept(self, key: str) -> bytes | None:
        """The output, where this process holds it and would know if it had changed."""
        local = self._local
        if local is None or not self._tracked or self._client is None or not self._client.up:
            return None
        return local.get(key)

    def look_up(self, key: str, epoch: int, *, rows: int) -> asyncio.Future[Found] | None:
        """Ask for the stored output for so many rows; None where the cache cannot be asked."""
        client = self._client
        if client is None:
            return None
        future: asyncio.Future[Found] = asyncio.get_running_loop().create_future()
        if not client.send("GET", key, on_reply=partial(self._looked_up, future, key, epoch, rows)):
            return None
        return future

    def look_up_all(self, keys: Sequence[str], epoch: int) -> asyncio.Future[list[Found]] | None:
        """Ask for the stored outputs of one or more rows' keys, in order; None where the cache cannot be asked."""
        client = self._client
        if client is None:
            return None
        future: asyncio.Future[list[Found]] = asyncio.get_running_loop().create_future()
        if not client.send("MGET", *keys, on_reply=partial(self._looked_up_all, future, keys, epoch)):
            return None
        return future

    def put(self, key: str, output: bytes, *, rows: int | None, epoch: int, given: bytes | None = None) -> bool:
        """Send an entry on its way, without waiting for it; says whether it was sent.

        `rows` is how many the output is for, None where it is a row's own; `given` is the JSON of the input, which is
        left out of an entry that would be too long with it. An answer that cannot be stored is an answer all the same:
        nothing is raised.
        """
        try:
            return self._put(key, output, rows=rows, epoch=epoch, given=given)
        except Exception:
            if not self._told:
                self._told = True
                log.exception("an answer could not be stored; it is not said again")
            return False

    def _put(self, key: str, output: bytes, *, rows: int | None, epoch: int, given: bytes | None) -> bool:
        if self._client is None or not self.writable:
            return False
        self._expected.learn(output, rows)
        entry = encode_entry(output, model_version=self._model_version, epoch=epoch, given=given)
        if len(entry) > MAX_ENTRY_BYTES and given is not None:
            entry = encode_entry(output, model_version=self._model_version, epoch=epoch)
        if len(entry) > MAX_ENTRY_BYTES:
            return False
        expiry: tuple[str | int, ...] = ("EX", self._ttl) if self._ttl else ()
        return self._client.send("SET", key, entry, *expiry, on_reply=partial(self._written, key, output, epoch))

    def _looked_up(self, future: asyncio.Future[Found], key: str, epoch: int, rows: int, stored: Any) -> None:
        found = self._read(stored, key, epoch, rows)
        if not future.done():
            future.set_result(found)

    def _looked_up_all(self, future: asyncio.Future[list[Found]], keys: Sequence[str], epoch: int, stored: Any) -> None:
        answers = stored if isinstance(stored, list) else [stored] * len(keys)
        found = [self._read(answer, key, epoch, None) for key, answer in zip(keys, answers, strict=True)]
        if not future.done():
            future.set_result(found)

    def _read(self, stored: Any, key: str, epoch: int, rows: int | None) -> Found:
        """What a reply means. Called as replies come in, so that what is kept is kept in Redis's own order."""
        if stored.__class__ is bytes:
            output = output_of(stored, model_version=self._model_version, epoch=epoch)
            if output is None or not self._expected.fits(output, rows):
                return Lookup.NOTHING
            if self._tracked and epoch == self.epoch:
                self._keep(key, output, stored_at(stored) if self._ttl else 0.0)
            return output
        if stored is None or _is_wrong_type(stored):
            # Where something else lies under our key, SET replaces it.
            return Lookup.NOTHING
        if isinstance(stored, hiredis.ReplyError) and self._client is not None:
            self._client.give_up(str(stored))
        elif isinstance(stored, ConnectionLostError) and len(self._suspects) < _MOST_SUSPECTS:
            # What was waited for may be what ended the connection, and would end the next one as well.
            self._suspects.append(key)
        return Lookup.UNREACHABLE

    def _keep(self, key: str, output: bytes, since: float | None) -> None:
        if self._local is not None and since is not None:
            # No longer than from now on, whatever another machine's clock said.
            until = min(since, time.time()) + self._ttl if self._ttl else 0.0
            self._local.keep(key, output, until=until)

    def _written(self, key: str, output: bytes, epoch: int, reply: Any) -> None:
        if isinstance(reply, hiredis.ReplyError):
            self._no_writes_before = time.monotonic() + _WRITE_PAUSE
            log.warning("cache refuses to store: %s; answering without storing for a while", reply)
            if self._client is not None:
                self._client.refused(reply)
        elif self._tracked and epoch == self.epoch and not isinstance(reply, Exception):
            self._keep(key, output, time.time())

    async def _greet(self, client: RedisClient, connection: RespConnection) -> None:
        """The first question, of the kind that requests ask: an answer in time means that it works."""
        self._tracked = False
        found = await connection.call("GETRANGE", self._epoch_key, 0, _EPOCH_DIGITS)
        self._learn(found if _is_wrong_type(found) else accepted(found))
        for key in self._suspects:
            connection.send("STRLEN", key, on_reply=partial(_weighed, connection, key))
        self._suspects.clear()
        if client.speaks_resp3:
            connection.send("SUBSCRIBE", self._epoch_key, on_reply=_ignored)
            if self._local is not None:
                await self._track(connection, self._local)
        tag = version_tag(self._model_version, self.epoch)
        connection.send("SADD", f"{self._prefix}:versions", tag, on_reply=_ignored)

    async def _track(self, connection: RespConnection, local: LocalAnswers) -> None:
        local.clear()
        start = key_space(self._prefix, self._model_version, 0)
        reply = await connection.call("CLIENT", "TRACKING", "ON", "BCAST", "PREFIX", start, "NOLOOP")
        self._tracked = not isinstance(reply, Exception)
        if not self._tracked:
            log.warning("this Redis does not tell what changes (%s); no answers are kept in the process", reply)

    async def _tick(self) -> None:
        while True:
            await asyncio.sleep(TICK)
            client = self._client
            if client is not None and client.up:
                client.send("GETRANGE", self._epoch_key, 0, _EPOCH_DIGITS, on_reply=self._learn)
                self._flush_statistics(client)

    def _flush_statistics(self, client: RedisClient) -> None:
        if client.up:
            for command in self._statistics.take(self._prefix):
                client.send(*command, on_reply=_ignored)

    def _pushed(self, message: list[Any]) -> None:
        if len(message) == 3 and message[0] == b"message":
            self._learn(message[2])
        elif message[0] == b"invalidate" and self._local is not None:
            self._local.invalidate(message[1])

    def _learn(self, found: Any) -> None:
        """Take over a raised epoch; raise one that was lost, for Redis may evict or be emptied."""
        known = int(found) if isinstance(found, bytes) and found.isdigit() and len(found) < 19 else 0
        if known > self.epoch:
            self.epoch = known
            self.space = key_space(self._prefix, self._model_version, known)
            if self._local is not None:
                self._local.clear()
            log.info("data epoch %d", self.epoch)
        elif known < self.epoch and self._client is not None:
            self._client.send("EVAL", _RAISE_EPOCH, 1, self._epoch_key, self.epoch, on_reply=_ignored)


def _is_wrong_type(reply: Any) -> bool:
    return isinstance(reply, hiredis.ReplyError) and str(reply).startswith("WRONGTYPE")


def _weighed(connection: RespConnection, key: str, length: Any) -> None:
    if isinstance(length, int) and length > _TOO_LONG:
        log.warning("taken out of the cache, for its %d bytes ended a connection: %s", length, key)
        connection.send("UNLINK", key, on_reply=_ignored)


def _ignored(reply: Any) -> None:
    """Bookkeeping that the next tick does again."""
