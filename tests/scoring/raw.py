"""Bytes on a socket, for what no HTTP client can be made to send."""

from __future__ import annotations

import json
import socket
import struct
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Answer:
    """One answer; header names in lower case."""

    status: int
    headers: dict[str, str]
    body: bytes

    def json(self) -> Any:
        """The body, read."""
        return json.loads(self.body)


class Wire:
    """A connection on which whatever is wanted is sent."""

    def __init__(self, port: int) -> None:
        self._socket = socket.create_connection(("127.0.0.1", port), timeout=20)
        self._file = self._socket.makefile("rb")

    def send(self, data: bytes) -> None:
        """All of it."""
        self._socket.sendall(data)

    def send_until_refused(self, parts: Iterable[bytes]) -> int:
        """One part after the other, until the other end closes; the bytes sent."""
        sent = 0
        try:
            for part in parts:
                self._socket.sendall(part)
                sent += len(part)
        except OSError:
            pass
        return sent

    def answer(self) -> Answer:
        """The next answer. Raises EOFError where there is none any more."""
        line = self._file.readline()
        if not line:
            raise EOFError
        headers = {}
        while header := self._file.readline().strip():
            name, _, value = header.decode().partition(":")
            headers[name.lower()] = value.strip()
        return Answer(int(line.split()[1]), headers, self._file.read(int(headers.get("content-length", 0))))

    def is_closed(self) -> bool:
        """Whether the other end closes without another byte."""
        try:
            return self._file.read(1) == b""
        except ConnectionResetError:
            return True

    def reset(self) -> None:
        """Leave without a word, as one does who is killed."""
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.close()

    def close(self) -> None:
        """Leave."""
        self._file.close()
        self._socket.close()
