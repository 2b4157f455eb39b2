"""The processes that the tests talk to: a Redis server and the scoring server."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import redis

from deployments.redis_server import find_server

SCORING_IMAGE = Path(__file__).parents[2] / "scoring_image"


def wait_for(condition: Callable[[], Any], *, seconds: float = 15.0) -> Any:
    """What `condition` returns once it is true; fails after `seconds`."""
    end = time.monotonic() + seconds
    while not (found := condition()):
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.02)
    return found


def free_port() -> int:
    """A port on loopback that nobody uses now."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])


class Redis:
    """A redis-server on loopback; its configuration comes on stdin."""

    def __init__(self, folder: Path, *configuration: str, password: str = "") -> None:
        self.port = free_port()
        self.password = password
        lines = [f"port {self.port}", "bind 127.0.0.1", 'save ""', f"dir {folder}", *configuration]
        if password:
            lines.append(f"requirepass {password}")
        self._configuration = "\n".join(lines)
        # The older protocol, for a test has a server that knows no other.
        self.client = redis.Redis(port=self.port, password=password or None, protocol=2)
        self.start()

    @property
    def url(self) -> str:
        """As SCORING_CACHE_URL has it."""
        return f"redis://:{self.password}@127.0.0.1:{self.port}/0"

    def start(self, *more: str, wait: bool = True) -> None:
        """Start, and wait until it answers; what it held before is gone, unless it was told to save it.

        `more` are lines of configuration for this time.
        """
        self.process = subprocess.Popen(
            [find_server(), "-"],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            text=True,
        )
        assert self.process.stdin is not None
        self.process.stdin.write("\n".join((self._configuration, *more)))
        self.process.stdin.close()
        if wait:
            wait_for(self._answers)

    def kill(self) -> None:
        """End it as a crash would."""
        self.process.kill()
        self.process.wait()

    def freeze(self) -> None:
        """Make it hang: connections stay, and nothing answers."""
        self.process.send_signal(signal.SIGSTOP)

    def thaw(self) -> None:
        """Let it go on."""
        self.process.send_signal(signal.SIGCONT)

    def entries(self) -> list[str]:
        """The keys that are entries."""
        return sorted(key.decode() for key in self.client.scan_iter("*:q:*"))

    def stored(self, key: str) -> bytes:
        """What lies under a key, once it does: an answer is given while its entry is still on its way."""
        found: bytes = wait_for(lambda: self.client.get(key))
        return found

    def _answers(self) -> bool:
        try:
            return bool(self.client.ping())
        except redis.RedisError:
            return False


class Function:
    """A scoring server on a socket that it inherits; `client` speaks to it."""

    def __init__(self, root: Path, *, keep: tuple[int, ...] = (), **environment: str) -> None:
        """`keep` are further descriptors that it inherits."""
        listener = socket.create_server(("127.0.0.1", 0))
        address = f"http://127.0.0.1:{listener.getsockname()[1]}"
        os.set_inheritable(listener.fileno(), True)
        self.log_file = root / "function.log"
        with self.log_file.open("w") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "scoring"],
                env={
                    "PATH": os.environ["PATH"],
                    "PYTHONPATH": str(SCORING_IMAGE),
                    "SCORING_ROOT": str(root),
                    "SCORING_FD": str(listener.fileno()),
                    "SCORING_CACHE_PREFIX": "test",
                    "SCORING_PROCESSES": "1",
                    # The machine that runs the tests is busy with other tests.
                    "SCORING_CACHE_TIMEOUT_MS": "250",
                    "COUNT_FILE": str(root / "count"),
                    **environment,
                },
                pass_fds=[listener.fileno(), *keep],
                stderr=log,
            )
        listener.close()
        self.client = httpx.Client(base_url=address, timeout=20, trust_env=False)
        self.root = root

    @property
    def log(self) -> str:
        """What it has written so far."""
        return self.log_file.read_text()

    def ready(self) -> Function:
        """Wait for the model."""
        wait_for(lambda: self.health()["status"] == "ready", seconds=40)
        return self

    def health(self) -> dict[str, Any]:
        """The answer of /healthz, whatever its status."""
        answer: dict[str, Any] = self.client.get("/healthz").json()
        return answer

    def score(self, data: Any, **headers: str) -> httpx.Response:
        """Score rows; header names with underscores for dashes."""
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        return self.client.post("/api/score", content=json.dumps({"data": data}), headers=named)

    def verdict(self, data: Any, **headers: str) -> str:
        """X-Cache of a scored request."""
        answer = self.score(data, **headers)
        assert answer.status_code == 200, answer.text
        return str(answer.headers["x-cache"])

    def predictions(self) -> int:
        """How often the counting model has been asked."""
        count = self.root / "count"
        return len(count.read_text().splitlines()) if count.exists() else 0

    def stop(self) -> int:
        """End it as a host would; the exit code."""
        self.client.close()
        self.process.terminate()
        try:
            return self.process.wait(30)
        finally:
            self.process.kill()
