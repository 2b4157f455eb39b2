"""A slow model predicts in a process of its own, which may end, hang, or be given from outside."""

from __future__ import annotations

import importlib
import os
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import psutil
import pytest

from tests.scoring.packages import write_package
from tests.scoring.processes import SCORING_IMAGE, Function, Redis, wait_for

Serve = Callable[..., Function]


@pytest.fixture
def slow(tmp_path: Path) -> Path:
    root = tmp_path / "slow"
    example = {"example": [[1.0, 2.0]]}
    write_package(root, importlib.import_module("slow").SlowModel(), uploads=("slow.py",), input=example)
    return root


def predicting(function: Function) -> int:
    """The process of the last prediction."""
    return int((function.root / "count").read_text().splitlines()[-1])


def test_a_slow_model_predicts_elsewhere_and_holds_up_no_hit(serve: Serve, cache_server: Redis, slow: Path) -> None:
    function = serve(slow, SCORING_CACHE_URL=cache_server.url, SCORING_CACHE_PREFIX="slow").ready()
    assert "predicting in a process of its own" in function.log
    assert function.verdict([[1, 2]]) == "MISS"
    assert predicting(function) != function.process.pid
    with ThreadPoolExecutor(20) as callers:
        misses = [callers.submit(function.score, [[number, 2]]) for number in range(10, 30)]
        while not all(miss.done() for miss in misses):
            answer = function.score([[1, 2]])
            assert answer.headers["x-cache"] == "HIT"
        assert [miss.result().json() for miss in misses] == [[number + 2.0] for number in range(10, 30)]
    assert function.stop() == 0


def test_a_predictor_that_ends_is_started_again(serve: Serve, slow: Path) -> None:
    function = serve(slow).ready()
    with ThreadPoolExecutor(3) as callers:
        ending = callers.submit(function.score, [[-1, 0]])
        time.sleep(0.05)
        others = [callers.submit(function.score, [[number, 0]]) for number in (3, 4)]
        error = ending.result()
        assert [other.result().json() for other in others] == [[3.0], [4.0]]
    assert (error.status_code, error.json()["error"]["code"]) == (500, "model_ended")
    assert "the predictor ended with code 9; starting another" in function.log


@pytest.mark.parametrize(("value", "code"), [(-3, 9), (-4, -9)])
def test_neither_a_socket_without_its_process_nor_the_other_way_round_is_waited_for(
    serve: Serve, slow: Path, value: int, code: int
) -> None:
    function = serve(slow).ready()
    assert function.score([[value, 0]]).json()["error"]["code"] == "model_ended"
    # Nobody is held up meanwhile.
    assert function.client.get("/healthz", timeout=2).status_code == 200
    assert function.score([[1, 0]]).json() == [1.0]
    assert f"the predictor ended with code {code}; starting another" in function.log


def test_the_predictor_is_told_what_concerns_the_model_and_no_secret(serve: Serve, slow: Path) -> None:
    function = serve(slow, SCORING_ONNX_THREADS="3", SCORING_DIGEST_KEY="secret").ready()
    assert function.score([[1, 0]]).json() == [1.0]
    environment = psutil.Process(predicting(function)).environ()
    assert {name for name in environment if name.startswith("SCORING_")} == {
        "SCORING_ONNX_THREADS",
        "SCORING_PREDICTOR_FD",
    }
    assert environment["SCORING_ONNX_THREADS"] == "3"


def test_a_prediction_that_takes_too_long_is_given_up(serve: Serve, slow: Path) -> None:
    function = serve(slow, SCORING_PREDICT_SECONDS="1").ready()
    start = time.monotonic()
    error = function.score([[-2, 0]])
    assert time.monotonic() - start < 5
    assert (error.status_code, error.json()["error"]["code"]) == (504, "predict_timeout")
    # The trace of where it hung is in the log of the predictor, which ended itself.
    wait_for(lambda: "starting another" in function.log)
    assert "Timeout" in function.log
    assert wait_for(lambda: (answer := function.score([[1, 0]])).status_code == 200 and answer.json()) == [1.0]


def test_a_predictor_given_from_outside_is_used_and_its_end_is_the_servers(serve: Serve, slow: Path) -> None:
    ours, theirs = socket.socketpair()
    environment = {"PATH": os.environ["PATH"], "PYTHONPATH": str(SCORING_IMAGE), "COUNT_FILE": str(slow / "count")}
    predictor = subprocess.Popen(
        [sys.executable, "-m", "scoring.predictor"],
        env={**environment, "SCORING_PREDICTOR_FD": str(theirs.fileno())},
        pass_fds=[theirs.fileno()],
    )
    theirs.close()
    function = serve(slow, keep=(ours.fileno(),), SCORING_PREDICTOR_FD=str(ours.fileno()))
    ours.close()
    function.ready()
    assert function.score([[1, 2]]).json() == [3.0]
    assert predicting(function) == predictor.pid
    predictor.kill()
    predictor.wait()
    assert function.process.wait(20) == 70
    assert "the predictor ended; this process ends with it" in function.log


def test_a_predictor_that_is_not_needed_ends_and_has_imported_next_to_nothing(serve: Serve, counting: Path) -> None:
    ours, theirs = socket.socketpair()
    predictor = subprocess.Popen(
        [sys.executable, "-X", "importtime", "-m", "scoring.predictor"],
        env={"PYTHONPATH": str(SCORING_IMAGE), "SCORING_PREDICTOR_FD": str(theirs.fileno())},
        pass_fds=[theirs.fileno()],
        stderr=subprocess.PIPE,
        text=True,
    )
    theirs.close()
    function = serve(counting, keep=(ours.fileno(),), SCORING_PREDICTOR_FD=str(ours.fileno()))
    ours.close()
    function.ready()
    _, imported = predictor.communicate(timeout=20)
    assert predictor.returncode == 0
    assert not {"msgspec", "numpy", "sklearn"} & {line.split("|")[-1].strip() for line in imported.splitlines()}
    assert function.score([[1, 2]]).json() == [3.0]
