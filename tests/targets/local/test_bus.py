"""Queues on a server of their own: what is done is done once, and followed to its end."""

import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import redis

from deployments.domain.arrivals import Arrival, Fate, FateState
from deployments.domain.errors import NotFound
from deployments.targets.local import message_inbox
from deployments.targets.local.bus import Message, Queue
from deployments.targets.local.folders import Folder
from deployments.targets.local.redis_child import connect
from tests.scoring.processes import Redis

TRIGGER = {"kind": "service_bus", "queue_in": "rows", "queue_out": "sums"}


@pytest.fixture
def folder(short_path: Path) -> Folder:
    """The queue's folder, as the resource makes it."""
    folder = Folder(short_path / "queue")
    folder.sockets.mkdir(parents=True)
    return folder


@pytest.fixture
def server(folder: Folder) -> Iterator[Redis]:
    server = Redis(folder.path, f"unixsocket {folder.sockets / 'redis.sock'}")
    yield server
    server.kill()


@pytest.fixture
def rows(server: Redis, folder: Folder) -> Queue:
    queue = Queue(connect(folder, texts=False, seconds=5), "rows")
    queue.open()
    return queue


def test_a_message_is_completed_once(rows: Queue, folder: Folder) -> None:
    rows.send(Message(b"1"))
    (message,) = rows.receive(4, wait_ms=1000)
    for answer in (b"first", b"second"):
        rows.complete(message, answer=Message(answer), to="sums")
    rows.dead_letter(message, reason="late", description="")
    sums = Queue(connect(folder, texts=False, seconds=5), "sums")
    assert [answer.body for answer in sums.messages()] == [b"first"]
    assert rows.tally().done == 1
    assert rows.tally().poisoned == 0


def test_a_message_stays_where_its_answer_has_no_place(rows: Queue, server: Redis) -> None:
    rows.send(Message(b"1"))
    (message,) = rows.receive(4, wait_ms=1000)
    server.client.set("queue:sums", "no queue")
    with pytest.raises(redis.RedisError, match="is no queue"):
        rows.complete(message, answer=Message(b"1"), to="sums")
    assert rows.tally().waiting == 1
    rows.abandon(message, seconds=0, counted=False)
    assert [again.deliveries for again in rows.receive(4, wait_ms=1000)] == [1]


def test_no_command_is_sent_twice(server: Redis, folder: Folder) -> None:
    slow = """
        redis.call('INCR', KEYS[1])
        local began = redis.call('TIME')
        repeat local now = redis.call('TIME') until (now[1] - began[1]) * 1000000 + now[2] - began[2] > 500000
    """
    with pytest.raises(redis.TimeoutError):
        connect(folder, seconds=0.2).eval(slow, 1, "count")
    time.sleep(0.5)
    assert connect(folder, seconds=5).get("count") == "1"


def test_what_was_sent_from_here_is_followed_among_thousands(rows: Queue, server: Redis, folder: Folder) -> None:
    tickets = [message_inbox.put(folder, TRIGGER, Arrival(b"%d" % number)) for number in range(3)]
    done, dead, _ = rows.receive(3, wait_ms=1000)
    rows.complete(done, answer=Message(b"sum"), to="sums")
    rows.dead_letter(dead, reason="TooLarge", description="much")
    pipe = server.client.pipeline()
    for _ in range(2_000):
        for stream in ("queue:rows", "queue:sums", "queue:rows/$deadletter"):
            pipe.xadd(stream, {"body": "x"})
    pipe.execute()
    fates = [message_inbox.fate(folder, TRIGGER, ticket) for ticket in tickets]
    assert fates == [
        Fate(FateState.DONE, b"sum"),
        Fate(FateState.POISONED, reason="TooLarge: much", quotes_input=True),
        Fate(FateState.WAITING),
    ]
    server.client.delete("queue:sums")
    assert message_inbox.fate(folder, TRIGGER, tickets[0]).output is None
    for ticket in ("1-1", "-", "+", "no ticket", ""):
        with pytest.raises(NotFound):
            message_inbox.fate(folder, TRIGGER, ticket)
