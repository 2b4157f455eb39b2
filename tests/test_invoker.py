"""Calls go to the function alone, carry what they may, and what comes back is bounded and safe to show."""

import base64
import json
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, ClassVar

import pytest

from deployments import invoker
from deployments.domain.errors import ConsoleError, Unavailable
from deployments.invoker import Call, send

KEY = "k" * 40


class Host(BaseHTTPRequestHandler):
    """Says back what it was asked; some paths misbehave."""

    visits: ClassVar[list[str]] = []
    bodies: ClassVar[list[bytes]] = []
    said: ClassVar[bytes] = b""

    def do_POST(self) -> None:
        self.visits.append(self.path)
        sent = self.rfile.read(int(self.headers.get("content-length", 0)))
        self.bodies.append(sent)
        told = {"path": self.path, "method": self.command, "headers": dict(self.headers), "body": sent.decode()}
        status, headers, body = 200, {"x-cache": "HIT", "x-cache-key": "digits:a:q:b"}, json.dumps(told).encode()
        if self.path == "/moved":
            status, headers = 302, {"location": "http://127.0.0.1:1/"}
        if self.path == "/long":
            body = b'"' + b"x" * (invoker.MAX_ANSWER_BYTES + 10) + b'"'
        if self.path == "/odd":
            body, headers = b"[NaN]", {"x-cache": "PERHAPS", "x-cache-key": "k" * 999, "set-cookie": "a=b"}
        if self.path == "/said":
            body = self.said
        if self.path == "/timed":
            headers = {"server-timing": "parse;dur=0.1, get;dur=0.25, total;dur=0.5, x;desc=1"}
        self.send_response(status)
        for name, value in {**headers, "content-length": str(len(body))}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    do_GET = do_POST

    def log_message(self, *_: object) -> None:
        """Keep the test's output clean."""


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    with ThreadingHTTPServer(("127.0.0.1", 0), Host) as found:
        threading.Thread(target=found.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{found.server_address[1]}"
        found.shutdown()


@pytest.fixture
def host(server: str) -> str:
    Host.visits.clear()
    return server


def echoed(host: str, **wish: Any) -> dict[str, Any]:
    answer = send(f"{host}/api/score", Call(**{"body": {"data": [[1]]}, **wish}), function_key=KEY)
    assert isinstance(answer.body, dict)
    return answer.body


def drip(door: socket.socket, beginning: bytes) -> None:
    """Answer one call with a beginning, then a byte every tenth of a second, for ten seconds at most."""
    guest, _ = door.accept()
    with guest, suppress(OSError):
        guest.sendall(beginning)
        for _ in range(100):
            time.sleep(0.1)
            guest.sendall(b"1")


def test_a_call_carries_the_key_and_never_shows_it(host: str) -> None:
    answer = send(f"{host}/api/score", Call(body={"data": [[1]]}), function_key=KEY)
    assert KEY not in json.dumps(answer.body) + json.dumps(answer.headers)
    assert "x-functions-key" in {name.lower() for name in answer.body["headers"]}
    assert answer.body["body"] == '{"data":[[1]]}'
    assert (answer.cache, answer.key, answer.status) == ("hit", "digits:a:q:b", 200)


def test_the_cache_is_steered_by_its_own_header(host: str) -> None:
    for use in ("no-cache", "no-store"):
        assert {k.lower(): v for k, v in echoed(host, cache=use)["headers"].items()}["cache-control"] == use
    assert "cache-control" not in {name.lower() for name in echoed(host)["headers"]}


def test_query_method_and_own_headers_go_along(host: str) -> None:
    told = echoed(host, method="GET", body=None, query={"a": "1 2", "b": [1, 2]}, headers={"X-Trace": "7"})
    assert (told["path"], told["method"], told["body"]) == ("/api/score?a=1+2&b=1&b=2", "GET", "")
    assert told["headers"]["x-trace"] == "7"


@pytest.mark.parametrize(
    "wish",
    [
        {"headers": {name: "x"}}
        for name in ("Host", "authorization", "X-Functions-Key", "Cookie", "X-Forwarded-For", "Transfer-Encoding",
                     "connection", "Proxy-Authorization", "Content-Length", "Cache-Control", "a b", "a\r\nb", "")
    ]
    + [{"headers": {"x-a": "1\r\nhost: x"}}, {"headers": {"x-a": "é"}}, {"query": {"code": "1"}},
       {"query": {"Code": "1"}}, {"method": "DELETE"}, {"method": "TRACE"}, {"cache": "always"},
       {"body": {"data": [float("nan")]}}, {"body": "\ud800"}],
)  # fmt: skip
def test_what_may_not_be_sent_is_refused_before_anything_is(host: str, wish: dict[str, Any]) -> None:
    with pytest.raises(ConsoleError) as refused:
        echoed(host, **wish)
    assert refused.value.field in {"headers", "query", "method", "cache", "body"}
    assert Host.visits == []


def test_a_redirect_is_shown_and_not_followed(host: str) -> None:
    answer = send(f"{host}/moved", Call(body={}), function_key=KEY)
    assert (answer.status, answer.headers["location"]) == (302, "http://127.0.0.1:1/")
    assert Host.visits == ["/moved"]


def test_a_long_answer_is_cut(host: str) -> None:
    answer = send(f"{host}/long", Call(body={}))
    assert answer.cut
    assert len(answer.body) == invoker.MAX_ANSWER_BYTES


def test_an_odd_answer_is_taken_as_text(host: str) -> None:
    answer = send(f"{host}/odd", Call(body={}))
    assert (answer.body, answer.cache, answer.key) == ("[NaN]", None, "")
    assert "set-cookie" not in answer.headers


@pytest.mark.parametrize(
    ("told", "kept"),
    [
        ("[1e999]", "[1e999]"),
        ("[-1e999, 1.5]", "[-1e999, 1.5]"),
        ("[1.5, 1e300]", [1.5, 1e300]),
        (r'["a\u0000b"]', ["a\ufffdb"]),
        (r'{"\ud83d": ["\uDE00", "\ud83d\ude00"]}', {"\ufffd": ["\ufffd", "\U0001f600"]}),
        (r'["\\u0000", "\\\u0000"]', ["\\u0000", "\\\ufffd"]),
        ("a\0b", "a\ufffdb"),
    ],
)
def test_what_no_database_keeps_is_not_in_an_answer(host: str, told: str, kept: Any) -> None:
    Host.said = told.encode()
    assert send(f"{host}/said", Call(body={})).body == kept


@pytest.mark.parametrize(
    "beginning",
    [
        b"HTTP/1.1 200 OK\r\nx-long: ",
        b"HTTP/1.1 200 OK\r\ncontent-length: 1000\r\n\r\n",
        b"HTTP/1.1 200 OK\r\n\r\n",
        b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n1;x=",
    ],
    ids=["headers", "body", "body without an end", "chunk"],
)
def test_a_byte_now_and_then_keeps_no_call(beginning: bytes) -> None:
    with socket.create_server(("127.0.0.1", 0)) as door:
        threading.Thread(target=drip, args=(door, beginning), daemon=True).start()
        started = time.monotonic()
        with pytest.raises(Unavailable, match="did not answer in time"):
            send(f"http://127.0.0.1:{door.getsockname()[1]}/", Call(body={}), seconds=0.5)
        assert time.monotonic() - started < 5


def test_timings_are_read_and_the_network_is_the_rest(host: str) -> None:
    answer = send(f"{host}/timed", Call(body={}))
    told = {name: answer.timings[name] for name in ("parse", "get", "total")}
    assert told == {"parse": 0.1, "get": 0.25, "total": 0.5}
    assert answer.timings["network"] == pytest.approx(answer.duration_ms - 0.5, abs=0.01)


def test_a_function_that_is_away_is_told_with_what_to_do() -> None:
    with pytest.raises(Unavailable, match="cannot be reached") as told:
        send("http://127.0.0.1:1/api/score", Call(body={}), function_key=KEY)
    assert "restart run" in told.value.detail.action
    assert KEY not in str(told.value.detail)


def test_a_proxy_of_the_environment_never_sees_a_local_call(host: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:1")
    monkeypatch.setenv("ALL_PROXY", "http://127.0.0.1:1")
    assert echoed(host)["path"] == "/api/score"


def test_an_event_is_posted_as_the_host_posts_it_and_its_output_is_the_answer(host: str) -> None:
    lines = ["X-Cache: HIT", "X-Cache-Key: digits:a:q:b", "Server-Timing: total;dur=0.5", f"key {KEY}", "Set-Cookie: a"]
    answer = {"Outputs": {"output": base64.b64encode(b"[7]").decode()}, "Logs": lines, "ReturnValue": None}
    Host.said = json.dumps(answer).encode()
    call = Call(body=[[1]], cache="no-store", event={"MessageId": "m", "sys": {"UtcNow": "now"}})
    told = send(f"{host}/said", call, function_key=KEY)
    assert (told.body, told.cache, told.key, told.timings["total"]) == ([7], "hit", "digits:a:q:b", 0.5)
    assert told.logs[0] == "X-Cache: HIT"
    assert KEY not in str(told)
    assert "set-cookie" not in told.headers
    (posted,) = Host.bodies[-1:]
    assert json.loads(posted) == {
        "Data": {"input": base64.b64encode(b"[[1]]").decode()},
        "Metadata": {"MessageId": '"m"', "sys": {"UtcNow": "now"}},
    }


@pytest.mark.parametrize("said", [b"[7]", b"{}", b'{"Outputs": {"output": "not base64!"}}', b"\xff"])
def test_an_answer_that_no_host_could_read_is_no_answer(host: str, said: bytes) -> None:
    Host.said = said
    with pytest.raises(Unavailable, match="could read"):
        send(f"{host}/said", Call(body=1, event={}))


def test_an_event_has_no_headers(host: str) -> None:
    with pytest.raises(ConsoleError, match="no method, query and headers"):
        send(f"{host}/said", Call(body=1, event={}, headers={"a": "b"}))
