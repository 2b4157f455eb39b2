"""A queue as Service Bus keeps one: peek-lock, delivery count, completion and a dead-letter queue.

Each queue is a Redis stream with one consumer group. A message that was received stays in the group's list of
pending ones, with the time of its lock and the number of its deliveries, until it is completed or dead-lettered;
both, and the answer that goes with a completion, are one transaction. A lock that is not renewed lapses, and the
message is delivered again.
"""

import contextlib
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


@dataclass(frozen=True)
class Message:
    """One message. `id` is its place in the queue, `deliveries` counts this one; both are given by the queue."""

    body: bytes
    message_id: str = field(default_factory=lambda: uuid4().hex)
    content_type: str = ""
    correlation_id: str = ""
    properties: Mapping[str, Any] = field(default_factory=dict)
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
        with contextlib.suppress(ResponseError):  # it is there
            self._client.xgroup_create(self._stream, _GROUP, id=_START, mkstream=True)
        held = self._client.xpending_range(self._stream, _GROUP, min="-", max="+", count=10_000)
        for entry in held:
            self._lapse(entry["message_id"].decode(), seconds=0)

    def receive(self, most: int, *, wait_ms: int) -> list[Message]:
        """Lock up to `most` messages: first those whose lock has lapsed, then new ones, waiting for one of those."""
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
            self._client.xclaim(
                self._stream, _GROUP, _CONSUMER, min_idle_time=0, message_ids=[message.id], idle=0, justid=True
            )

    def complete(self, message: Message, *, answer: Message, to: str) -> None:
        """Send the answer to the queue `to` and take the message off this one, both or neither."""
        with self._client.pipeline(transaction=True) as pipe:
            pipe.xadd(stream_of(to), _fields(answer))
            pipe.incr(self._done)
            self._take_off(pipe, message)
            pipe.execute()

    def abandon(self, message: Message, *, seconds: float, counted: bool = True) -> None:
        """Let it be delivered again after so many seconds; not `counted` where it never reached the function."""
        self._lapse(message.id, seconds=seconds, deliveries=None if counted else message.deliveries - 1)

    def dead_letter(self, message: Message, *, reason: str, description: str) -> None:
        """Move it to the dead-letter queue, where it stays."""
        more = {"reason": reason, "description": description, "deliveries": message.deliveries}
        with self._client.pipeline(transaction=True) as pipe:
            pipe.xadd(self._dead, {**_fields(message), **more})
            self._take_off(pipe, message)
            pipe.execute()

    def tally(self) -> Tally:
        with self._client.pipeline(transaction=False) as pipe:
            pipe.xlen(self._stream).get(self._done).xlen(self._dead)
            waiting, done, poisoned = pipe.execute()
        return Tally(waiting, int(done or 0), poisoned)

    def messages(self, *, most: int = 100) -> list[Message]:
        """The newest that are in the queue, locked or not; looking changes nothing."""
        found = self._client.xrevrange(self._stream, count=most)
        return [_message(entry.decode(), fields, 0) for entry, fields in found]

    def dead_letters(self, *, most: int = 100) -> list[DeadLetter]:
        """The newest that were given up."""
        found = self._client.xrevrange(self._dead, count=most)
        return [
            DeadLetter(
                _message(entry.decode(), fields, int(fields[b"deliveries"])),
                fields[b"reason"].decode(),
                fields[b"description"].decode(),
            )
            for entry, fields in found
        ]

    def _lapse(self, entry: str, *, seconds: float, deliveries: int | None = None) -> None:
        """Set the lock so that it lapses in so many seconds."""
        idle = max(0, self._lock_ms - round(seconds * 1000))
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

    def _deliveries(self, entry: bytes) -> int:
        pending = self._client.xpending_range(self._stream, _GROUP, min=entry, max=entry, count=1)
        return int(pending[0]["times_delivered"]) if pending else 1

    def _take_off(self, pipe: Any, message: Message) -> None:
        pipe.xack(self._stream, _GROUP, message.id)
        pipe.xdel(self._stream, message.id)


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
    }


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
        id=entry,
        deliveries=deliveries,
    )
