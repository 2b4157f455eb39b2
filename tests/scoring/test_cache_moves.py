"""A cache behind a network and a failover: swallowed, slow, promoted, demoted, loading, one of a cluster."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.scoring.processes import Function, Redis, free_port, wait_for
from tests.scoring.proxies import Proxy

Serve = Callable[..., Function]
OwnRedis = Callable[..., Redis]
ProxyTo = Callable[[Redis], Proxy]


@pytest.fixture
def proxy_to() -> Iterator[ProxyTo]:
    """Put something between the function and its Redis."""
    proxies: list[Proxy] = []

    def start(server: Redis) -> Proxy:
        proxies.append(Proxy(server.port))
        return proxies[-1]

    yield start
    for proxy in proxies:
        proxy.close()


def is_up(function: Function) -> bool:
    return bool(function.health()["cache"]["state"] == "up")


def timed(function: Function, count: int) -> tuple[set[str], list[float]]:
    """The verdicts of so many equal requests, and how long each took, the quickest first."""
    verdicts, took = set(), []
    for _ in range(count):
        start = time.monotonic()
        verdicts.add(function.verdict([[1, 2]]))
        took.append(time.monotonic() - start)
    return verdicts, sorted(took)


def test_a_network_that_swallows_everything_costs_the_timeout_once(
    serve: Serve, own_redis: OwnRedis, proxy_to: ProxyTo, counting: Path
) -> None:
    proxy = proxy_to(own_redis())
    function = serve(counting, SCORING_CACHE_URL=proxy.url, SCORING_CACHE_TIMEOUT_MS="400").ready()
    assert function.verdict([[1, 2]]) == "MISS"
    proxy.swallows = True
    verdicts, took = timed(function, 30)
    assert verdicts == {"BYPASS"}
    # One waited; connecting again goes on beside the answers.
    assert took[-1] < 1.5
    assert sum(one > 0.3 for one in took) <= 1
    proxy.swallows = False
    wait_for(lambda: is_up(function))
    assert function.verdict([[1, 2]]) == "HIT"


def test_a_network_that_swallows_from_the_start(
    serve: Serve, own_redis: OwnRedis, proxy_to: ProxyTo, counting: Path
) -> None:
    proxy = proxy_to(own_redis())
    proxy.swallows = True
    function = serve(counting, SCORING_CACHE_URL=proxy.url).ready()
    assert timed(function, 5)[0] == {"BYPASS"}
    proxy.swallows = False
    wait_for(lambda: is_up(function))
    assert timed(function, 2)[0] == {"MISS", "HIT"}


def test_a_redis_that_answers_too_late_every_time_is_left_alone(
    serve: Serve, own_redis: OwnRedis, proxy_to: ProxyTo, counting: Path
) -> None:
    proxy = proxy_to(own_redis())
    function = serve(counting, SCORING_CACHE_URL=proxy.url, SCORING_CACHE_TIMEOUT_MS="200").ready()
    proxy.delay = 0.5
    verdicts, took = timed(function, 40)
    assert "HIT" not in verdicts
    # Its first question is late as well, so that nobody waits for it again.
    assert sum(one > 0.15 for one in took) <= 1
    assert not is_up(function)
    proxy.delay = 0.0
    wait_for(lambda: is_up(function))


def test_a_promoted_replica_goes_on_for_a_leader_that_died(
    serve: Serve, own_redis: OwnRedis, proxy_to: ProxyTo, counting: Path
) -> None:
    leader = own_redis("repl-diskless-sync-delay 0")
    replica = own_redis(f"replicaof 127.0.0.1 {leader.port}")
    wait_for(lambda: replica.client.info("replication")["master_link_status"] == "up")
    proxy = proxy_to(leader)
    function = serve(counting, SCORING_CACHE_URL=proxy.url).ready()
    assert function.verdict([[1, 2]]) == "MISS"
    wait_for(replica.entries)
    leader.kill()
    assert function.verdict([[1, 2]]) == "BYPASS"
    replica.client.replicaof("NO", "ONE")
    proxy.port = replica.port
    wait_for(lambda: is_up(function))
    assert function.verdict([[1, 2]]) == "HIT"
    assert function.verdict([[3, 4]]) == "MISS"
    wait_for(lambda: len(replica.entries()) == 2)


def test_a_leader_that_was_demoted_is_left_for_the_one_behind_the_address(
    serve: Serve, own_redis: OwnRedis, proxy_to: ProxyTo, counting: Path
) -> None:
    old, new = own_redis(), own_redis("repl-diskless-sync-delay 0")
    proxy = proxy_to(old)
    function = serve(counting, SCORING_CACHE_URL=proxy.url).ready()
    assert function.verdict([[1, 2]]) == "MISS"
    proxy.port = new.port
    old.client.replicaof("127.0.0.1", new.port)
    # Its connections stay, and it answers READONLY to the first attempt to store.
    wait_for(lambda: function.verdict([[1, 2]]) == "HIT" and new.entries())
    assert "READONLY" in function.log


def test_a_redis_that_is_reading_its_data_is_waited_for(serve: Serve, own_redis: OwnRedis, counting: Path) -> None:
    cache = own_redis()
    function = serve(counting, SCORING_CACHE_URL=cache.url).ready()
    assert function.verdict([[1, 2]]) == "MISS"
    cache.client.mset({f"other:{number}": number for number in range(1000)})
    cache.client.save()
    cache.kill()
    # A thousandth of a second for each key; it answers LOADING meanwhile.
    cache.start("key-load-delay 1500", "loading-process-events-interval-bytes 1024", wait=False)
    loading = wait_for(lambda: "LOADING" in (about := function.health()["cache"]).get("detail", "") and about)
    assert loading["state"] == "down"
    assert function.score([[1, 2]]).json() == [3]
    wait_for(lambda: is_up(function))
    assert function.verdict([[1, 2]]) == "HIT"


def test_one_server_of_a_cluster_is_named_as_such(serve: Serve, own_redis: OwnRedis, counting: Path) -> None:
    nodes = [
        own_redis("cluster-enabled yes", f"cluster-config-file nodes-{number}.conf", f"cluster-port {free_port()}")
        for number in (1, 2)
    ]
    for node, first, last in ((nodes[0], 0, 8191), (nodes[1], 8192, 16383)):
        node.client.execute_command("CLUSTER", "ADDSLOTSRANGE", first, last)
    bus = int(nodes[1].client.config_get("cluster-port")["cluster-port"])
    nodes[0].client.execute_command("CLUSTER", "MEET", "127.0.0.1", nodes[1].port, bus)
    wait_for(lambda: nodes[0].client.execute_command("CLUSTER INFO")["cluster_state"] == "ok")
    function = serve(counting, SCORING_CACHE_URL=nodes[0].url).ready()
    for number in range(40):
        assert function.score([[1, number]]).json() == [1 + number]
    wait_for(lambda: "MOVED" in function.log)
    assert "use a tier or clustering policy with a single endpoint" in function.log
