"""More than a process can carry is refused at once, with a time to come again; what it took on it answers."""

from __future__ import annotations

import http.client
import importlib
import json
import signal
import socket
import threading
import time
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import psutil
import pytest

from tests.scoring.packages import write_package
from tests.scoring.processes import Function, Redis, wait_for

Serve = Callable[..., Function]


def test_requests_beyond_the_most_are_refused(serve: Serve, counting: Path) -> None:
    function = serve(counting, SCORING_MOST_WAITING="4").ready()
    with ThreadPoolExecutor(12) as callers:
        answers = list(callers.map(lambda number: function.score([[-2, number]]), range(12)))
    codes = Counter(answer.status_code for answer in answers)
    assert codes[200] >= 4
    assert codes[200] + codes[503] == 12
    refused = next(answer for answer in answers if answer.status_code == 503)
    assert refused.json()["error"]["code"] == "overloaded"
    assert refused.headers["retry-after"] == "1"
    assert function.score([[1, 2]]).json() == [3.0]


@pytest.mark.parametrize("where", ["predictor", "thread"])
def test_what_a_slow_model_takes_on_it_answers_in_time(serve: Serve, tmp_path: Path, where: str) -> None:
    root = tmp_path / "slow"
    # Without an example nobody knows that it is slow, and it stays in the thread.
    example = {"example": [[1.0, 2.0]]} if where == "predictor" else {}
    write_package(root, importlib.import_module("slow").SlowModel(), uploads=("slow.py",), input=example)
    function = serve(root, SCORING_PREDICT_SECONDS="2").ready()
    for number in range(3):
        assert function.score([[number, 1]]).status_code == 200
    with ThreadPoolExecutor(250) as callers:
        answers = list(callers.map(lambda number: function.score([[number, 2]]), range(250)))
    codes = Counter(answer.status_code for answer in answers)
    # 250 would take it 5 seconds.
    assert codes[503] > 50
    assert codes[200] > 20
    assert codes[504] == 0, codes
    refused = next(answer for answer in answers if answer.status_code == 503)
    assert (refused.json()["error"]["code"], refused.headers["retry-after"]) == ("overloaded", "1")
    began = time.monotonic()
    assert function.score([[1, 3]]).json() == [4.0]
    assert time.monotonic() - began < 1


def test_a_process_that_was_frozen_goes_on(serve: Serve, tmp_path: Path) -> None:
    root = tmp_path / "holding"
    example = {"example": [[1.0, 2.0]]}
    write_package(root, importlib.import_module("holding").HoldingModel(), uploads=("holding.py",), input=example)
    function = serve(root, SCORING_PREDICT_SECONDS="1").ready()
    time.sleep(0.5)
    with ThreadPoolExecutor(1) as callers:
        under_way = callers.submit(function.score, [[-3, 2]])
        time.sleep(0.4)
        function.process.send_signal(signal.SIGSTOP)
        time.sleep(7)
        function.process.send_signal(signal.SIGCONT)
        assert under_way.result().json() == [-1.0]
    assert "Timeout" not in function.log
    assert function.stop() == 0


@pytest.mark.parametrize(("value", "code"), [(-1, 70), (-2, -signal.SIGPROF)])
def test_a_model_that_holds_up_the_loop_ends_the_process(serve: Serve, tmp_path: Path, value: int, code: int) -> None:
    root = tmp_path / "holding"
    example = {"example": [[1.0, 2.0]]}
    write_package(root, importlib.import_module("holding").HoldingModel(), uploads=("holding.py",), input=example)
    function = serve(root, SCORING_PREDICT_SECONDS="1").ready()
    # It is watched from the first tick on.
    time.sleep(0.5)
    with pytest.raises(httpx.TransportError):
        function.score([[value, 0]])
    assert function.process.wait(20) == code
    assert "holding.py" in function.log


def test_a_stop_without_descriptors_answers_what_is_under_way(serve: Serve, counting: Path) -> None:
    function = serve(counting).ready()
    with ThreadPoolExecutor(1) as callers:
        under_way = callers.submit(function.score, [[-2, 5]])
        wait_for(function.predictions)
        process = psutil.Process(function.process.pid)
        # What is open stays so; nothing more can be opened.
        _, most = process.rlimit(psutil.RLIMIT_NOFILE)
        process.rlimit(psutil.RLIMIT_NOFILE, (3, most))
        process.terminate()
        address = (function.client.base_url.host, function.client.base_url.port or 0)
        wait_for(lambda: socket.socket().connect_ex(address))
        process.rlimit(psutil.RLIMIT_NOFILE, (most, most))
        assert under_way.result().json() == [3.0]
    assert function.process.wait(20) == 0
    assert "Traceback" not in function.log


def test_bodies_under_way_are_bounded_in_memory(serve: Serve, counting: Path) -> None:
    manifest = json.loads((counting / "manifest.json").read_text())
    manifest["limits"]["max_body_bytes"] = 8 * 2**20
    (counting / "manifest.json").write_text(json.dumps(manifest))
    function = serve(counting).ready()
    process = psutil.Process(function.process.pid)
    before = process.memory_info().rss
    address = (function.client.base_url.host, function.client.base_url.port or 0)
    callers = [socket.create_connection(address) for _ in range(30)]
    size = 7 * 2**20

    def send(caller: socket.socket) -> None:
        head = f"POST /api/score HTTP/1.1\r\nHost: x\r\nContent-Length: {size}\r\n\r\n".encode()
        try:
            caller.sendall(head + bytes(size - 1))
        except OSError:
            return

    threads = [threading.Thread(target=send, args=(caller,)) for caller in callers]
    for thread in threads:
        thread.start()
    time.sleep(1)
    answers = []
    for caller in callers:
        caller.settimeout(0.3)
        try:
            answers.append(caller.recv(12))
        except TimeoutError:
            continue
        except ConnectionError:
            answers.append(b"")
    assert b"HTTP/1.1 503" in answers
    assert len(answers) < len(callers)
    assert process.memory_info().rss - before < 200 * 2**20
    for caller in callers:
        caller.close()
    for thread in threads:
        thread.join(10)
    assert function.score([[1, 2]]).json() == [3.0]


def test_a_stop_under_load_loses_no_request(serve: Serve, cache_server: Redis, counting: Path) -> None:
    function = serve(counting, SCORING_CACHE_URL=cache_server.url, SCORING_CACHE_PREFIX="stop").ready()
    host, port = function.client.base_url.host, function.client.base_url.port
    answered: list[int] = []
    lost: list[Exception] = []

    def call(number: int) -> None:
        """Until nobody listens any more; whatever was sent must be answered."""
        connection = http.client.HTTPConnection(host, port, timeout=20)
        for turn in range(100_000):
            try:
                if connection.sock is None:
                    connection.connect()
            except OSError:
                return
            try:
                connection.request("POST", "/api/score", json.dumps({"data": [[number, turn % 50]]}))
                answer = connection.getresponse()
                answer.read()
                answered.append(answer.status)
            except Exception as error:
                lost.append(error)
                return

    callers = [threading.Thread(target=call, args=(number,)) for number in range(8)]
    for caller in callers:
        caller.start()
    time.sleep(0.5)
    assert function.stop() == 0
    for caller in callers:
        caller.join(30)
    assert len(answered) > 50
    assert set(answered) == {200}
    # Who got a connection in the very moment in which the socket was closed was never taken on.
    assert all(isinstance(error, ConnectionError) for error in lost)
    assert len(lost) <= 1
