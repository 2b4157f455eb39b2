"""Deployments that answer: rows as a run leaves them, with a real Redis and a real scoring server behind them."""

import hashlib
import json
import os
import secrets
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import joblib
import redis
from sklearn.datasets import load_digits
from sklearn.neighbors import KNeighborsClassifier

from deployments.engine import binding
from deployments.models import Deployment
from deployments.redis_server import find_server, server_config
from tests import factories
from tests.conftest import wait_for_redis

SCORING = Path(__file__).parents[1] / "scoring_image"
MODEL_VERSION = hashlib.sha256(b"digits").hexdigest()
NAME = "digits"
SCRIPT = "score.py"


@dataclass(frozen=True, slots=True)
class Function:
    """A scoring server of handwritten digits and its cache."""

    url: str
    cache_port: int
    admin: redis.Redis  # of its own name, so that the password may be changed under it
    rows: list[list[float]]


@contextmanager
def serving(*, trigger: dict[str, str] | None = None, script: str = "", **more: str) -> Iterator[Function]:
    """Start both; `more` is the function's environment, and a trigger other than HTTP or the text of a script its own.

    Test and function have users of their own on the server, whose password a deployment changes.
    """
    with tempfile.TemporaryDirectory(prefix="live-") as folder, ExitStack() as children:
        root, password = Path(folder), secrets.token_urlsafe(16)
        cache_port, port = _free_port(), _free_port()
        config = server_config(
            directory=root,
            password=password,
            port=cache_port,
            unixsocket=root / "redis.sock",
            maxmemory_bytes=64 * 1024**2,
            policy="allkeys-lfu",
        )
        rows = _package(root, {"trigger": trigger} if trigger else {})
        if script:
            _with_script(root, script)
        _started(children, [str(find_server()), "-"], given=config)
        address = f"unix://:{password}@{root / 'redis.sock'}?db=0"
        wait_for_redis(address)
        with redis.Redis.from_url(address) as first:
            for user in ("admin", "function"):
                first.execute_command("ACL", "SETUSER", user, "on", f">{password}", "~*", "&*", "+@all")
        _started(
            children,
            [sys.executable, "-m", "scoring"],
            cwd=SCORING,
            env={
                "PATH": os.environ["PATH"],
                "SCORING_ROOT": folder,
                "SCORING_PORT": str(port),
                "SCORING_PROCESSES": "1",
                "SCORING_CACHE_URL": f"redis://function@127.0.0.1:{cache_port}/0",
                "SCORING_CACHE_PASSWORD": password,
                "SCORING_CACHE_PREFIX": NAME,
                "SCORING_CACHE_TTL": "3600",
                # A busy machine is no reason to pass the cache by.
                "SCORING_CACHE_TIMEOUT_MS": "5000",
                **more,
            },
        )
        _wait_for_function(f"http://127.0.0.1:{port}/healthz")
        with redis.Redis.from_url(address, username="admin") as admin:
            path = trigger["function"] if trigger else "api/score"
            yield Function(f"http://127.0.0.1:{port}/{path}", cache_port, admin, rows)


def _started(children: ExitStack, command: list[str], *, given: str = "", **more: Any) -> None:
    """Start a child that is killed at the end; `given` is what it reads on its stdin."""
    child = subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, **more
    )
    children.callback(child.wait)
    children.callback(child.kill)
    assert child.stdin is not None
    child.stdin.write(given.encode())
    child.stdin.close()


def forget_counters(function: Function) -> None:
    """Empty the cache when the function has written what it counted before, which it does every second."""
    time.sleep(1.3)
    function.admin.flushall()


def until(done: Callable[[], bool], *, seconds: float = 10) -> None:
    """Wait for what a function does after it has answered."""
    end = time.monotonic() + seconds
    while not done():
        assert time.monotonic() < end
        time.sleep(0.05)


@contextmanager
def paper_world(settings: Any, root: Path) -> Iterator[None]:
    """A pretended world that makes things at once."""
    settings.LOCAL_TARGET_ROOT = root
    settings.PAPER_TARGET = {
        "create_seconds": {"cache": 0.0, "image": 0.0, "function": 0.0},
        "destroy_seconds": 0.0,
        "settle": 0.02,
        "poll": 0.01,
        "timeout": 5.0,
    }
    binding._loaded.cache_clear()
    yield
    binding._loaded.cache_clear()


def deployed(function: Function, *, name: str = NAME, **parts: Any) -> Deployment:
    """A deployment whose run has ended well, and whose rows name this function and its cache."""
    made = factories.deployment(name, **parts)
    factories.finished(factories.started(made))
    cache, served = made.resources.get(key="cache"), made.resources.get(key="function")
    cache.outputs = {"host": "127.0.0.1", "port": function.cache_port}
    served.outputs = {**served.outputs, "url": function.url}
    cache.save()
    served.save()
    made.revisions.update(model_version=MODEL_VERSION)
    # The deployment's password, as its target tells it; those of the test and of the function stay.
    function.admin.config_set("requirepass", f"paper-secret-{made.base_name}-cache")
    return made.fresh()


def _package(root: Path, more: dict[str, Any]) -> list[list[float]]:
    images, labels = load_digits(return_X_y=True)
    (root / "model").mkdir()
    joblib.dump(KNeighborsClassifier(3).fit(images[100:400], labels[100:400]), root / "model" / "digits.joblib")
    content = (root / "model" / "digits.joblib").read_bytes()
    manifest = {
        "manifest_version": 1,
        "model_version": MODEL_VERSION,
        "model": {
            "file": "model/digits.joblib",
            "name": "digits.joblib",
            "sha256": hashlib.sha256(content).hexdigest(),
            "format": "joblib",
            "method": "predict",
        },
        "input": {"kind": "array", "parameter": "data", "features": 64, "example": [images[0].tolist()]},
        **more,
    }
    (root / "manifest.json").write_text(json.dumps(manifest))
    return [row.tolist() for row in images[:40]]


def _with_script(root: Path, script: str) -> None:
    (root / "code").mkdir()
    (root / "code" / SCRIPT).write_text(script)
    manifest = json.loads((root / "manifest.json").read_text())
    manifest["code"] = {"entry_script": SCRIPT, "deterministic": True}
    (root / "manifest.json").write_text(json.dumps(manifest))


def _free_port() -> int:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        return int(taken.getsockname()[1])


def _wait_for_function(url: str, *, seconds: float = 120) -> None:
    until = time.monotonic() + seconds
    while True:
        try:
            if httpx.get(url, trust_env=False).status_code == 200:
                return
        except httpx.TransportError:
            pass
        if time.monotonic() > until:
            raise AssertionError(f"nothing answers at {url}")
        time.sleep(0.05)
