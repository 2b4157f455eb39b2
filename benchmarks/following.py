"""How long policy `auto` takes to follow when the traffic changes from new rows to known ones, and back."""

from __future__ import annotations

import asyncio
import json
import time
from collections import deque
from collections.abc import Callable, Iterator
from itertools import count, cycle

from benchmarks.candidates import ours
from benchmarks.models import known_rows
from benchmarks.plan import Bench, Section, Table
from benchmarks.policies import LOCAL_MB
from benchmarks.processes import up

_CONNECTIONS = 4
# Of the last so many answers, so many have to be as they should.
_LAST, _RIGHT = 100, 80
_SETTLES, _PATIENCE = 3.0, 20.0


def following(bench: Bench, _only: frozenset[str]) -> Iterator[Section]:
    """New rows, then known ones, then new ones again: until the cache is used, and until it is let be."""
    section = Section("follow", "Policy auto when the traffic changes")
    bench.say("policy auto: a change of traffic")
    head = [f"LogisticRegression, original form, {_CONNECTIONS} connections", "seconds", "requests"]
    table = Table(f"Until {_RIGHT} of the last {_LAST} answers are as they should be", head, [])
    section.tables.append(table)
    yield section
    peer = ours("auto", bench.packages(bench.regression).original, policy="auto", local_mb=LOCAL_MB)
    with up((peer,), section.troubles.append) as running:
        for each in running:
            for name, seconds, requests in asyncio.run(_changes(each.port, each.peer.path)):
                table.rows.append([name, f"{seconds:.2f}" if seconds < _PATIENCE else "not followed", f"{requests:,}"])
                section.figures[f"follow/{name}"] = seconds


async def _changes(port: int, path: str) -> list[tuple[str, float, int]]:
    rows, numbers = known_rows(), count(1)
    known = cycle([_request(path, row) for row in rows[:200]])
    caller = _Caller(port)

    def new() -> bytes:
        number = next(numbers)
        return _request(path, [number / 1e9, *rows[number % len(rows)][1:]])

    await caller.until(new, b"BYPASS", settles=_SETTLES)
    return [
        ("from new rows to known ones", *await caller.until(lambda: next(known), b"HIT")),
        ("from known rows to new ones", *await caller.until(new, b"BYPASS")),
    ]


class _Caller:
    """Asks in a closed loop on several connections, and reads the verdicts."""

    def __init__(self, port: int) -> None:
        self._port = port

    async def until(self, requests: Callable[[], bytes], verdict: bytes, *, settles: float = 0.0) -> tuple[float, int]:
        """Seconds and requests until the verdicts are mostly this one; asks for `settles` seconds at least."""
        started, asked = time.perf_counter(), 0
        last: deque[bool] = deque(maxlen=_LAST)
        followed: tuple[float, int] | None = None

        async def ask() -> None:
            nonlocal asked, followed
            reader, writer = await asyncio.open_connection("127.0.0.1", self._port)
            try:
                while (now := time.perf_counter() - started) < max(settles, 0.0 if followed else _PATIENCE):
                    writer.write(requests())
                    head = await reader.readuntil(b"\r\n\r\n")
                    await reader.readexactly(int(_header(head, b"content-length")))
                    asked += 1
                    last.append(_header(head, b"x-cache") == verdict)
                    if followed is None and sum(last) >= _RIGHT:
                        followed = now, asked
            finally:
                writer.close()

        await asyncio.gather(*(ask() for _ in range(_CONNECTIONS)))
        return followed or (_PATIENCE, asked)


def _request(path: str, row: list[float]) -> bytes:
    body = json.dumps({"data": [row]}).encode()
    return b"POST %b HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: %d\r\n\r\n%b" % (path.encode(), len(body), body)


def _header(head: bytes, name: bytes) -> bytes:
    at = head.index(b"\r\n" + name + b": ") + len(name) + 4
    return head[at : head.index(b"\r\n", at)]
