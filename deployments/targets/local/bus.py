"""A queue as Service Bus keeps one: peek-lock, delivery count, completion and a dead-letter queue.

Each queue is a Redis stream with one consumer group. A message that was received stays in the group's list of
pending ones, with the time of its lock and the number of its deliveries, until it is completed or dead-lettered;
both, and the answer that goes with a completion, are one script, which does nothing for a message that is not pending
any more. It takes the message off before it adds anything: a server that is full takes no new message, but lets those
it has be finished. A lock that is not renewed lapses, and the message is delivered again.
"""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any
from uuid import uuid4

from redis.exceptions import ResponseError

from ...domain.arrivals import Tally

LOCK_SECONDS = 30.0
MOST_DELIVERIES = 10  # the default of a Service Bus queue
_GROUP = "host"
_CONSUMER = "host"
_START = "0-0"
DONE, DEAD = "done", "dead"
_FATE_SECONDS = 24 * 3600

# KEYS: the queue, where the message goes, the count to raise or "", where its fate is kept or "". ARGV: the group,
# the message's place, for how many seconds its fate is kept, the fate's name, and the fields to add.
# What could fail in the middle is looked at first, for a script is not undone.
_MOVE = """
local kind = redis.call('TYPE', KEYS[2]).ok
if kind ~= 'stream' and kind ~= 'none' then return redis.error_reply('WRONGTYPE ' .. KEYS[2] .. ' is no queue') end
if redis.call('XACK', KEYS[1], ARGV[1], ARGV[2]) == 0 then return false end
redis.call('XDEL', KEYS[1], ARGV[2])
local place = redis.call('XADD', KEYS[2], '*', unpack(ARGV, 5))
if KEYS[3] ~= '' then redis.call('INCR', KEYS[3]) end
if KEYS[4] ~= '' then redis.call('SET', KEYS[4], ARGV[4] .. ' ' .. place, 'EX', ARGV[3]) end
return place
"""


@dataclass(frozen=True)
class Message:
    """One message. `id` is its place in the queue, `deliveries` counts this one; both are given by the queue.

    Of one that is `followed` the queue remembers for a day where it went.
    """

    body: bytes
    message_id: str = field(default_factory=lambda: uuid4().hex)
    content_type: str = ""
    correlation_id: str = ""
    properties: Mapping[str, Any] = field(default_factory=dict)
    followed: bool = False
    id: str = ""
    deliveries: int = 0

    @property
    def enqueued(self) -> datetime:
        return datetime.fromtimestamp(int(self.id.partition("-")[0]) / 1000, UTC)


@dataclass(frozen=True)
class DeadLetter:
    """A message that was given up, and why."""

    message: Message
    reason: str
    description: str


class Queue:
    """One named queue on a server; `client` must not decode its answers. Every method may raise RedisError."""

    def __init__(self, client: Any, name: str, *, lock_seconds: float = LOCK_SECONDS) -> None:
        self._client = client  # a redis.Redis, whose own types know nothing of what is decoded
        self._stream = stream_of(name)
        self._dead = f"{self._stream}/$deadletter"
        self._done = f"{self._stream}/$done"
        self._lock_ms = round(lock_seconds * 1000)

    def send(self, message: Message) -> str:
        """Returns the message's id in the queue, once it is on the disk."""
        return str(self._client.xadd(self._stream, _fields(message)).decode())

    def open(self) -> None:
        """Make the group where it is missing, and unlock what a predecessor held: there is one receiver, this one."""
        self._make_group()
        held = self._client.xpending_range(self._stream, _GROUP, min="-", max="+", count=10_000)
        for entry in held:
            self._lapse(entry["message_id"].decode(), seconds=0)

    def receive(self, most: int, *, wait_ms: int) -> list[Message]:
        """Lock up to `most` messages: first those whose lock has lapsed, then new ones, waiting for one of those.

        A queue that somebody deleted is made anew.
        """
        try:
            return self._receive(most, wait_ms)
        except ResponseError as error:
            if not _is_without_group(error):
                raise
            self._make_group()
            return []

    def _receive(self, most: int, wait_ms: int) -> list[Message]:
        _, lapsed, *_ = self._client.xautoclaim(
            self._stream, _GROUP, _CONSUMER, min_idle_time=self._lock_ms, start_id=_START, count=most
        )
        found = [(entry, fields) for entry, fields in lapsed if fields]
        if len(found) < most:
            new = self._client.xreadgroup(
                _GROUP, _CONSUMER, {self._stream: ">"}, count=most - len(found), block=1 if found else wait_ms
            )
            found += [entry for _, entries in new or () for entry in entries]
        return [_message(entry.decode(), fields, self._deliveries(entry)) for entry, fields in found]

    def renew(self, messages: Iterable[Message]) -> None:
        """Begin their locks anew."""
        for message in messages:
            self._lapse(message.id, seconds=self._lock_ms / 1000)

    def complete(self, message: Message, *, answer: Message, to: str) -> None:
        """Send the answer to the queue `to` and take the message off this one, both or neither; once."""
        self._move(message, to=stream_of(to), fields=_fields(answer), fate=DONE)

    def abandon(self, message: Message, *, seconds: float, counted: bool = True) -> None:
        """Let it be delivered again after so many seconds; not `counted` where it never reached the function."""
        self._lapse(message.id, seconds=seconds, deliveries=None if counted else message.deliveries - 1)

    def dead_letter(self, message: Message, *, reason: str, description: str) -> None:
        """Move it to the dead-letter queue, where it stays."""
        more = {"reason": reason, "description": description, "deliveries": message.deliveries}
        self._move(message, to=self._dead, fields={**_fields(message), **more}, fate=DEAD)

    def tally(self) -> Tally:
        with self._client.pipeline(transaction=False) as pipe:
            pipe.xlen(self._stream).get(self._done).xlen(self._dead)
            waiting, done, poisoned = pipe.execute()
        return Tally(waiting, int(done or 0), poisoned)

    def messages(self, *, most: int = 100) -> list[Message]:
        """The newest that are in the queue, locked or not; looking changes nothing."""
        found = self._client.xrevrange(self._stream, count=most)
        return [_message(entry.decode(), fields, 0) for entry, fields in found]

    def fate_of(self, place: str) -> tuple[str, str]:
        """What became of the followed message with that id, DONE or DEAD, and its place there; "" if nobody knows."""
        fate, _, went = (self._client.get(self._fate_key(place)) or b"").decode().partition(" ")
        return fate, went

    def at(self, place: str) -> Message | None:
        """The message with that id, locked or not, if it is there."""
        found = self._client.xrange(self._stream, min=place, max=place, count=1)
        return _message(found[0][0].decode(), found[0][1], 0) if found else None

    def dead_letter_at(self, place: str) -> DeadLetter | None:
        """The dead letter with that id, if it is there."""
        found = self._client.xrange(self._dead, min=place, max=place, count=1)
        return _dead_letter(*found[0]) if found else None

    def dead_letters(self, *, most: int = 100) -> list[DeadLetter]:
        """The newest that were given up."""
        found = self._client.xrevrange(self._dead, count=most)
        return [_dead_letter(entry, fields) for entry, fields in found]

    def _make_group(self) -> None:
        try:
            self._client.xgroup_create(self._stream, _GROUP, id=_START, mkstream=True)
        except ResponseError as error:
            if not str(error).startswith("BUSYGROUP"):  # it is there
                raise

    def _move(self, message: Message, *, to: str, fields: Mapping[Any, Any], fate: str) -> None:
        counter = self._done if fate == DONE else ""
        key = self._fate_key(message.id) if message.followed else ""
        told = [part for pair in fields.items() for part in pair]
        self._client.eval(_MOVE, 4, self._stream, to, counter, key, _GROUP, message.id, _FATE_SECONDS, fate, *told)

    def _fate_key(self, place: str) -> str:
        return f"{self._stream}/$fate/{place}"

    def _lapse(self, entry: str, *, seconds: float, deliveries: int | None = None) -> None:
        """Set the lock so that it lapses in so many seconds."""
        idle = max(0, self._lock_ms - round(seconds * 1000))
        try:
            self._client.xclaim(
                self._stream,
                _GROUP,
                _CONSUMER,
                min_idle_time=0,
                message_ids=[entry],
                idle=idle,
                retrycount=deliveries,
                justid=True,
            )
        except ResponseError as error:
            if not _is_without_group(error):  # with the queue the message is gone
                raise

    def _deliveries(self, entry: bytes) -> int:
        pending = self._client.xpending_range(self._stream, _GROUP, min=entry, max=entry, count=1)
        return int(pending[0]["times_delivered"]) if pending else 1


def stream_of(queue: str) -> str:
    """The key of the queue's stream."""
    return f"queue:{queue}"


def _fields(message: Message) -> dict[Any, Any]:
    return {
        "body": message.body,
        "message_id": message.message_id,
        "content_type": message.content_type,
        "correlation_id": message.correlation_id,
        "properties": json.dumps(dict(message.properties)),
        **({"followed": 1} if message.followed else {}),
    }


def _is_without_group(error: ResponseError) -> bool:
    return str(error).startswith("NOGROUP")


def _dead_letter(entry: bytes, fields: Mapping[bytes, bytes]) -> DeadLetter:
    message = _message(entry.decode(), fields, int(fields[b"deliveries"]))
    return DeadLetter(message, fields[b"reason"].decode(), fields[b"description"].decode())


def _message(entry: str, fields: Mapping[bytes, bytes], deliveries: int) -> Message:
    """A message as it is in the stream; whoever wrote it may have left fields out."""
    try:
        properties = json.loads(fields.get(b"properties", b"{}"))
    except (ValueError, RecursionError):
        properties = {}
    return Message(
        body=fields.get(b"body", b""),
        message_id=fields.get(b"message_id", b"").decode(errors="replace") or entry,
        content_type=fields.get(b"content_type", b"").decode(errors="replace"),
        correlation_id=fields.get(b"correlation_id", b"").decode(errors="replace"),
        properties=properties if isinstance(properties, dict) else {},
        followed=b"followed" in fields,
        id=entry,
        deliveries=deliveries,
    )
