"""A slow model predicts in a shut-in process beside its server; a pair that got stuck is replaced."""

import importlib
import shutil
import socket
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import psutil
import pytest

from deployments.targets.local import sandbox
from deployments.targets.local.folders import Folder
from deployments.targets.local.serve import listen
from deployments.targets.local.servers import Generation, start_generation
from tests.scoring.packages import UPLOADS, write_package
from tests.scoring.processes import SCORING_IMAGE, free_port, wait_for

sys.path.append(str(UPLOADS))


@pytest.fixture
def package(tmp_path: Path) -> Path:
    """A slow model, as the image resource lays it out."""
    root = tmp_path / "package"
    write_package(
        root, importlib.import_module("slow").SlowModel(), uploads=("slow.py",), input={"example": [[1.0, 2.0]]}
    )
    shutil.copytree(SCORING_IMAGE / "scoring", root / "scoring", ignore=shutil.ignore_patterns("__pycache__"))
    return root


@pytest.fixture
def started(tmp_path: Path, package: Path) -> Iterator[Callable[..., tuple[Generation, str, list[bytes]]]]:
    generations: list[Generation] = []
    listeners: list[socket.socket] = []

    def start(mode: str, **environment: str) -> tuple[Generation, str, list[bytes]]:
        job: dict[str, Any] = {
            "package": str(package),
            "python": sys.executable,
            "memory_mb": 1024,
            "processes": 1,
            "sandbox": mode,
            "owner": "test",
            "cache_socket": "",
            "cache_port": 0,
            "cache_folder": str(tmp_path / "cache"),
            "needs_key": False,
            "environment": {"SCORING_PROCESSES": "1", **environment},
        }
        port = free_port()
        listeners.append(listen(port))
        lines: list[bytes] = []
        folder = Folder(tmp_path / "function")
        generations.append(start_generation(folder, job, listener=listeners[-1], write=lines.append, successor=False))
        return generations[-1], f"http://127.0.0.1:{port}", lines

    yield start
    for generation in generations:
        generation.end()
        for server in generation.servers:
            assert server.started.poll() is not None
            assert server.predictor is not None
            assert server.predictor.started.poll() is not None
    for listener in listeners:
        listener.close()


def modes() -> list[str]:
    found = ["none"]
    if sandbox.landlock_abi():
        found.append("landlock")
    if sandbox.bubblewrap_works():
        found.append("bubblewrap")
    return found


@pytest.mark.parametrize("mode", modes())
def test_a_slow_model_predicts_beside_its_server(started: Any, mode: str) -> None:
    generation, url, lines = started(mode)
    wait_for(lambda: _status(url) == "ready", seconds=60)
    assert any(b"predicting in a process of its own" in line for line in lines), b"".join(lines).decode()
    assert httpx.post(f"{url}/api/score", json={"data": [[1, 2]]}, timeout=20).json() == [3.0]
    predictor = generation.servers[0].predictor
    assert predictor is not None
    assert predictor.process().is_running()
    assert "sklearn" not in " ".join(predictor.process().cmdline())


def test_a_stuck_pair_is_replaced(started: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("deployments.targets.local.servers._STEADY_SECONDS", 0.0)
    generation, url, lines = started("none", SCORING_PREDICT_SECONDS="1")
    wait_for(lambda: _status(url) == "ready", seconds=60)
    first = generation.servers[0]
    assert httpx.post(f"{url}/api/score", json={"data": [[-2, 0]]}, timeout=20).status_code == 504
    wait_for(generation.replace_stuck, seconds=30)
    assert generation.fault() is None
    assert generation.servers[0] is not first
    answer = wait_for(lambda: _scored(url), seconds=60)
    assert answer == [3.0], b"".join(lines).decode()
    assert not psutil.pid_exists(first.started.pid)


def _status(url: str) -> str:
    try:
        return str(httpx.get(f"{url}/healthz", timeout=5).json()["status"])
    except httpx.HTTPError:
        time.sleep(0.1)
        return ""


def _scored(url: str) -> Any:
    try:
        return httpx.post(f"{url}/api/score", json={"data": [[1, 2]]}, timeout=30).json()
    except httpx.HTTPError:
        return None
