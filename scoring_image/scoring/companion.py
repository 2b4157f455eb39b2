"""The server's side of a predictor: started where it was not given, fed, and started again when it ends."""

from __future__ import annotations

import asyncio
import json
import logging
import os
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, cast

import msgspec

from scoring.errors import ScoringError, try_again
from scoring.inputs import Asked
from scoring.settings import Settings
from scoring.wire import LENGTH, Done, Job, error_of, framed

_SHORTEST_PAUSE = 0.2
_LONGEST_PAUSE = 30.0
_STEADY_AFTER = 60.0
_PACKAGE = str(Path(__file__).parents[1])

log = logging.getLogger("scoring")


class CompanionError(Exception):
    """There is no predictor to be had: the message says why."""


class Companion:
    """One predictor, its model open. All methods belong to one event loop.

    Where the predictor was started from outside, nobody here can start another: then `on_end` is called when it ends.
    """

    def __init__(self, settings: Settings, *, on_end: Callable[[], None]) -> None:
        self._settings = settings
        self._on_end = on_end
        self._given = settings.predictor_fd
        self._encoder = msgspec.msgpack.Encoder()
        self._jobs: dict[int, tuple[bytes, asyncio.Future[Done]]] = {}
        self._number = 0
        self._over = False
        self._pipe: _Pipe | None = None
        self._keeper: asyncio.Task[None] | None = None
        self._process: subprocess.Popen[bytes] | None = None

    async def start(self) -> None:
        """Have the model opened. Raises CompanionError."""
        pipe = await self._opened()
        self._keeper = asyncio.create_task(self._keep(pipe))

    def stop(self) -> None:
        """Close the socket, at which the predictor ends."""
        if self._keeper is not None:
            self._keeper.cancel()
        if self._pipe is not None:
            self._pipe.close()
        if self._process is not None:
            self._process.kill()
            self._process.wait()

    async def score(self, body: bytes, asked: Asked | None) -> tuple[bytes, float]:
        """The output and the seconds it took. Raises ScoringError."""
        if self._over:
            raise try_again("ending", "The model's process ended, and this one ends with it.", "Try again in a moment.")
        self._number += 1
        number = self._number
        frame = framed(self._encoder.encode(Job(number, body, asked)))
        future: asyncio.Future[Done] = asyncio.get_running_loop().create_future()
        self._jobs[number] = frame, future
        if self._pipe is not None:
            self._pipe.send(frame)
        done = await future
        if done.refusal is not None:
            raise error_of(done.refusal)
        return done.output, done.took

    async def _keep(self, pipe: _Pipe) -> None:
        pause = _SHORTEST_PAUSE
        while True:
            self._pipe = pipe
            self._jobs = {number: job for number, job in self._jobs.items() if not job[1].done()}
            for frame, _ in self._jobs.values():
                pipe.send(frame)
            since = time.monotonic()
            await pipe.lost
            if time.monotonic() - since > _STEADY_AFTER:
                pause = _SHORTEST_PAUSE
            self._pipe = None
            self._drop_first()
            if self._given is not None:
                log.error("the predictor ended; this process ends with it, to be started again")
                self._over = True
                self._fail_all()
                self._on_end()
                return
            log.error("the predictor ended%s; starting another", self._how())
            while True:
                await asyncio.sleep(pause)
                pause = min(pause * 2, _LONGEST_PAUSE)
                try:
                    pipe = await self._opened()
                except CompanionError as error:
                    log.error("no predictor: %s", error)
                    self._fail_all()
                else:
                    break

    async def _opened(self) -> _Pipe:
        # Of a descriptor that was given, a copy: who gave it may still want to close it.
        ours = self._spawned() if self._given is None else socket.socket(fileno=os.dup(self._given))
        loop = asyncio.get_running_loop()
        _, pipe = await loop.create_unix_connection(lambda: _Pipe(self._answered), sock=ours)
        told = {"open": str(self._settings.root), "seconds": self._settings.predict_seconds}
        pipe.send(framed(json.dumps(told).encode()))
        waited: set[asyncio.Future[Any]] = {pipe.first, pipe.lost}
        await asyncio.wait(waited, return_when=asyncio.FIRST_COMPLETED)
        answer = (
            json.loads(pipe.first.result()) if pipe.first.done() else {"message": "it ended while opening the model"}
        )
        if not answer.get("ok"):
            pipe.close()
            raise CompanionError(str(answer.get("message")))
        return pipe

    def _spawned(self) -> socket.socket:
        ours, theirs = socket.socketpair()
        environment = {
            # What it has no use for, secrets among it, is not given on.
            **{name: value for name, value in os.environ.items() if not name.startswith("SCORING_")},
            "SCORING_PREDICTOR_FD": str(theirs.fileno()),
            # This process may have found the package by another way, as an entry script's face does.
            "PYTHONPATH": os.pathsep.join(filter(None, (_PACKAGE, os.environ.get("PYTHONPATH")))),
        }
        try:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "scoring.predictor"],
                env=environment,
                pass_fds=(theirs.fileno(),),
                stdin=subprocess.DEVNULL,
            )
        except OSError as error:
            ours.close()
            raise CompanionError(f"a process cannot be started here: {error}") from error
        finally:
            theirs.close()
        return ours

    def _answered(self, done: Done) -> None:
        _, future = self._jobs.pop(done.number)
        if not future.done():
            future.set_result(done)

    def _drop_first(self) -> None:
        """Of the jobs, the oldest was being worked on when the predictor ended; it is not tried again."""
        if self._jobs:
            _, future = self._jobs.pop(next(iter(self._jobs)))
            if not future.done():
                future.set_exception(_ended())

    def _fail_all(self) -> None:
        jobs, self._jobs = self._jobs, {}
        for _, future in jobs.values():
            if not future.done():
                future.set_exception(_ended())

    def _how(self) -> str:
        if self._process is None:
            return ""
        return f" with code {self._process.wait()}"


class _Pipe(asyncio.Protocol):
    """Frames over a connected socket: the first is kept in `first`, the others go to `on_done`."""

    def __init__(self, on_done: Callable[[Done], None]) -> None:
        loop = asyncio.get_running_loop()
        self.first: asyncio.Future[bytes] = loop.create_future()
        self.lost: asyncio.Future[None] = loop.create_future()
        self._on_done = on_done
        self._decoder = msgspec.msgpack.Decoder(Done)
        self._received = bytearray()
        self._transport: asyncio.Transport | None = None

    def send(self, frame: bytes) -> None:
        """Queue a frame; lost silently where the connection is, which `lost` tells."""
        if self._transport is not None:
            self._transport.write(frame)

    def close(self) -> None:
        """End the connection."""
        if self._transport is not None:
            self._transport.abort()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)

    def connection_lost(self, error: Exception | None) -> None:
        self._transport = None
        if not self.lost.done():
            self.lost.set_result(None)

    def data_received(self, data: bytes) -> None:
        self._received += data
        start = 0
        while len(self._received) - start >= LENGTH.size:
            (length,) = LENGTH.unpack_from(self._received, start)
            end = start + LENGTH.size + length
            if len(self._received) < end:
                break
            self._take(bytes(self._received[start + LENGTH.size : end]))
            start = end
        del self._received[:start]

    def _take(self, message: bytes) -> None:
        if self.first.done():
            self._on_done(self._decoder.decode(message))
        else:
            self.first.set_result(message)


def _ended() -> ScoringError:
    return ScoringError(
        500,
        "model_ended",
        "The model's process ended during this prediction.",
        "A library of the model crashed or memory ran out; the function's log has its last lines.",
    )
