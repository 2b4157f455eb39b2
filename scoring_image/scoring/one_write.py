"""A transport that sends what is written in one turn of the event loop at once: one system call and one packet.

uvloop sends at every write, and uvicorn writes the head of an answer and its body apart.
"""

from __future__ import annotations

import asyncio
from typing import Any

# What is longer gains nothing by being put together first.
_LONG = 64 * 1024


class OneWrite(asyncio.Transport):
    """A transport in front of `transport`; reading and flow control are that one's own."""

    def __init__(self, transport: asyncio.Transport, loop: asyncio.AbstractEventLoop) -> None:
        super().__init__()
        self._transport = transport
        self._loop = loop
        self._written: list[bytes] = []
        # Called several times for each request.
        self.is_closing = transport.is_closing  # type: ignore[method-assign]
        self.pause_reading = transport.pause_reading  # type: ignore[method-assign]
        self.resume_reading = transport.resume_reading  # type: ignore[method-assign]

    def write(self, data: Any) -> None:
        if not self._written:
            self._loop.call_soon(self._send)
        self._written.append(data)
        if len(data) > _LONG:
            self._send()

    def close(self) -> None:
        self._send()
        self._transport.close()

    def abort(self) -> None:
        self._transport.abort()

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        return self._transport.get_extra_info(name, default)

    def get_write_buffer_size(self) -> int:
        return self._transport.get_write_buffer_size()

    def set_protocol(self, protocol: asyncio.BaseProtocol) -> None:
        self._transport.set_protocol(protocol)

    def get_protocol(self) -> asyncio.BaseProtocol:
        return self._transport.get_protocol()

    def _send(self) -> None:
        written = self._written
        if written:
            self._transport.write(b"".join(written))
            written.clear()
