"""Opening the model beside everything else: it may take minutes, in which /healthz is answered and a stop obeyed."""

from __future__ import annotations

import asyncio
import logging
import threading
from collections.abc import Callable
from typing import TypeVar

from scoring.errors import ScoringError, load_failed
from scoring.inputs import Reader, Request
from scoring.manifest import Input
from scoring.model import example_body
from scoring.opening import OpenError

T = TypeVar("T")

log = logging.getLogger("scoring")


def aside(work: Callable[[], T]) -> asyncio.Future[T]:
    """Run `work` in a thread that a stop need not wait for."""
    loop = asyncio.get_running_loop()
    future: asyncio.Future[T] = loop.create_future()

    def settle(result: T | None, error: BaseException | None) -> None:
        if future.done():
            return
        if error is not None:
            future.set_exception(error)
        else:
            future.set_result(result)  # type: ignore[arg-type]

    def run() -> None:
        try:
            result = work()
        except BaseException as error:
            loop.call_soon_threadsafe(settle, None, error)
        else:
            loop.call_soon_threadsafe(settle, result, None)

    threading.Thread(target=run, name="open-model", daemon=True).start()
    return future


def example_of(schema: Input, reader: Reader) -> Request | None:
    """The manifest's example, read; None where there is none that can be."""
    body = example_body(schema)
    if body is None:
        return None
    try:
        return reader.read(body)
    except ScoringError as error:
        log.warning("the example in the manifest cannot be read: %s", error)
        return None


def failure_of(error: Exception) -> ScoringError:
    """What every request is told from now on, and the log at once."""
    if isinstance(error, OpenError):
        log.error("the model could not be opened: %s", error.message)
        return load_failed(error.code, f"{error.message} {error.cause}", error.action)
    log.error("the model could not be opened", exc_info=error)
    return load_failed(
        "crashed",
        f"Opening the model raised {type(error).__name__}: {error}",
        "The function's log has the trace.",
    )
