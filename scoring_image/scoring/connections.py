"""The callers' connections, with the bounds that uvicorn leaves open: a head's size, and the time it may arrive in."""

from __future__ import annotations

import asyncio
from asyncio import Protocol
from collections.abc import Iterable

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from scoring.errors import ScoringError
from scoring.one_write import OneWrite

# Of a request's line and headers, in bytes. What the system hands over at once may be more than that.
MOST_HEAD = 64 * 1024
# Seconds in which a head must be there, and for which a body may stand still.
ARRIVES = 30.0


class Connection(HttpToolsProtocol):
    """One caller's connection; `arriving` while a request has begun to come and is not whole."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        self._head: int | None = None
        self.arriving = False
        self._heard = self.loop.time()
        super().connection_made(OneWrite(transport, self.loop))

    def data_received(self, data: bytes) -> None:
        began = self._heard
        self._heard = self.loop.time()
        super().data_received(data)
        if self._head is not None:
            # A head is timed from its first byte on, a body from its last.
            self._heard = began if self._head else self._heard
            self._head += len(data)
            if self._head > MOST_HEAD and not self.transport.is_closing():
                self._refuse(_HEAD_TOO_LARGE)

    def on_message_begin(self) -> None:
        self._head = 0
        self.arriving = True
        super().on_message_begin()

    def on_headers_complete(self) -> None:
        self._head = None
        super().on_headers_complete()

    def on_message_complete(self) -> None:
        self.arriving = False
        super().on_message_complete()

    def send_400_response(self, msg: str) -> None:
        """What cannot be read as HTTP."""
        self._refuse(_NOT_HTTP)

    def hurry(self, now: float) -> None:
        """End it where a request began to arrive and does not go on, or none ever came."""
        if now - self._heard <= ARRIVES or self._owes_an_answer():
            return
        if self.arriving:
            self._refuse(_TOO_SLOW)
        elif self.cycle is None:
            self.transport.close()

    def _owes_an_answer(self) -> bool:
        """Whether a whole request is being answered, behind which another may have been sent in part."""
        cycle = self.cycle
        return bool(self.pipeline) or (cycle is not None and not cycle.response_complete and not cycle.more_body)

    def _refuse(self, error: ScoringError) -> None:
        body = error.body()
        head = f"HTTP/1.1 {error.status} {_PHRASES[error.status]}\r\nconnection: close\r\n"
        head += f"content-type: application/json\r\ncontent-length: {len(body)}\r\n\r\n"
        if self.cycle is None or self.cycle.response_complete or not self.cycle.response_started:
            self.transport.write(head.encode() + body)
        self.transport.close()


def hurry(connections: Iterable[Protocol], now: float) -> None:
    """End those of the connections whose request does not arrive; `now` is the event loop's time."""
    for connection in list(connections):
        if isinstance(connection, Connection):
            connection.hurry(now)


_PHRASES = {400: "Bad Request", 408: "Request Timeout", 431: "Request Header Fields Too Large"}
_NOT_HTTP = ScoringError(
    400, "bad_http", "What was sent cannot be read as an HTTP/1.1 request.", "Send it with an HTTP client."
)
_TOO_SLOW = ScoringError(
    408, "slow_request", f"The request did not go on arriving for {ARRIVES:.0f} seconds.", "Send it in one go."
)
_HEAD_TOO_LARGE = ScoringError(
    431,
    "head_too_large",
    f"The request's line and headers are longer than {MOST_HEAD} bytes.",
    "Send the rows in the body, and only the headers that are needed.",
)
