"""Connections on which nothing goes on: told apart from those that only wait for their answer."""

from __future__ import annotations

import asyncio
import socket
import threading
from collections.abc import Iterator
from typing import Any

import pytest
import uvicorn

from scoring.connections import ARRIVES, Connection, hurry
from tests.scoring.processes import wait_for
from tests.scoring.raw import Wire


class Served:
    """uvicorn with these connections, in a thread; its application answers when `go` is set."""

    def __init__(self) -> None:
        self.go = threading.Event()
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.server = uvicorn.Server(
            uvicorn.Config(self._app, http=Connection, interface="asgi3", lifespan="off", log_config=None)
        )
        self.thread = threading.Thread(target=self.server.run, kwargs={"sockets": [self.listener]}, daemon=True)
        self.thread.start()
        wait_for(lambda: self.server.started)

    def connect(self) -> Wire:
        return Wire(int(self.listener.getsockname()[1]))

    def pass_time(self, seconds: float) -> None:
        """Look at the connections as if so much time had passed since now."""
        done = threading.Event()

        def look() -> None:
            hurry(self.server.server_state.connections, asyncio.get_running_loop().time() + seconds)
            done.set()

        self.loop.call_soon_threadsafe(look)
        assert done.wait(10)

    def connected(self, count: int) -> None:
        wait_for(lambda: len(self.server.server_state.connections) == count)

    def arriving(self) -> None:
        wait_for(lambda: any(getattr(each, "arriving", False) for each in self.server.server_state.connections))

    @property
    def loop(self) -> asyncio.AbstractEventLoop:
        return self.server.servers[0].get_loop()  # type: ignore[no-any-return]

    async def _app(self, _scope: Any, receive: Any, send: Any) -> None:
        while (await receive()).get("more_body"):
            pass
        await asyncio.to_thread(self.go.wait, 10)
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"2")]})
        await send({"type": "http.response.body", "body": b"ok"})


@pytest.fixture
def served() -> Iterator[Served]:
    served = Served()
    yield served
    served.go.set()
    served.server.should_exit = True
    served.thread.join(10)


@pytest.mark.parametrize("begun", [b"GET", b"GET / HTTP/1.1\r\nX: ", b"POST / HTTP/1.1\r\nContent-Length: 10\r\n\r\n{"])
def test_a_request_that_does_not_arrive_is_ended(served: Served, begun: bytes) -> None:
    caller = served.connect()
    caller.send(begun)
    served.arriving()
    served.pass_time(ARRIVES - 5)
    served.connected(1)
    served.pass_time(ARRIVES + 5)
    answer = caller.answer()
    assert (answer.status, answer.json()["error"]["code"]) == (408, "slow_request")
    assert caller.is_closed()


def test_a_connection_without_a_request_is_closed(served: Served) -> None:
    caller = served.connect()
    served.connected(1)
    served.pass_time(ARRIVES + 5)
    assert caller.is_closed()


def test_who_waits_for_an_answer_is_let_wait(served: Served) -> None:
    caller = served.connect()
    caller.send(b"GET / HTTP/1.1\r\n\r\nGET / HTTP/1.1\r\n\r\nGET / HT")
    served.arriving()
    served.pass_time(ARRIVES + 5)
    served.go.set()
    assert [caller.answer().body for _ in range(2)] == [b"ok", b"ok"]
