"""What the function counted, read from its hashes; the whole server's numbers stand apart."""

from collections import Counter

import pytest
import redis
from hypothesis import given
from hypothesis import strategies as st

from deployments.cache.keys import KeySpace
from deployments.cache.savings import savings
from deployments.cache.statistics import BUCKETS_US, quantile_ms, read_statistics

from .conftest import OLD, VERSION

NOW = 1_700_000_000.0
MINUTE = int(NOW // 60)


def count(client: redis.Redis, version: str, ago: int, **fields: int) -> None:
    """Add counters as the scoring server does, `ago` minutes before now."""
    client.sadd("digits:versions", version)
    for name, number in fields.items():
        client.hincrby(f"digits:stats:{version}:{MINUTE - ago}", name, number)


def test_counts_of_all_versions_and_of_each(client: redis.Redis, space: KeySpace) -> None:
    count(client, VERSION, 0, hits=8, hit_us=8_000, saved_us=72_000, hit_le_1000=8)
    count(client, VERSION, 0, misses=2, miss_us=20_000, miss_le_20000=2)
    count(client, VERSION, 30, hits=1, misses=1, bypasses=3, errors=4)
    count(client, f"{OLD}-e2", 59, hits=1, misses=7)
    count(client, f"{OLD}-e2", 61, hits=1_000)
    count(client, "unused-since", 5_000, hits=1)
    found = read_statistics(client, space, minutes=60, address="here", now=NOW)
    assert (found.hits, found.misses, found.bypasses, found.errors) == (10, 10, 3, 4)
    assert found.hit_rate == 0.5
    assert found.counted_by == "function"
    assert [(version.version, version.hits, version.misses) for version in found.versions] == [
        (VERSION, 9, 3),
        (f"{OLD}-e2", 1, 7),
    ]
    assert found.hit.median_ms is not None
    assert 0.5 < found.hit.median_ms <= 1.0
    assert found.miss.p95_ms is not None
    assert 10 < found.miss.p95_ms <= 20
    assert found.saved.seconds == pytest.approx(0.072)
    assert found.saved.share == pytest.approx(0.72)


def test_parts_of_the_time_and_what_older_functions_do_not_count(client: redis.Redis, space: KeySpace) -> None:
    count(client, OLD, 2, hits=1, misses=1)
    count(client, VERSION, 0, hits=10, local_hits=6, joins=3, rows_hit=20, rows_missed=5, predict_le_5000=4)
    count(client, VERSION, 0, redis_le_200=4, saved_us=2_500_000)
    count(client, VERSION, 1, hits=1, saved_us=-500_000)
    found = read_statistics(client, space, minutes=10, address="here", now=NOW)
    assert (found.joins, found.local_hits, found.rows_hit, found.rows_missed) == (3, 6, 20, 5)
    assert found.predict.median_ms is not None
    assert 2 < found.predict.median_ms <= 5
    assert found.redis.p95_ms is not None
    assert 0.1 < found.redis.p95_ms <= 0.2
    new, old = found.versions
    assert (old.joins, old.local_hits, old.predict.median_ms, old.redis.p95_ms) == (0, 0, None, None)
    assert [(point.hits, point.saved_seconds) for point in new.series if point.hits] == [(1, -0.5), (10, 2.5)]
    assert [point.misses for point in old.series if point.misses] == [1]
    assert found.saved.seconds == pytest.approx(2.0)


def test_a_cache_that_does_not_pay_says_so() -> None:
    lost = savings({"hits": 2, "hit_us": 1_000, "miss_us": 9_000, "saved_us": -5_000})
    assert (lost.seconds, lost.per_hit_ms, lost.share) == (-0.005, -2.5, -1.0)
    assert savings({"hits": 1, "hit_us": 1_000, "saved_us": -5_000}).share is None


@pytest.mark.parametrize("minutes", [1, 60, 1440, 10_080, 43_200, 44_640])
def test_a_series_holds_every_answer_of_its_span_once(client: redis.Redis, space: KeySpace, minutes: int) -> None:
    for ago in {0, minutes // 3, minutes // 2, minutes - 1}:
        count(client, VERSION, ago, hits=1)
    found = read_statistics(client, space, minutes=minutes, address="here", now=NOW)
    assert sum(point.hits for point in found.series) == found.hits == len({0, minutes // 3, minutes // 2, minutes - 1})
    assert len(found.series) <= 62
    assert found.series[0].at == found.since
    assert found.until.timestamp() > NOW
    assert {rate for rate in found.versions[0].rates if rate is not None} == {1.0}
    assert len(found.versions[0].rates) == len(found.series)


def test_without_an_answer_there_is_no_rate_and_no_division(client: redis.Redis, space: KeySpace) -> None:
    found = read_statistics(client, space, minutes=60, address="here")
    assert (found.hit_rate, found.hit.median_ms, found.saved.per_hit_ms, found.versions) == (None, None, None, ())
    assert {point.hit_rate for point in found.series} == {None}


def test_what_is_no_counter_is_not_counted(client: redis.Redis, space: KeySpace) -> None:
    count(client, VERSION, 1, hits=3)
    client.set(f"digits:stats:{VERSION}:{MINUTE}", "not a hash")
    client.hset(f"digits:stats:{VERSION}:{MINUTE - 1}", mapping={"misses": "many", b"\xff": "\xfe"})
    found = read_statistics(client, space, minutes=60, address="here", now=NOW)
    assert (found.hits, found.misses) == (3, 0)


def test_the_whole_servers_numbers_stand_apart(client: redis.Redis, space: KeySpace) -> None:
    client.config_set("maxmemory", "64mb")
    client.config_set("maxmemory-policy", "allkeys-lfu")
    for _ in range(3):
        client.get("somebody's key")
    found = read_statistics(client, space, minutes=60, address="127.0.0.1:6379")
    assert (found.hits, found.misses) == (0, 0)
    server = found.server
    assert server.software.split()[0] in {"redis", "valkey"}
    assert (server.max_memory_bytes, server.policy, server.address) == (64 * 1024**2, "allkeys-lfu", "127.0.0.1:6379")
    assert (server.keyspace_misses or 0) >= 3
    assert server.hit_rate is not None
    assert server.clients
    assert server.used_memory_bytes


@given(st.lists(st.integers(0, 1000), min_size=14, max_size=14), st.floats(0.01, 1))
def test_a_quantile_lies_in_the_bucket_where_its_answer_was_counted(buckets: list[int], share: float) -> None:
    found = quantile_ms(buckets, share)
    if not sum(buckets):
        assert found is None
        return
    wanted = share * sum(buckets)
    bounds = [0, *BUCKETS_US, BUCKETS_US[-1]]
    index = next(index for index in range(14) if buckets[index] and sum(buckets[: index + 1]) >= wanted)
    assert found is not None
    assert bounds[index] / 1000 <= found * (1 + 1e-9)
    assert found <= max(bounds[index + 1], bounds[index]) / 1000 * (1 + 1e-9)


def test_savings_are_what_hits_did_not_take() -> None:
    found = savings(Counter(hits=100, hit_us=100_000, miss_us=200_000, saved_us=900_000))
    assert (found.seconds, found.per_hit_ms, found.share) == (0.9, 9.0, 0.75)
    assert savings(Counter(misses=3, miss_us=5)).share is None


def test_versions_without_counters_are_forgotten_and_too_many_are_said_to_be(
    client: redis.Redis, space: KeySpace, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("deployments.cache.statistics.MOST_KEYS", 3 * 43_200)
    count(client, VERSION, 5, hits=1)
    count(client, f"{OLD}-e9", 44_000, hits=1)
    client.sadd("digits:versions", *(f"{VERSION}-e{epoch}" for epoch in range(1, 9)))
    day = read_statistics(client, space, minutes=1440, address="", now=NOW)
    assert (day.hits, day.versions_left_out, client.scard("digits:versions")) == (1, 0, 10)
    month = read_statistics(client, space, minutes=43_200, address="", now=NOW)
    assert month.versions_left_out == 7
    for _ in range(3):
        month = read_statistics(client, space, minutes=43_200, address="", now=NOW)
    assert (month.hits, month.versions_left_out) == (1, 0)
    assert client.smembers("digits:versions") == {VERSION.encode(), f"{OLD}-e9".encode()}
