"""Several server processes on one socket: all answer, one that ends is replaced, and they end together."""

from __future__ import annotations

import importlib
import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import httpx
import psutil
import pytest

from tests.scoring.packages import write_package
from tests.scoring.processes import SCORING_IMAGE, Function, wait_for

Serve = Callable[..., Function]


@pytest.fixture
def slow(tmp_path: Path) -> Path:
    """A package whose model predicts in a process beside its server."""
    root = tmp_path / "slow"
    write_package(
        root, importlib.import_module("slow").SlowModel(), uploads=("slow.py",), input={"example": [[1.0, 2.0]]}
    )
    return root


def children(function: Function) -> set[int]:
    return {child.pid for child in psutil.Process(function.process.pid).children()}


def test_a_process_that_ends_is_replaced_and_all_end_together(serve: Serve, counting: Path) -> None:
    function = serve(counting, SCORING_PROCESSES="2").ready()
    assert psutil.Process(function.process.pid).memory_info().rss < 40 * 2**20
    first = wait_for(lambda: len(found := children(function)) == 2 and found)
    ended = min(first)
    os.kill(ended, signal.SIGKILL)
    wait_for(lambda: len(found := children(function)) == 2 and ended not in found)
    assert "a server process ended with code -9; starting another" in function.log
    wait_for(lambda: function.health()["status"] == "ready")
    for number in range(20):
        assert function.score([[number, 1]]).json() == [number + 1.0]
    left = children(function)
    assert function.stop() == 0
    assert not [pid for pid in left if psutil.pid_exists(pid)]


def test_no_process_outlives_a_supervisor_that_is_killed(serve: Serve, slow: Path) -> None:
    function = serve(slow, SCORING_PROCESSES="2").ready()
    supervisor = psutil.Process(function.process.pid)
    # Each with its predictor, for the model is slow.
    family = wait_for(lambda: len(found := supervisor.children(recursive=True)) == 4 and found, seconds=60)
    supervisor.kill()
    _, left = psutil.wait_procs(family, timeout=10)
    assert not left
    with pytest.raises(httpx.TransportError):
        function.health()


def test_who_waits_is_told_once_and_nobody_is_kept_waiting_by_a_process_that_opens(
    serve: Serve, counting: Path
) -> None:
    reads, writes = os.pipe()
    function = serve(counting, keep=(writes,), SCORING_PROCESSES="2", SCORING_READY_FD=str(writes))
    os.close(writes)
    with os.fdopen(reads) as waiting:
        told = waiting.read()
    assert json.loads(told)["status"] == "ready"
    assert len(told.splitlines()) == 1
    # Whoever answers now has its model open: no caller meets a 503, whichever process takes it.
    assert {function.score([[number, 1]]).status_code for number in range(20)} == {200}
    wait_for(lambda: len(children(function)) == 2)
    assert function.stop() == 0


def test_a_package_that_cannot_be_used_ends_all(tmp_path: Path) -> None:
    started = subprocess.run(
        [sys.executable, "-m", "scoring"],
        env={
            "PYTHONPATH": str(SCORING_IMAGE),
            "SCORING_ROOT": str(tmp_path),
            "SCORING_PORT": "0",
            "SCORING_PROCESSES": "3",
        },
        stderr=subprocess.PIPE,
        text=True,
        timeout=60,
        check=False,
    )
    assert started.returncode == 2
    assert "manifest.json cannot be read" in started.stderr
