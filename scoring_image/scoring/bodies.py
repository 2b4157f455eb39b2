"""Reading a request's body: up to a limit, not for ever, and not more of them at once than memory is there for."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator, Mapping, MutableMapping
from contextlib import contextmanager
from typing import Any

from scoring.errors import ScoringError, too_large, try_again

Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]

# A body may come as slowly as this allows, and no slower.
_SECONDS = 120.0
# So many bytes of bodies may be under way in one process, and four of the largest in any case.
_MOST_HELD = 64 * 1024 * 1024
_MOST_LARGEST = 4
# Smaller ones are not counted: how many requests may be under way bounds them.
SMALL = 64 * 1024


class ClientGoneError(Exception):
    """The caller hung up before the whole request had come."""


class Bodies:
    """Reads the bodies of one process; `largest` is the most bytes that one may have."""

    def __init__(self, largest: int) -> None:
        self._most_held = max(_MOST_HELD, _MOST_LARGEST * largest)
        self._held = 0

    @contextmanager
    def held(self, body: bytes) -> Iterator[None]:
        """Count a body among those under way. Raises a 503 where they are too many."""
        size = len(body)
        self._hold(size)
        try:
            yield
        finally:
            self._held -= size

    async def read(self, headers: Mapping[bytes, bytes], receive: Receive, *, most: int) -> bytes:
        """The whole body.

        Raises ScoringError: 413 for more than `most` bytes, without reading what is announced to be longer; 415 for
        one that is compressed; 408 for one that comes too slowly; 503 where too much is under way. Raises
        ClientGoneError.
        """
        encoding = headers.get(b"content-encoding")
        if encoding is not None and encoding != b"identity":
            raise ScoringError(
                415,
                "unsupported_encoding",
                f"The body's encoding {encoding.decode('latin-1')} is not read here.",
                "Send the body uncompressed.",
            )
        announced = headers.get(b"content-length", b"")
        if announced.isdigit() and int(announced) > most:
            raise _too_long(most)
        event = await receive()
        if event["type"] == "http.request" and not event.get("more_body"):
            body: bytes = event.get("body", b"")
            if len(body) > most:
                raise _too_long(most)
            return body
        try:
            async with asyncio.timeout(_SECONDS):
                return await self._rest(event, receive, most)
        except TimeoutError:
            raise ScoringError(
                408,
                "slow_body",
                f"The body did not come within {_SECONDS:g} seconds.",
                "Send fewer rows at once, or over a faster line.",
                headers=_CLOSE,
            ) from None

    async def _rest(self, event: MutableMapping[str, Any], receive: Receive, most: int) -> bytes:
        parts = bytearray()
        try:
            while event["type"] == "http.request":
                part = event.get("body", b"")
                self._hold(len(part))
                parts += part
                if len(parts) > most:
                    raise _too_long(most)
                if not event.get("more_body"):
                    return bytes(parts)
                event = await receive()
            raise ClientGoneError
        finally:
            self._held -= len(parts)

    def _hold(self, size: int) -> None:
        if self._held + size > self._most_held:
            raise try_again(
                "overloaded", "The function holds as many requests as it has memory for.", "Try again soon."
            )
        self._held += size


# The rest of such a body is not read, so the connection cannot be used again.
_CLOSE = ((b"connection", b"close"),)


def _too_long(most: int) -> ScoringError:
    error = too_large(
        "too_large",
        f"The body is longer than {most} bytes, the most that this function takes.",
        "Send the rows in several requests.",
    )
    error.headers = _CLOSE
    return error
