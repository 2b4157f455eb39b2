"""More than a process can carry is refused at once, with a time to come again; what it took on it answers."""

from __future__ import annotations

import http.client
import json
import socket
import threading
import time
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import psutil

from tests.scoring.processes import Function, Redis

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
