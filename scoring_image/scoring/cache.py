"""The cache as the service sees it: look up, store, the data epoch, and what of that is possible now."""

from __future__ import annotations

import asyncio
import logging
import time
from typing import Any, Literal

import hiredis
import msgspec

from scoring.entries import encode_entry, output_of
from scoring.keys import key_space, version_tag
from scoring.redis_client import RedisClient, accepted
from scoring.resp import RespConnection
from scoring.settings import Settings
from scoring.stats import Statistics

TICK = 1.0
# A longer answer would hold up everything behind it on the shared connection.
MAX_ENTRY_BYTES = 8 * 1024 * 1024
# How long nothing is stored after Redis refused to: it is full, or a replica that only reads.
_WRITE_PAUSE = 2.0

# Only ever upwards: an epoch key that was evicted or written by an older deployment must not bring old
# answers back.
_RAISE_EPOCH = (
    "local have = tonumber(redis.call('GET', KEYS[1]) or '0') or 0 "
    "if have < tonumber(ARGV[1]) then redis.call('SET', KEYS[1], ARGV[1]) end return 1"
)

log = logging.getLogger("scoring.cache")


class UnavailableError(Exception):
    """The cache cannot be asked now; the answer has to come from the model."""


class Cache:
    """One deployment's entries in Redis, for one model version."""

    def __init__(self, settings: Settings, *, model_version: str, statistics: Statistics) -> None:
        self.epoch = settings.epoch_floor
        self._prefix = settings.prefix
        self._ttl = settings.ttl
        self._model_version = model_version
        self._statistics = statistics
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

    @property
    def space(self) -> str:
        """What the keys of this version and epoch start with, up to the kind."""
        return key_space(self._prefix, self._model_version, self.epoch)

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

    async def get(self, key: str, epoch: int) -> bytes | None:
        """The stored output, or None where there is none of this version. Raises UnavailableError."""
        waiting = self._client.call("GET", key) if self._client is not None else None
        if waiting is None:
            raise UnavailableError
        stored = await waiting
        if stored is None:
            return None
        if _is_wrong_type(stored):
            # Something else lies under our key; SET replaces it.
            return None
        if isinstance(stored, Exception):
            if isinstance(stored, hiredis.ReplyError) and self._client is not None:
                self._client.give_up(str(stored))
            raise UnavailableError
        return output_of(stored, model_version=self._model_version, epoch=epoch)

    def put(self, key: str, output: bytes, *, epoch: int, given: Any = msgspec.UNSET) -> bool:
        """Send an entry on its way, without waiting for it; says whether it was sent."""
        if self._client is None or not self.writable:
            return False
        entry = encode_entry(output, model_version=self._model_version, epoch=epoch, given=given)
        if len(entry) > MAX_ENTRY_BYTES:
            return False
        expiry: tuple[str | int, ...] = ("EX", self._ttl) if self._ttl else ()
        return self._client.send("SET", key, entry, *expiry, on_reply=self._written)

    def _written(self, reply: Any) -> None:
        if isinstance(reply, hiredis.ReplyError):
            self._no_writes_before = time.monotonic() + _WRITE_PAUSE
            log.warning("cache refuses to store: %s; answering without storing for a while", reply)

    async def _greet(self, client: RedisClient, connection: RespConnection) -> None:
        """The first question, of the kind that requests ask: an answer in time means that it works."""
        found = await connection.call("GET", self._epoch_key)
        self._learn(found if _is_wrong_type(found) else accepted(found))
        if client.speaks_resp3:
            connection.send("SUBSCRIBE", self._epoch_key, on_reply=_ignored)
        tag = version_tag(self._model_version, self.epoch)
        connection.send("SADD", f"{self._prefix}:versions", tag, on_reply=_ignored)

    async def _tick(self) -> None:
        while True:
            await asyncio.sleep(TICK)
            client = self._client
            if client is not None and client.up:
                client.send("GET", self._epoch_key, on_reply=self._learn)
                self._flush_statistics(client)

    def _flush_statistics(self, client: RedisClient) -> None:
        if client.up:
            for command in self._statistics.take(self._prefix):
                client.send(*command, on_reply=_ignored)

    def _pushed(self, message: list[Any]) -> None:
        if len(message) == 3 and message[0] == b"message":
            self._learn(message[2])

    def _learn(self, found: Any) -> None:
        """Take over a raised epoch; raise one that was lost, for Redis may evict or be emptied."""
        known = int(found) if isinstance(found, bytes) and found.isdigit() and len(found) < 19 else 0
        if known > self.epoch:
            self.epoch = known
            log.info("data epoch %d", self.epoch)
        elif known < self.epoch and self._client is not None:
            self._client.send("EVAL", _RAISE_EPOCH, 1, self._epoch_key, self.epoch, on_reply=_ignored)


def _is_wrong_type(reply: Any) -> bool:
    return isinstance(reply, hiredis.ReplyError) and str(reply).startswith("WRONGTYPE")


def _ignored(reply: Any) -> None:
    """Bookkeeping that the next tick does again."""
