"""One Redis connection that many requests share: commands of one turn of the event loop leave in one write.

Replies come in the order of the commands (RESP), so that a queue of callbacks is all there is to matching
them. The oldest command's age is watched by one timer; a reply that is late, or too long to be one of ours, ends
the connection, for everything behind it is late as well. Pushes of RESP3 (messages of subscriptions) go to a
callback of their own.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from functools import partial
from typing import Any, cast

import hiredis

Reply = Any
OnReply = Callable[[Reply], None]

# The timeout is counted in slices of the loop's own turns: while the loop is held up (the interpreter is busy
# with a model), replies lie unread in the socket, and only one slice passes.
_SLICES = 8
# Time that a long command may take on its way, above the timeout.
_BYTES_PER_SECOND = 20_000_000
# Seconds that a long reply may take to come in, above the timeout, for as long as more of it comes.
_LONGEST_REPLY = 2.0
# No reply that we ask for is longer, and memory is bounded.
_MOST_BYTES = 32 * 1024 * 1024

_INCOMPLETE = object()


class ConnectionLostError(Exception):
    """The connection ended before the reply came; the message says why."""


class RespConnection(asyncio.Protocol):
    """The client's end of a connection; `lost` is done, with the reason, when it has ended.

    `timeout` is in seconds, for each reply.
    """

    def __init__(self, *, timeout: float, on_push: Callable[[list[Any]], None]) -> None:
        self._timeout = timeout
        self.lost: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        self._loop = asyncio.get_running_loop()
        self._on_push = on_push
        self._transport: asyncio.Transport | None = None
        self._reader = hiredis.Reader(notEnoughData=_INCOMPLETE)
        self._waiting: deque[tuple[OnReply, int]] = deque()
        self._slice = 0
        self._outgoing: list[bytes] = []
        self._unfinished = 0
        # How much of the reply had come when that was last looked at, and the seconds that it was given so far.
        self._seen = 0
        self._lent = 0.0
        self._timer: asyncio.TimerHandle | None = None

    def send(self, *command: bytes | str | int, on_reply: OnReply) -> None:
        """Queue a command; `on_reply` gets its reply, a `hiredis.ReplyError`, or a ConnectionLostError."""
        if self.lost.done():
            on_reply(ConnectionLostError(self.lost.result()))
            return
        packed = hiredis.pack_command(cast(Any, command))
        if not self._outgoing:
            self._loop.call_soon(self._flush)
        self._outgoing.append(packed)
        # One more, for the slice that has already begun.
        allowed = 1 + _SLICES + int(_SLICES * len(packed) / _BYTES_PER_SECOND / self._timeout)
        self._waiting.append((on_reply, self._slice + allowed))
        if self._timer is None:
            self._timer = self._loop.call_later(self._timeout / _SLICES, self._check_age)

    def call(self, *command: bytes | str | int) -> asyncio.Future[Reply]:
        """Queue a command; the future's result is what `on_reply` would get."""
        future: asyncio.Future[Reply] = self._loop.create_future()
        self.send(*command, on_reply=partial(_settle, future))
        return future

    def tighten(self, timeout: float) -> None:
        """Give replies less time from now on: getting connected may take longer than asking."""
        self._timeout = timeout
        if self._timer is not None:
            self._timer.cancel()
            self._timer = self._loop.call_later(timeout / _SLICES, self._check_age)

    def close(self, reason: str) -> None:
        """End the connection; everything that waits gets a ConnectionLostError."""
        if self.lost.done():
            return
        self.lost.set_result(reason)
        if self._timer is not None:
            self._timer.cancel()
        if self._transport is not None:
            self._transport.abort()
        waiting, self._waiting = self._waiting, deque()
        for on_reply, _ in waiting:
            on_reply(ConnectionLostError(reason))

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)

    def connection_lost(self, error: Exception | None) -> None:
        self.close(str(error) if error else "Redis closed the connection")

    def data_received(self, data: bytes) -> None:
        self._reader.feed(data)
        self._unfinished += len(data)
        try:
            while (reply := self._reader.gets()) is not _INCOMPLETE:
                self._unfinished = self._seen = 0
                self._lent = 0.0
                # RESP3 confirms a subscription by a push in the place of the reply.
                if isinstance(reply, hiredis.PushNotification) and reply[0] != b"subscribe":
                    self._on_push(reply)
                elif self._waiting:
                    self._waiting.popleft()[0](reply)
                else:
                    self.close("Redis sent a reply that nobody asked for")
                    return
        except hiredis.ProtocolError as error:
            self.close(f"what answers is not Redis: {error}")
        if self._unfinished > _MOST_BYTES:
            self.close(f"Redis sent a reply of more than {_MOST_BYTES} bytes")

    def _flush(self) -> None:
        if self._transport is not None and self._outgoing and not self.lost.done():
            self._transport.write(b"".join(self._outgoing))
        self._outgoing.clear()

    def _check_age(self) -> None:
        self._timer = None
        if self._unfinished > self._seen and self._lent < _LONGEST_REPLY:
            # It is not late but long, and ending the connection would not make it shorter.
            self._seen = self._unfinished
            self._lent += self._timeout / _SLICES
        else:
            self._slice += 1
        if not self._waiting:
            return
        if self._waiting[0][1] <= self._slice:
            self.close(f"Redis did not answer within {self._timeout * 1000:.0f} ms")
            return
        self._timer = self._loop.call_later(self._timeout / _SLICES, self._check_age)


def _settle(future: asyncio.Future[Reply], reply: Reply) -> None:
    if not future.done():
        future.set_result(reply)
