"""What is started: each peer on the serving core, and a Redis of its own for it on the other."""

from __future__ import annotations

import contextlib
import http.client
import os
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil
import redis

from benchmarks.machine import SERVING, WORK
from deployments.redis_server import find_server, server_config

READY_SECONDS = 120


class DidNotStartError(Exception):
    """A server ended, or was not ready in time; the message has the end of its log."""


@dataclass(frozen=True)
class Peer:
    """One way to serve a model. `{port}`, `{spare}` and `{redis}` stand for ports in command and environment.

    `ours` is the prefix of the statistics that our own server keeps. `kind` says how the verdict is known:
    our server's statistics, Redis's own counters, or not at all where there is no cache.
    """

    name: str
    command: tuple[str, ...]
    environment: Mapping[str, str] = field(default_factory=dict)
    folder: Path = WORK
    path: str = "/api/score"
    ready: str | None = None
    ours: bool = False
    caches: bool = True


class Running:
    """A peer that is up, with its own Redis. Ends both with `stop`."""

    def __init__(self, peer: Peer) -> None:
        self.peer = peer
        self.port, spare = free_port(), free_port()
        self._redis = RedisServer()
        self.redis = self._redis.client
        ports = {"port": self.port, "spare": spare, "redis": self._redis.port}
        environment = {name: value.format(**ports) for name, value in peer.environment.items()}
        self.log = WORK / "logs" / f"{''.join(c if c.isalnum() else '-' for c in peer.name)}.log"
        self.log.parent.mkdir(parents=True, exist_ok=True)
        with self.log.open("w") as log:
            started = time.perf_counter()
            self.process = subprocess.Popen(
                ["taskset", "--cpu-list", str(SERVING), *(part.format(**ports) for part in peer.command)],
                env={"PATH": os.environ["PATH"], "HOME": str(WORK), **environment},
                cwd=peer.folder,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        try:
            self._wait(started)
        except BaseException:
            self.stop()
            raise
        self.cold_start = time.perf_counter() - started

    def post(self, body: bytes, **headers: str) -> tuple[int, Mapping[str, str], bytes]:
        """One request on a connection of its own: status, headers in lower case, body."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
        with contextlib.closing(connection):
            connection.request("POST", self.peer.path, body, {"Content-Type": "application/json", **headers})
            answer = connection.getresponse()
            return answer.status, {name.lower(): value for name, value in answer.getheaders()}, answer.read()

    def memory(self) -> tuple[int, int]:
        """Resident bytes of the largest of its processes, and of all others: ours has another for a slow model."""
        sizes = sorted(each.memory_info().rss for each in self._family())
        return sizes[-1], sum(sizes[:-1])

    def processor(self) -> float:
        """Seconds of processor time that its processes have used so far."""
        return sum(sum(each.cpu_times()[:2]) for each in self._family())

    def stop(self) -> None:
        """End the peer and its Redis, as hard as it takes."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGTERM)
        with contextlib.suppress(subprocess.TimeoutExpired):
            self.process.wait(5)
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()
        self._redis.stop()

    def _family(self) -> list[psutil.Process]:
        process = psutil.Process(self.process.pid)
        return [process, *process.children(recursive=True)]

    def _wait(self, started: float) -> None:
        while not self._is_ready():
            if self.process.poll() is not None or time.perf_counter() - started > READY_SECONDS:
                raise DidNotStartError(f"{self.peer.name} did not start: {self._last_words()}")
            time.sleep(0.005)

    def _last_words(self) -> str:
        lines = self.log.read_text().strip().splitlines()
        return lines[-1][:300] if lines else "it said nothing"

    def _is_ready(self) -> bool:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=5)
        with contextlib.closing(connection), contextlib.suppress(OSError, http.client.HTTPException):
            connection.request("GET", self.peer.ready or "/")
            status = connection.getresponse().status
            # Any answer will do where there is nothing to ask for: the model is opened before the first one.
            return status == 200 or self.peer.ready is None
        return False


class RedisServer:
    """A Redis without persistence on a port of its own."""

    def __init__(self) -> None:
        self.port = free_port()
        self._process = subprocess.Popen(
            [find_server(), "-"], stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True, start_new_session=True
        )
        assert self._process.stdin is not None  # noqa: S101 - PIPE gives one
        lines = server_config(directory=WORK, password="", port=self.port).splitlines()
        self._process.stdin.write("\n".join(line for line in lines if not line.startswith("requirepass")))
        self._process.stdin.close()
        self.client = redis.Redis(port=self.port, decode_responses=True)
        wait_for(self._answers, seconds=20)

    def stop(self) -> None:
        """End it."""
        self._process.terminate()
        self._process.wait()

    def _answers(self) -> bool:
        with contextlib.suppress(redis.RedisError):
            return bool(self.client.ping())
        return False


@contextlib.contextmanager
def up(peers: tuple[Peer, ...], failed: Callable[[str], None]) -> Iterator[list[Running]]:
    """Start the peers one after the other; one that does not start is told of and left out."""
    running: list[Running] = []
    try:
        for peer in peers:
            try:
                running.append(Running(peer))
            except DidNotStartError as error:
                failed(str(error))
        yield running
    finally:
        for each in running:
            each.stop()


def free_port() -> int:
    """A port on loopback that nobody uses now."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])


def wait_for(condition: Callable[[], Any], *, seconds: float) -> None:
    """Return once `condition` holds. Raises TimeoutError after `seconds`."""
    end = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > end:
            raise TimeoutError("waited in vain")
        time.sleep(0.01)
