"""HTTP's bad days: bodies that are too large, broken or slow, and requests that are none, over real sockets."""

from __future__ import annotations

import gzip
import json
import time
from collections.abc import Callable, Iterator
from typing import Any

import psutil
import pytest

from tests.scoring.packages import write_package
from tests.scoring.processes import Function, Redis
from tests.scoring.raw import Answer, Wire

MB = 1024 * 1024
ROW = [0.5] * 64


@pytest.fixture(scope="module")
def function(tmp_path_factory: pytest.TempPathFactory, digits: Any, cache_server: Redis) -> Iterator[Function]:
    root = tmp_path_factory.mktemp("digits")
    write_package(root, digits[0], limits={"max_body_bytes": 10 * MB, "max_rows": 10_000})
    served = Function(root, SCORING_CACHE_URL=cache_server.url, SCORING_CACHE_PREFIX="bad", SCORING_PROCESSES="1")
    yield served.ready()
    assert "Traceback" not in served.log
    assert served.stop() == 0


@pytest.fixture
def wire(function: Function) -> Iterator[Callable[[], Wire]]:
    """Open connections to the function."""
    wires: list[Wire] = []

    def connect() -> Wire:
        wires.append(Wire(function.client.base_url.port or 0))
        return wires[-1]

    yield connect
    for each in wires:
        each.close()


@pytest.fixture(autouse=True)
def unharmed(function: Function) -> Iterator[None]:
    """After each of these days the function answers as before."""
    yield
    assert function.score([ROW]).is_success


@pytest.fixture
def forgetful(function: Function) -> Iterator[None]:
    """What was sent is not kept."""
    before = resident(function)
    yield
    assert resident(function) - before < 30 * MB


def resident(function: Function) -> int:
    return int(psutil.Process(function.process.pid).memory_info().rss)


def post(body: bytes, *headers: str, length: int | None = None) -> bytes:
    lines = ["POST /api/score HTTP/1.1", "Host: function", *headers]
    if length is None:
        length = len(body)
    return "\r\n".join([*lines, f"Content-Length: {length}", "", ""]).encode() + body


def refused(answer: Answer, status: int, code: str) -> None:
    assert (answer.status, answer.json()["error"]["code"]) == (status, code)
    assert {"message", "hint"} <= set(answer.json()["error"])


@pytest.mark.usefixtures("forgetful")
def test_50_mb_that_are_announced_are_refused_unread(wire: Callable[[], Wire]) -> None:
    caller, started = wire(), time.monotonic()
    caller.send(post(b"", length=50 * MB))
    refused(caller.answer(), 413, "too_large")
    assert time.monotonic() - started < 5
    assert caller.is_closed()


@pytest.mark.usefixtures("forgetful")
def test_50_mb_in_chunks_are_cut_off_at_the_limit(wire: Callable[[], Wire]) -> None:
    caller = wire()
    caller.send(b"POST /api/score HTTP/1.1\r\nHost: function\r\nTransfer-Encoding: chunked\r\n\r\n")
    chunk = b"%x\r\n%b\r\n" % (MB, b" " * MB)
    sent = caller.send_until_refused(chunk for _ in range(50))
    refused(caller.answer(), 413, "too_large")
    assert sent < 30 * MB


def test_a_waiting_caller_is_told_to_go_on_only_where_it_may(wire: Callable[[], Wire]) -> None:
    body = json.dumps({"data": [ROW]}).encode()
    caller = wire()
    caller.send(post(b"", "Expect: 100-continue", length=len(body)))
    assert caller.answer().status == 100
    caller.send(body)
    assert caller.answer().status == 200
    other = wire()
    other.send(post(b"", "Expect: 100-continue", length=50 * MB))
    refused(other.answer(), 413, "too_large")


def test_a_compressed_body_is_refused_whether_it_is_one_or_not(function: Function) -> None:
    body = gzip.compress(json.dumps({"data": [ROW]}).encode())
    for encoding in ("gzip", "deflate", "br", "gzip, identity"):
        answer = function.client.post("/api/score", content=body, headers={"Content-Encoding": encoding})
        assert (answer.status_code, answer.json()["error"]["code"]) == (415, "unsupported_encoding")
    assert function.client.post("/api/score", content=body).status_code == 400


@pytest.mark.parametrize(
    "body",
    [
        b'{"data": [["\xff\xfe"]]}',
        b'\xff\xfe{"data": [[1]]}',
        b'{"data\xc3": [[1]]}',
        json.dumps({"data": [ROW]}).encode("utf-16"),
        b"\x00" * 1000,
    ],
)
def test_bytes_that_are_no_utf_8_are_refused(function: Function, body: bytes) -> None:
    answer = function.client.post("/api/score", content=body)
    assert (answer.status_code, answer.json()["error"]["code"]) == (400, "bad_json")


@pytest.mark.parametrize(
    ("cell", "code"),
    [
        ("NaN", "not_finite"),
        ("Infinity", "not_finite"),
        ("-Infinity", "not_finite"),
        ("1e999", "out_of_range"),
        ("-1e999", "out_of_range"),
        ("9" * 400, "out_of_range"),
        ("null", "missing_value"),
        ('"NaN"', "bad_type"),
    ],
)
def test_numbers_that_are_none_never_reach_the_model(
    function: Function, cell: str, code: str, cache_server: Redis
) -> None:
    body = f'{{"data": [[{", ".join([cell, *["0.5"] * 63])}]]}}'
    stored = len(cache_server.entries())
    answer = function.client.post("/api/score", content=body)
    assert (answer.status_code, answer.json()["error"]["code"]) == (400, code)
    assert len(cache_server.entries()) == stored


@pytest.mark.usefixtures("forgetful")
@pytest.mark.parametrize(
    "body", [b"[" * 500_000, b'{"data":' * 100_000, b'{"data": ' + b"[" * 200_000 + b"]" * 200_000 + b"}"]
)
def test_nesting_without_end_is_refused(function: Function, body: bytes) -> None:
    answer = function.client.post("/api/score", content=body)
    assert (answer.status_code, answer.json()["error"]["code"]) == (400, "bad_json")


def test_10_000_rows_are_scored_and_one_more_is_refused(function: Function, digits: Any) -> None:
    model, data = digits
    rows = [data[number % len(data)].tolist() for number in range(10_000)]
    answer = function.score(rows)
    assert answer.json() == model.predict(data).tolist() * 5 + model.predict(data[: 10_000 - 5 * len(data)]).tolist()
    more = function.score([*rows, ROW])
    assert (more.status_code, more.json()["error"]["code"]) == (413, "too_many_rows")


@pytest.mark.usefixtures("forgetful")
def test_slow_callers_hold_up_nobody(function: Function, wire: Callable[[], Wire]) -> None:
    body = json.dumps({"data": [ROW]}).encode()
    slow = [wire() for _ in range(50)]
    for caller in slow:
        caller.send(post(body)[: -len(body)])
    for at in range(10):
        for caller in slow:
            caller.send(body[at : at + 1])
        started = time.monotonic()
        assert function.score([ROW]).is_success
        assert time.monotonic() - started < 2
    for caller in slow:
        caller.send(body[10:])
    assert {caller.answer().status for caller in slow} == {200}


def test_a_caller_who_leaves_is_forgotten(function: Function, wire: Callable[[], Wire]) -> None:
    body = json.dumps({"data": [ROW]}).encode()
    for sent in (b"POST", post(body)[:40], post(body)[:-20], post(body)):
        caller = wire()
        caller.send(sent)
        caller.reset()
    assert function.health()["status"] == "ready"


def test_requests_that_are_sent_ahead_are_answered_in_order(wire: Callable[[], Wire]) -> None:
    caller = wire()
    bodies = [json.dumps({"data": [ROW] * count}).encode() for count in (1, 3, 2)]
    caller.send(b"".join(post(body) for body in bodies))
    assert [len(caller.answer().json()) for _ in bodies] == [1, 3, 2]
    caller.send(post(b"{") + post(bodies[0]) + post(bodies[0], "Connection: close"))
    assert [caller.answer().status for _ in range(3)] == [400, 200, 200]
    assert caller.is_closed()


def test_an_old_client_is_answered_and_left(wire: Callable[[], Wire]) -> None:
    body = json.dumps({"data": [ROW]}).encode()
    caller = wire()
    caller.send(b"POST /api/score HTTP/1.0\r\nContent-Length: %d\r\n\r\n%b" % (len(body), body))
    assert caller.answer().status == 200
    assert caller.is_closed()


@pytest.mark.parametrize("method", ["HEAD", "OPTIONS", "DELETE", "TRACE", "PATCH"])
def test_other_methods_are_told_which_there_are(function: Function, method: str) -> None:
    answer = function.client.request(method, "/api/score")
    assert (answer.status_code, answer.headers["allow"]) == (405, "POST")
    assert answer.content == b"" if method == "HEAD" else answer.json()["error"]["code"] == "wrong_method"
    assert function.client.head("/healthz").content == b""


@pytest.mark.parametrize(
    "request_",
    [
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + b"\x00" * 200,
        b"HELO function\r\n\r\n",
        b"GET / HTTP/9.9\r\n\r\n",
        b"POST /api/score HTTP/1.1\r\nHost: f\r\nContent-Length: 2\r\nContent-Length: 20\r\n\r\n{}",
        b"POST /api/score HTTP/1.1\r\nHost: f\r\nContent-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        b"POST /api/score HTTP/1.1\r\nHost: f\r\nContent-Length: -1\r\n\r\n",
        b"POST /api/score HTTP/1.1\r\nHost: f\r\nContent-Length: 1e3\r\n\r\n",
        b"POST /api/score HTTP/1.1\r\nHost: f\r\nTransfer-Encoding: chunked\r\n\r\nnonsense\r\n",
        b"POST /api/score HTTP/1.1\r\nHost f\r\n\r\n",
    ],
)
def test_what_is_not_http_gets_a_400_and_the_door(wire: Callable[[], Wire], request_: bytes) -> None:
    caller = wire()
    caller.send(request_)
    refused(caller.answer(), 400, "bad_http")
    assert caller.is_closed()


@pytest.mark.usefixtures("forgetful")
def test_long_addresses_and_headers_are_taken_up_to_a_limit(function: Function, wire: Callable[[], Wire]) -> None:
    assert function.client.post("/api/score?" + "x" * 30_000, json={"data": [ROW]}).is_success
    assert function.client.get("/" + "y" * 30_000).status_code == 404
    heads = [b"GET /", b"GET / HTTP/1.1\r\nX-Long: ", b"GET / HTTP/1.1\r\n"]
    for head, more in zip(heads, [b"y" * MB, b"y" * MB, b"a: b\r\n" * 100_000], strict=True):
        caller = wire()
        caller.send(head)
        sent = caller.send_until_refused([more] * 50)
        refused(caller.answer(), 431, "head_too_large")
        assert sent < 20 * MB
