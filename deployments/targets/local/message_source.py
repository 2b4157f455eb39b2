"""Messages that arrive in a queue: each is completed with its answer, or put among the dead letters."""

import contextlib
import json
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from threading import Lock
from typing import Any

from redis.exceptions import RedisError

from ...domain.arrivals import Tally
from ...domain.events import message_metadata
from .bus import LOCK_SECONDS, MOST_DELIVERIES, Message, Queue
from .folders import Folder
from .invocations import FunctionAddress, NotKept, NotReached, Outcome
from .pauses import ALONE_AFTER, pause_before
from .redis_child import connect

_WAIT_MS = 100
_REDIS_SECONDS = 10.0
_RENEWALS = 3  # of a lock, before it would lapse


class MessageSource:
    """The queue of one deployment on its own server."""

    def __init__(
        self, folder: Folder, job: Mapping[str, Any], function: FunctionAddress, say: Callable[[str], None]
    ) -> None:
        client = connect(Folder(Path(job["queue_folder"])), texts=False, seconds=_REDIS_SECONDS)
        self._queue = Queue(client, str(job["trigger"]["queue_in"]))
        self._answers = str(job["trigger"]["queue_out"])
        self._most_bytes = int(job["most_bytes"])
        self._function = function
        self._say = say
        self._under_way: dict[str, Message] = {}
        self._broken: Counter[str] = Counter()  # how often the function ended with it
        self._lock = Lock()
        self._renewal_due = 0.0

    def open(self) -> None:
        self._queue.open()

    def take(self, most: int) -> list[Message]:
        received = self._queue.receive(most, wait_ms=_WAIT_MS)
        with self._lock:
            # Its lock may have lapsed while this process was held up; it is still being worked on.
            taken = [message for message in received if message.id not in self._under_way]
            self._under_way.update({message.id: message for message in taken})
        return taken

    def work(self, item: Message) -> None:
        try:
            self._work(item)
        finally:
            with self._lock:
                del self._under_way[item.id]

    def is_alone(self, item: Message) -> bool:
        return self._broken[item.id] >= ALONE_AFTER

    def tend(self) -> None:
        if time.monotonic() < self._renewal_due:
            return
        self._renewal_due = time.monotonic() + LOCK_SECONDS / _RENEWALS
        with self._lock:
            held = list(self._under_way.values())
        self._queue.renew(held)

    def tally(self) -> Tally:
        return self._queue.tally()

    def _work(self, message: Message) -> None:
        began = time.monotonic()
        if message.deliveries > MOST_DELIVERIES:
            # Nobody was left to say what became of the last delivery.
            self._give_up(message, "MaxDeliveryCountExceeded", "the host ended during its last delivery")
            return
        if len(message.body) > self._most_bytes:
            self._give_up(message, "TooLarge", f"{len(message.body)} bytes; the function takes {self._most_bytes}")
            return
        try:
            outcome = self._function.invoke(message.body, self._metadata(message))
        except NotReached:
            self._put_back(message)
            raise
        if outcome.output is None:
            self._failed(message, outcome)
            return
        answer = Message(outcome.output, content_type="application/json", correlation_id=message.message_id)
        with self._kept(message):
            self._queue.complete(message, answer=answer, to=self._answers)
        self._broken.pop(message.id, None)
        took = f"{(time.monotonic() - began) * 1000:.0f} ms"
        self._say(f"{_shown(message)} scored in {took}; {'; '.join(outcome.logs)[:500]}")

    def _failed(self, message: Message, outcome: Outcome) -> None:
        if message.deliveries >= MOST_DELIVERIES:
            self._give_up(message, "MaxDeliveryCountExceeded", outcome.failure, told=outcome.told)
            return
        if outcome.broke_off:
            self._broken[message.id] += 1
        self._queue.abandon(message, seconds=pause_before(message.deliveries, hopeless=outcome.hopeless))
        self._say(f"{_shown(message)} failed, delivery {message.deliveries} of {MOST_DELIVERIES}: {outcome.told}")

    def _give_up(self, message: Message, reason: str, description: str, *, told: str = "") -> None:
        with self._kept(message):
            self._queue.dead_letter(message, reason=reason, description=description)
        self._broken.pop(message.id, None)
        why = f"{reason}: {told or description}"
        self._say(f"{_shown(message)} is a dead letter after {message.deliveries} deliveries: {why}")

    @contextlib.contextmanager
    def _kept(self, message: Message) -> Iterator[None]:
        """What becomes of it cannot be kept: that is the queue's trouble and not counted as the message's."""
        try:
            yield
        except RedisError as error:
            self._put_back(message)
            raise NotKept(f"the queue does not keep what was done: {error}") from error

    def _put_back(self, message: Message) -> None:
        with contextlib.suppress(RedisError):  # its lock lapses then
            self._queue.abandon(message, seconds=0, counted=False)

    def _metadata(self, message: Message) -> dict[str, Any]:
        return message_metadata(
            function=self._function.name,
            message_id=message.message_id,
            deliveries=message.deliveries,
            content_type=message.content_type,
            correlation_id=message.correlation_id,
            enqueued=message.enqueued,
            properties=message.properties,
            now=datetime.now(UTC),
        )


def _shown(message: Message) -> str:
    """The message's name as one line of a log, whatever is in it."""
    return f"Message {json.dumps(message.message_id[:100])}"
