"""The end of an HTTP call, whatever the other side sends until then."""

import socket
import threading
from collections.abc import Mapping
from contextlib import suppress
from types import TracebackType
from typing import Any, Self


class Deadline:
    """Ends the connection of one httpx call when its time is up.

    httpx's own timeouts hold for each wait alone: a byte a minute, in the headers or in the body, keeps a call for
    ever. Give `trace` to the request as its extension of that name, and ask `passed` after the call: a connection
    that is ended here may look like the plain end of an answer.
    """

    def __init__(self, seconds: float) -> None:
        self.passed = False
        self._socket: socket.socket | None = None
        self._timer = threading.Timer(seconds, self._end)
        self._timer.daemon = True

    def __enter__(self) -> Self:
        self._timer.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._timer.cancel()

    def trace(self, event: str, info: Mapping[str, Any]) -> None:
        """Learn the socket as it is opened, and anew as it is wrapped: httpcore's events, see its `trace` extension."""
        if event.endswith((".connect_tcp.complete", ".start_tls.complete")):
            self._socket = info["return_value"].get_extra_info("socket")
            if self.passed:
                self._end()

    def _end(self) -> None:
        self.passed = True
        if self._socket is not None:
            # Closing would not wake the thread that waits for a byte. The base class's method, because that of a
            # TLS socket also forgets the encryption that this thread is using.
            with suppress(OSError):
                socket.socket.shutdown(self._socket, socket.SHUT_RDWR)
