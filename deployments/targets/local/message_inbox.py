"""The console's way to a queue: send a message, and see what became of it."""

import re
from collections.abc import Mapping
from typing import Any

from redis.exceptions import RedisError

from ...domain.arrivals import Arrival, Fate, FateState
from ...domain.errors import NotFound, Unavailable
from .bus import DEAD, Message, Queue
from .folders import Folder
from .redis_child import connect

_SECONDS = 5.0
_TICKET = re.compile(r"[0-9]{1,19}-[0-9]{1,19}", re.ASCII)


def put(folder: Folder, trigger: Mapping[str, Any], arrival: Arrival) -> str:
    """Send the message; the ticket is its place in the queue. Raises Unavailable."""
    message = Message(arrival.content, content_type=arrival.content_type, properties=arrival.properties, followed=True)
    try:
        return _queue(folder, trigger["queue_in"]).send(message)
    except RedisError as error:
        raise _away(error) from error


def fate(folder: Folder, trigger: Mapping[str, Any], ticket: str) -> Fate:
    """Raises Unavailable, and NotFound for a message that is nowhere: unknown, or long ago."""
    if not _TICKET.fullmatch(ticket):
        raise _unknown()
    arrived = _queue(folder, trigger["queue_in"])
    try:
        # In this order: meanwhile it goes from the first to one of the others.
        if arrived.at(ticket) is not None:
            return Fate(FateState.WAITING)
        became, place = arrived.fate_of(ticket)
        if not became:
            raise _unknown()
        if became == DEAD:
            letter = arrived.dead_letter_at(place)
            why = f"{letter.reason}: {letter.description}" if letter else "its dead letter was taken away"
            return Fate(FateState.POISONED, reason=why, quotes_input=letter is not None)
        answer = _queue(folder, trigger["queue_out"]).at(place)
    except RedisError as error:
        raise _away(error) from error
    return Fate(FateState.DONE, answer.body) if answer else Fate(FateState.DONE, reason="its answer was taken away")


def _queue(folder: Folder, name: str) -> Queue:
    return Queue(connect(folder, texts=False, seconds=_SECONDS), name)


def _unknown() -> NotFound:
    return NotFound(
        "There is no such message.",
        cause="It was never sent from here, or more than a day ago.",
        action="Read the queue of answers.",
    )


def _away(error: RedisError) -> Unavailable:
    return Unavailable(
        "The queue's server does not take or tell anything now.",
        code="queue_away",
        cause="It is not running, or is full.",
        action="Start a restart run of the deployment; where it is full, read messages from it.",
        raw=str(error),
    )
