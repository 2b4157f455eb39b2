"""A way to Redis that can be bent: swallowed, slowed down, or led to another server, as networks and failovers do."""

from __future__ import annotations

import contextlib
import socket
import threading
import time

_PIECE = 65_536


class Proxy:
    """Passes connections on to `port` on loopback; its own address stays the same."""

    def __init__(self, port: int) -> None:
        self.port = port
        self.swallows = False
        self.delay = 0.0
        self._pairs: list[tuple[socket.socket, socket.socket]] = []
        self._listener = socket.create_server(("127.0.0.1", 0))
        threading.Thread(target=self._accept, daemon=True).start()

    @property
    def url(self) -> str:
        """As SCORING_CACHE_URL has it."""
        return f"redis://127.0.0.1:{self._listener.getsockname()[1]}/0"

    def cut(self) -> None:
        """End all connections."""
        pairs, self._pairs = self._pairs, []
        for pair in pairs:
            for end in pair:
                with contextlib.suppress(OSError):
                    end.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        """End everything."""
        self._listener.close()
        self.cut()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                try:
                    server = socket.create_connection(("127.0.0.1", self.port))
                except OSError:
                    client.close()
                    continue
                self._pairs.append((client, server))
                threading.Thread(target=self._pass, args=(client, server, False), daemon=True).start()
                threading.Thread(target=self._pass, args=(server, client, True), daemon=True).start()

    def _pass(self, giver: socket.socket, taker: socket.socket, back: bool) -> None:
        with contextlib.suppress(OSError):
            while piece := giver.recv(_PIECE):
                if self.swallows:
                    continue
                if back and self.delay:
                    time.sleep(self.delay)
                taker.sendall(piece)
        for end in (giver, taker):
            with contextlib.suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)
