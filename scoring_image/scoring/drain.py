"""uvicorn's server, ending in steps so that a stop loses no request, and ending itself when the model is stuck."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import logging
import math
import os
import socket
import time
from types import FrameType

import uvicorn

from scoring.connections import Connection, hurry
from scoring.server import Application
from scoring.service import Service
from scoring.watchdog import STUCK, Watchdog

# For so long after SIGTERM every answer ends its connection, and who comes anew is still answered.
_NOTICE_SECONDS = 0.5
# Then nobody is taken on any more, and only after this the connections that are idle are closed: a request that is on
# its way on one of them would be lost otherwise.
_QUIET_SECONDS = 0.4
# How long answers that are being worked on may take after that, or as long as one prediction may if that is longer.
_DRAIN_SECONDS = 25
# So much longer than a prediction may take the loop may stand still.
_LOOP_GRACE = 5.0
_TICKS_A_SECOND = 10
# A process that was frozen finds a model stuck that is about to return: so many ticks it must be.
_STUCK_TICKS = 10

# New objects between two collections: Python's 700 are the garbage-free work of a few requests.
_COLLECT_EVERY = 20_000

log = logging.getLogger("scoring")


class Server(uvicorn.Server):
    """Serves until it is told to end; `outcome` is then the process's exit code."""

    def __init__(self, service: Service, application: Application) -> None:
        super().__init__(
            uvicorn.Config(
                application,
                http=Connection,
                ws="none",
                loop="auto",
                lifespan="on",
                log_config=None,
                access_log=False,
                server_header=False,
                proxy_headers=False,
                timeout_graceful_shutdown=math.ceil(max(_DRAIN_SECONDS, service.settings.predict_seconds)),
            )
        )
        self.outcome = 0
        self._service = service
        self._application = application
        self._closing_since: float | None = None
        self._watchdog = Watchdog("the event loop")
        self._watched_at = 0.0
        self._stuck = 0
        self._settled = False
        self._shut = False
        self._taken_on: list[asyncio.Task[None]] = []

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """Give notice at the first signal; a second one ends the notice."""
        if not self.started:
            # Nothing was taken on yet, and opening the model may take minutes.
            logging.shutdown()
            os._exit(0)
        if self._closing_since is None:
            self._application.closing = True
            self._closing_since = time.monotonic()
        else:
            self.should_exit = True

    def _close(self, since: float) -> None:
        if since >= _NOTICE_SECONDS and not self._shut:
            self._shut = True
            for server in self.servers:
                self._stop_listening(server)
        if since >= _NOTICE_SECONDS + _QUIET_SECONDS:
            self.should_exit = True
            # Nobody looks at the time any more from here on.
            seconds = self._service.settings.predict_seconds + _DRAIN_SECONDS + _LOOP_GRACE
            self._watchdog.watch(seconds)

    def _stop_listening(self, server: asyncio.Server) -> None:
        """Close the listening sockets; who is connected already and waits to be accepted is still taken on."""
        rest: list[socket.socket] = []
        # Where no more descriptors are to be had, whoever is connected by now is still answered.
        with contextlib.suppress(OSError):
            rest += [socket.socket(fileno=os.dup(listener.fileno())) for listener in server.sockets]
        server.close()
        for listener in rest:
            with listener, contextlib.suppress(OSError):
                listener.setblocking(False)
                while True:
                    with contextlib.suppress(ConnectionAbortedError):
                        accepted, _ = listener.accept()
                        self._taken_on.append(asyncio.create_task(self._take_on(accepted)))

    async def _take_on(self, accepted: socket.socket) -> None:
        with contextlib.suppress(OSError):
            await asyncio.get_running_loop().connect_accepted_socket(
                lambda: Connection(self.config, self.server_state, self.lifespan.state), accepted
            )

    async def on_tick(self, counter: int) -> bool:
        """Called `_TICKS_A_SECOND` times a second."""
        now = time.monotonic()
        self._stuck = self._stuck + 1 if self._service.runner.stuck else 0
        if self._stuck >= _STUCK_TICKS and self._closing_since is None:
            log.error("the model is stuck: this process answers what else it has and ends, to be started again")
            self.outcome = STUCK
            self.handle_exit(0, None)
        if self._closing_since is not None:
            self._close(now - self._closing_since)
        if self._service.ready and not self._settled:
            self._settled = True
            # What the libraries and the model brought is there to stay: no collection need look at it again.
            gc.collect()
            gc.freeze()
            gc.set_threshold(_COLLECT_EVERY)
        if now - self._watched_at >= 1.0 and self._service.ready and not self.should_exit:
            self._watched_at = now
            self._watchdog.watch(self._service.settings.predict_seconds + _LOOP_GRACE)
        if counter % _TICKS_A_SECOND == 0:
            hurry(self.server_state.connections, asyncio.get_running_loop().time())
        return await super().on_tick(counter)
