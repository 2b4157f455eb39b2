"""The console's way to a queue: send a message, and see what became of it."""

from collections.abc import Mapping
from typing import Any

from redis.exceptions import RedisError

from ...domain.arrivals import Arrival, Fate, FateState
from ...domain.errors import NotFound, Unavailable
from .bus import Message, Queue
from .folders import Folder
from .redis_child import connect

_LOOKED_THROUGH = 1_000  # of the newest messages
_SECONDS = 5.0


def put(folder: Folder, trigger: Mapping[str, Any], arrival: Arrival) -> str:
    """Send the message; the ticket is its id. Raises Unavailable."""
    message = Message(arrival.content, content_type=arrival.content_type, properties=arrival.properties)
    try:
        _queue(folder, trigger["queue_in"]).send(message)
    except RedisError as error:
        raise _away(error) from error
    return message.message_id


def fate(folder: Folder, trigger: Mapping[str, Any], ticket: str) -> Fate:
    """Raises Unavailable, and NotFound for a message that is nowhere: unknown, or long ago."""
    arrived = _queue(folder, trigger["queue_in"])
    try:
        # In this order: meanwhile it goes from the first to one of the others.
        waits = any(message.message_id == ticket for message in arrived.messages(most=_LOOKED_THROUGH))
        answers = _queue(folder, trigger["queue_out"]).messages(most=_LOOKED_THROUGH)
        dead = arrived.dead_letters(most=_LOOKED_THROUGH)
    except RedisError as error:
        raise _away(error) from error
    for answer in answers:
        if answer.correlation_id == ticket:
            return Fate(FateState.DONE, answer.body)
    for letter in dead:
        if letter.message.message_id == ticket:
            return Fate(FateState.POISONED, reason=f"{letter.reason}: {letter.description}")
    if waits:
        return Fate(FateState.WAITING)
    raise NotFound(
        "There is no such message.",
        cause=f"It was never sent, or is not among the last {_LOOKED_THROUGH} any more.",
        action="Read the queue of answers.",
    )


def _queue(folder: Folder, name: str) -> Queue:
    return Queue(connect(folder, texts=False, seconds=_SECONDS), name)


def _away(error: RedisError) -> Unavailable:
    return Unavailable(
        "The queue's server does not take or tell anything now.",
        code="queue_away",
        cause="It is not running, or is full.",
        action="Start a restart run of the deployment; where it is full, read messages from it.",
        raw=str(error),
    )
