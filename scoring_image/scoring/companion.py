"""The server's side of a predictor: started where it was not given, fed, and started again when it ends."""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import os
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, cast

import msgspec

from scoring.errors import ScoringError, try_again
from scoring.inputs import Asked
from scoring.loading import aside
from scoring.settings import Settings
from scoring.wire import LENGTH, Done, Job, error_of, framed

_SHORTEST_PAUSE = 0.2
_LONGEST_PAUSE = 30.0
_STEADY_AFTER = 60.0
# How long a process whose socket was closed, or a socket whose process ended, may take to follow.
_LAST_WORDS = 1.0
# What of our own settings concerns the model and holds no secret.
_GIVEN_ON = frozenset({"SCORING_ONNX_THREADS"})
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
        self._jobs: dict[int, _Sent] = {}
        self._number = 0
        self._over = False
        self._pipe: _Pipe | None = None
        self._keeper: asyncio.Task[None] | None = None
        self._process: subprocess.Popen[bytes] | None = None
        # The exit code of the process that was started here; never done where it was started from outside.
        self._ended: asyncio.Future[int] = asyncio.get_running_loop().create_future()

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

    async def score(self, body: bytes, asked: Asked | None, *, on_end: OnEnd) -> tuple[bytes, float]:
        """The output and the seconds it took. Raises ScoringError.

        `on_end` is called when the predictor is done with it, also where nobody waits any more.
        """
        if self._over:
            on_end(worked=False)
            raise try_again("ending", "The model's process ended, and this one ends with it.", "Try again in a moment.")
        self._number += 1
        number = self._number
        frame = framed(self._encoder.encode(Job(number, body, asked)))
        future: asyncio.Future[Done] = asyncio.get_running_loop().create_future()
        self._jobs[number] = _Sent(frame, future, on_end)
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
            for number, job in list(self._jobs.items()):
                if job.future.done():
                    # Nobody waits for it any more.
                    self._jobs.pop(number).on_end(worked=False)
                else:
                    pipe.send(job.frame)
            since = time.monotonic()
            await self._lost(pipe)
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
            log.error("the predictor ended with code %s; starting another", await self._killed())
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
        waited: set[asyncio.Future[Any]] = {pipe.first, pipe.lost, self._ended}
        await asyncio.wait(waited, return_when=asyncio.FIRST_COMPLETED)
        answer = (
            json.loads(pipe.first.result()) if pipe.first.done() else {"message": "it ended while opening the model"}
        )
        if not answer.get("ok"):
            pipe.close()
            if self._process is not None:
                self._process.kill()
            raise CompanionError(str(answer.get("message")))
        return pipe

    def _spawned(self) -> socket.socket:
        ours, theirs = socket.socketpair()
        environment = {
            # What it has no use for, secrets among it, is not given on.
            **{name: os.environ[name] for name in os.environ if name in _GIVEN_ON or not name.startswith("SCORING_")},
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
        # It may end and its socket stay open, in a child that the model forked.
        self._ended = aside(self._process.wait)
        return ours

    async def _lost(self, pipe: _Pipe) -> None:
        """Wait until the process has ended or closed its end."""
        waited: set[asyncio.Future[Any]] = {pipe.lost, self._ended}
        await asyncio.wait(waited, return_when=asyncio.FIRST_COMPLETED)
        if not pipe.lost.done():
            # What it answered last may still be on its way.
            await asyncio.wait({pipe.lost}, timeout=_LAST_WORDS)
            pipe.close()

    async def _killed(self) -> int:
        """The exit code of the process that was started here, which may live on without its socket."""
        assert self._process is not None  # noqa: S101 - it was started here
        with contextlib.suppress(TimeoutError):
            return await asyncio.wait_for(asyncio.shield(self._ended), _LAST_WORDS)
        self._process.kill()
        return await asyncio.shield(self._ended)

    def _answered(self, done: Done) -> None:
        job = self._jobs.pop(done.number)
        job.on_end(worked=True)
        if not job.future.done():
            job.future.set_result(done)

    def _drop_first(self) -> None:
        """Of the jobs, the oldest was being worked on when the predictor ended; it is not tried again."""
        if self._jobs:
            self._fail(next(iter(self._jobs)))

    def _fail_all(self) -> None:
        for number in list(self._jobs):
            self._fail(number)

    def _fail(self, number: int) -> None:
        job = self._jobs.pop(number)
        job.on_end(worked=False)
        if not job.future.done():
            job.future.set_exception(_ended())


class OnEnd(Protocol):
    """Is told that a job is at its end, and whether the predictor `worked` on it to the end."""

    def __call__(self, *, worked: bool) -> None: ...


@dataclass(frozen=True, slots=True)
class _Sent:
    """A job that the predictor has, and who waits for it; the future is done where nobody waits any more."""

    frame: bytes
    future: asyncio.Future[Done]
    on_end: OnEnd


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
