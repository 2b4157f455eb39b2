"""Many callers at once: equal requests, more than can be carried, a model that hangs, and an end under load."""

from __future__ import annotations

import asyncio
import json
import signal
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest

from tests.scoring.processes import Function, Redis, wait_for

Serve = Callable[..., Function]
MB = 1024 * 1024


def request(rows: list[list[float]]) -> bytes:
    body = json.dumps({"data": rows}).encode()
    return b"POST /api/score HTTP/1.1\r\nHost: function\r\nContent-Length: %d\r\n\r\n%b" % (len(body), body)


async def answer(reader: asyncio.StreamReader) -> tuple[int, dict[str, str], bytes]:
    head = (await reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")
    headers = {name.lower(): value for name, value in (line.split(": ", 1) for line in head[1:] if line)}
    return int(head[0].split()[1]), headers, await reader.readexactly(int(headers["content-length"]))


async def ask(port: int, rows: list[list[float]]) -> tuple[int, dict[str, str], bytes]:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(request(rows))
    try:
        return await answer(reader)
    finally:
        writer.close()


def port_of(function: Function) -> int:
    return function.client.base_url.port or 0


def test_1_000_equal_requests_at_once_are_one_prediction(serve: Serve, counting: Path, cache_server: Redis) -> None:
    function = serve(counting, SCORING_CACHE_URL=cache_server.url, SCORING_CACHE_PREFIX="crowd").ready()
    before = function.predictions()

    async def crowd() -> list[tuple[int, dict[str, str], bytes]]:
        return await asyncio.gather(*(ask(port_of(function), [[-2.0, 4.5]]) for _ in range(1000)))

    answers = asyncio.run(crowd())
    assert Counter((status, body) for status, _, body in answers) == {(200, b"[2.5]"): 1000}
    assert function.predictions() == before + 1
    assert {headers["x-cache"] for _, headers, _ in answers} <= {"MISS", "HIT"}
    assert len({headers["x-cache-key"] for _, headers, _ in answers}) == 1


def test_no_request_is_lost_when_it_ends_under_load(serve: Serve, counting: Path) -> None:
    function = serve(counting).ready()
    outcomes: Counter[str] = Counter()

    async def caller(number: int) -> None:
        """Ask without a break, on connections that are kept, until no new one can be made."""
        while True:
            try:
                reader, writer = await asyncio.open_connection("127.0.0.1", port_of(function))
            except OSError:
                return
            asked = 0
            try:
                while True:
                    writer.write(request([[number, asked]]))
                    status, headers, body = await answer(reader)
                    assert (status, json.loads(body)) == (200, [number + asked])
                    asked += 1
                    outcomes["answered"] += 1
                    if headers.get("connection") == "close":
                        outcomes["said"] += 1
                        break
            except (OSError, asyncio.IncompleteReadError) as error:
                # The first request on a connection that was never accepted may be sent again safely.
                partly = isinstance(error, asyncio.IncompleteReadError) and error.partial
                outcomes["lost" if asked or partly else "never accepted"] += 1
            finally:
                writer.close()

    async def load() -> None:
        callers = [asyncio.create_task(caller(number)) for number in range(24)]
        await asyncio.sleep(1)
        function.process.send_signal(signal.SIGTERM)
        await asyncio.wait_for(asyncio.gather(*callers), 30)

    asyncio.run(load())
    assert function.process.wait(20) == 0
    assert outcomes["answered"] > 200
    assert outcomes["said"] > 0
    assert outcomes["lost"] == 0, outcomes
    assert "Traceback" not in function.log


def test_more_than_it_can_carry_is_turned_away(serve: Serve, counting: Path) -> None:
    function = serve(counting, SCORING_MOST_WAITING="10").ready()
    size = psutil.Process(function.process.pid).memory_info().rss

    async def crowd() -> list[tuple[int, dict[str, str], bytes]]:
        return await asyncio.gather(*(ask(port_of(function), [[-2.0, number]]) for number in range(300)))

    answers = asyncio.run(crowd())
    counts = Counter(status for status, _, _ in answers)
    assert set(counts) == {200, 503}
    assert counts[200] >= 10
    for status, headers, body in answers:
        if status == 503:
            assert json.loads(body)["error"]["code"] == "overloaded"
            assert int(headers["retry-after"]) >= 1
    assert psutil.Process(function.process.pid).memory_info().rss - size < 30 * MB
    wait_for(lambda: function.score([[1.0, 2.0]]).status_code == 200)


@pytest.mark.parametrize("waiting", [1, 5])
def test_a_model_that_hangs_costs_no_more_than_its_seconds(serve: Serve, counting: Path, waiting: int) -> None:
    function = serve(counting, SCORING_PREDICT_SECONDS="1").ready()
    started = time.monotonic()

    async def crowd() -> list[tuple[int, dict[str, str], bytes]]:
        return await asyncio.gather(*(ask(port_of(function), [[-3.0, number]]) for number in range(waiting)))

    answers = asyncio.run(crowd())
    assert {status for status, _, _ in answers} == {504}
    assert {json.loads(body)["error"]["code"] for _, _, body in answers} == {"predict_timeout"}
    assert time.monotonic() - started < 10
    assert function.client.get("/healthz").status_code in (200, 503)
