"""What a process keeps itself is forgotten as soon as Redis says so, and whenever nobody could have said so."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from pathlib import Path

import httpx
import pytest

from scoring.local import LocalAnswers
from tests.scoring.processes import Function, Redis, wait_for

Serve = Callable[..., Function]
ROWS = [[1, 2]]


@pytest.fixture
def function(serve: Serve, cache_server: Redis, counting: Path, tmp_path: Path) -> Function:
    return serve(
        counting,
        SCORING_CACHE_URL=cache_server.url,
        SCORING_CACHE_PREFIX=f"local-{tmp_path.name}",
        SCORING_LOCAL_MB="1",
    ).ready()


def is_local(answer: httpx.Response) -> bool:
    return answer.headers["x-cache"] == "HIT" and "get;" not in answer.headers["server-timing"]


def kept(function: Function) -> str:
    """Score until the process keeps the answer; its key."""
    answer = wait_for(lambda: is_local(found := function.score(ROWS)) and found)
    return str(answer.headers["x-cache-key"])


def test_what_was_stored_or_found_is_answered_without_redis(
    function: Function, serve: Serve, cache_server: Redis, counting: Path
) -> None:
    assert function.verdict(ROWS) == "MISS"
    # Its own entry is watched from the start, without being read back.
    wait_for(lambda: cache_server.entries())
    assert is_local(function.score(ROWS))
    assert function.score([[2, 1]], cache_control="no-cache").headers["x-cache"] == "MISS"
    stats = f"{kept(function).split(':')[0]}:stats:*"
    fields = wait_for(lambda: (names := cache_server.client.keys(stats)) and cache_server.client.hgetall(names[0]))
    assert int(fields.get(b"hits", 0)) >= int(fields.get(b"local_hits", 0))


def test_a_changed_entry_is_seen_at_once(function: Function, cache_server: Redis) -> None:
    function.score(ROWS)
    key = kept(function)
    entry = json.loads(cache_server.client.get(key) or b"")
    cache_server.client.set(key, json.dumps({**entry, "output": ["changed"]}))
    wait_for(lambda: function.score(ROWS).json() == ["changed"])
    cache_server.client.delete(key)
    assert wait_for(lambda: (answer := function.score(ROWS)).headers["x-cache"] == "MISS" and answer).json() == [3.0]


def test_everything_is_forgotten_where_redis_is_emptied_or_the_epoch_rises(
    function: Function, cache_server: Redis
) -> None:
    function.score(ROWS)
    key = kept(function)
    cache_server.client.flushdb()
    wait_for(lambda: function.verdict(ROWS) == "MISS")
    kept(function)
    prefix = key.split(":")[0]
    cache_server.client.set(f"{prefix}:epoch", 7)
    cache_server.client.publish(f"{prefix}:epoch", 7)
    assert "-e7:" in wait_for(
        lambda: (answer := function.score(ROWS)).headers["x-cache"] == "MISS" and answer.headers["x-cache-key"]
    )


def test_nothing_is_kept_over_a_lost_connection(function: Function, cache_server: Redis) -> None:
    function.score(ROWS)
    key = kept(function)
    entry = json.loads(cache_server.client.get(key) or b"")
    # Changed by a hand that nobody was told of.
    with cache_server.client.pipeline(transaction=True) as pipeline:
        pipeline.client_kill_filter(skipme=True, _type="normal")
        pipeline.set(key, json.dumps({**entry, "output": ["changed"]}))
        pipeline.execute()
    wait_for(lambda: function.score(ROWS).json() == ["changed"])


def test_an_entry_lives_no_longer_here_than_there(serve: Serve, cache_server: Redis, counting: Path) -> None:
    function = serve(
        counting,
        SCORING_CACHE_URL=cache_server.url,
        SCORING_CACHE_PREFIX="short",
        SCORING_LOCAL_MB="1",
        SCORING_CACHE_TTL="1",
    ).ready()
    function.score(ROWS)
    time.sleep(1.1)
    assert function.verdict(ROWS) == "MISS"


def test_the_least_recently_used_gives_way() -> None:
    local = LocalAnswers(10_000)
    for number in range(20):
        local.keep(str(number), bytes(500), until=0.0)
        local.get("0")
    held = [number for number in range(20) if local.get(str(number)) is not None]
    assert held[0] == 0
    assert held[1:] == list(range(20 - len(held) + 1, 20))
    assert 10 < len(held) < 15
    local.keep("long", bytes(5000), until=0.0)
    assert local.get("long") is None
    local.keep("past", b"x", until=time.time() - 1)
    assert local.get("past") is None
    local.invalidate([b"19", b"unknown"])
    assert (local.get("19"), local.get("18")) == (None, bytes(500))
    local.invalidate(None)
    assert local.get("18") is None
