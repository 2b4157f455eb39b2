"""The console's way to a folder of blobs: put one there, and see what became of it."""

import errno
import sqlite3
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from uuid import uuid4

from ...domain.arrivals import Arrival, Fate, FateState
from ...domain.blob_paths import SYSTEM, BlobPath, checked_paths
from ...domain.errors import ConsoleError, NotFound, Unavailable
from .blob_folder import Changed
from .blob_source import RECEIPTS
from .blob_store import store_of
from .receipts import State, receipt_of

_MOST_ANSWER_BYTES = 5 * 1024 * 1024
_IN_THE_WAY = frozenset({errno.EISDIR, errno.ENOTDIR, errno.ELOOP, errno.ENAMETOOLONG})


def put(folder: Path, trigger: Mapping[str, Any], arrival: Arrival) -> str:
    """Write the blob; the ticket is its version and its name.

    Raises ConsoleError for a name that is never taken or that is in the way of others, Unavailable.
    """
    path_in, _ = checked_paths(trigger["path_in"], trigger["path_out"])
    now = datetime.now(UTC)
    name = arrival.name or path_in.fill(dict.fromkeys(path_in.names, f"put-{uuid4().hex[:8]}"), now=now)
    _check(path_in, name)
    try:
        return f"{store_of(folder).write(path_in.container, name, arrival.content)}:{name}"
    except OSError as error:
        if error.errno in _IN_THE_WAY:
            raise _bad_name(name, f"Another blob or a folder is in its way: {error.strerror}.") from error
        raise _away(error) from error
    except Changed as error:
        raise _away(error) from error


def fate(folder: Path, trigger: Mapping[str, Any], ticket: str) -> Fate:
    """Raises NotFound for a ticket that no `put` gave, Unavailable."""
    path_in, path_out = checked_paths(trigger["path_in"], trigger["path_out"])
    etag, _, name = ticket.partition(":")
    try:
        values = _check(path_in, name)
    except ConsoleError as error:
        raise NotFound("There is no such arrival.", cause="The ticket is not one that was given here.") from error
    try:
        receipt = receipt_of(folder / RECEIPTS, name)
    except sqlite3.Error:
        receipt = None
    try:
        blobs = store_of(folder)
        if receipt is None or receipt.etag != etag:
            there = blobs.find(path_in.container, name)
            if there is None or there.etag != etag:
                return Fate(FateState.DONE, reason="it was taken away, or another blob has its name now")
            return Fate(FateState.WAITING)
        if receipt.state == State.AGAIN:
            return Fate(FateState.WAITING, reason=receipt.reason, quotes_input=True)
        if receipt.state == State.POISON:
            return Fate(FateState.POISONED, reason=receipt.reason, quotes_input=True)
        if any(expression in SYSTEM for expression in path_out.names):
            return Fate(FateState.DONE, reason=f"its answer is under a name of its own in {path_out.container}")
        answer = blobs.find(path_out.container, path_out.fill(values, now=datetime.now(UTC)))
        if answer is None or answer.size > _MOST_ANSWER_BYTES:
            return Fate(FateState.DONE, reason="its answer was taken away, or is too long to be shown")
        return Fate(FateState.DONE, blobs.read(path_out.container, answer))
    except (Changed, FileNotFoundError):
        return Fate(FateState.DONE, reason="its answer was taken away, or is being written anew")
    except OSError as error:
        raise _away(error) from error


def _check(path: BlobPath, name: str) -> dict[str, str]:
    """What the name's expressions stand for. Raises ConsoleError for a name that the trigger would not take."""
    values = path.match(name)
    try:
        BlobPath("any/{name}").fill({"name": name}, now=datetime.now(UTC))
    except ValueError:
        values = None
    if values is None or any(part.startswith(".") for part in name.split("/")) or not name.isprintable():
        raise _bad_name(name, f"It has to match {path.text}, and no part of it may begin with a dot.")
    return values


def _bad_name(name: str, cause: str) -> ConsoleError:
    return ConsoleError(
        f"“{name[:80]}” is no name for a blob of this trigger.",
        cause=cause,
        action="Choose another name, or none.",
        field="name",
        code="bad_name",
    )


def _away(error: Exception) -> Unavailable:
    return Unavailable(
        "Where blobs are kept does not take or tell anything now.",
        code="blobs_away",
        cause="Its disk is full, it does not answer, or the deployment is being removed.",
        action="Try again soon; the deployment's page says how its trigger is.",
        raw=str(error),
    )
