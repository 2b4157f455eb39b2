"""The cache is a help and never a condition: whatever is wrong with it costs little, once, and passes."""

from __future__ import annotations

import importlib
import json
import shutil
import subprocess
import tempfile
import time
from collections.abc import Callable
from itertools import count
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from tests.scoring.packages import write_package
from tests.scoring.processes import Function, Redis, free_port, wait_for
from tests.scoring.proxies import Proxy

Serve = Callable[..., Function]
OwnRedis = Callable[..., Redis]


def recovered(function: Function) -> bool:
    return bool(function.health()["cache"]["state"] == "up")


def timed(function: Function, rows: Any) -> tuple[str, float]:
    start = time.monotonic()
    return function.verdict(rows), time.monotonic() - start


def test_a_killed_redis_is_done_without_until_it_is_back(serve: Serve, own_redis: OwnRedis, counting: Path) -> None:
    cache = own_redis()
    function = serve(counting, SCORING_CACHE_URL=cache.url).ready()
    assert [function.verdict([[1, 2]]), function.verdict([[1, 2]])] == ["MISS", "HIT"]
    cache.kill()
    for _ in range(20):
        verdict, took = timed(function, [[1, 2]])
        assert verdict == "BYPASS"
        assert took < 1
    health = function.health()["cache"]
    assert health["state"] == "down"
    assert health["detail"]
    cache.start()
    wait_for(lambda: recovered(function))
    assert [function.verdict([[1, 2]]), function.verdict([[1, 2]])] == ["MISS", "HIT"]


def test_a_hanging_redis_costs_its_timeout_once(serve: Serve, own_redis: OwnRedis, counting: Path) -> None:
    cache = own_redis()
    function = serve(counting, SCORING_CACHE_URL=cache.url, SCORING_CACHE_TIMEOUT_MS="300").ready()
    assert function.verdict([[1, 2]]) == "MISS"
    cache.freeze()
    verdict, took = timed(function, [[1, 2]])
    assert verdict == "BYPASS"
    assert took < 2
    later = [timed(function, [[1, 2]]) for _ in range(20)]
    assert {verdict for verdict, _ in later} == {"BYPASS"}
    assert sorted(took for _, took in later)[10] < 0.1
    cache.thaw()
    wait_for(lambda: recovered(function))
    assert function.verdict([[1, 2]]) == "HIT"


def test_no_redis_at_the_start_is_no_obstacle(serve: Serve, own_redis: OwnRedis, counting: Path) -> None:
    cache = own_redis()
    cache.kill()
    function = serve(counting, SCORING_CACHE_URL=cache.url).ready()
    assert function.verdict([[1, 2]]) == "BYPASS"
    cache.start()
    wait_for(lambda: recovered(function))
    assert function.verdict([[1, 2]]) == "MISS"


def test_a_full_redis_still_answers_what_it_holds(serve: Serve, own_redis: OwnRedis, counting: Path) -> None:
    cache = own_redis("maxmemory-policy noeviction")
    function = serve(counting, SCORING_CACHE_URL=cache.url).ready()
    assert function.verdict([[1, 2]]) == "MISS"
    cache.client.config_set("maxmemory", "1")
    function.score([[3, 4]])
    assert wait_for(lambda: "refuses to store" in function.log)
    assert function.verdict([[3, 4]]) == "BYPASS"
    assert function.verdict([[1, 2]]) == "HIT"
    cache.client.config_set("maxmemory", "0")
    wait_for(lambda: function.verdict([[3, 4]]) == "HIT")


def test_a_replica_that_only_reads_is_done_without(serve: Serve, own_redis: OwnRedis, counting: Path) -> None:
    leader = own_redis()
    cache = own_redis(f"replicaof 127.0.0.1 {leader.port}")
    wait_for(lambda: cache.client.info("replication")["master_link_status"] == "up")
    function = serve(counting, SCORING_CACHE_URL=cache.url).ready()
    function.score([[1, 2]])
    wait_for(lambda: "READONLY" in function.log)
    assert function.score([[1, 2]]).json() == [3]
    assert function.verdict([[1, 2]]) == "BYPASS"


def test_a_refused_password_is_said_and_done_without(serve: Serve, own_redis: OwnRedis, counting: Path) -> None:
    cache = own_redis(password="right")
    wrong = cache.url.replace("right", "w.r.o.n.g")
    function = serve(counting, SCORING_CACHE_URL=wrong).ready()
    assert function.verdict([[1, 2]]) == "BYPASS"
    assert "WRONGPASS" in function.health()["cache"]["detail"]
    assert "w.r.o.n.g" not in function.log
    own = serve(counting, SCORING_CACHE_URL=wrong.replace(":w.r.o.n.g@", ""), SCORING_CACHE_PASSWORD="right").ready()
    assert own.verdict([[1, 2]]) == "MISS"


def test_something_else_at_the_address_is_not_a_cache(serve: Serve, counting: Path) -> None:
    other = serve(counting).ready()
    function = serve(counting, SCORING_CACHE_URL=f"redis://127.0.0.1:{other.client.base_url.port}").ready()
    assert function.verdict([[1, 2]]) == "BYPASS"
    assert function.health()["cache"]["state"] == "down"


@pytest.mark.parametrize(
    "poison",
    [
        b"not json",
        b"",
        b"[99]",
        b'{"output":[99]}',
        b'{"output":[99],"model_version":"other","epoch":0}',
        b'{"output":[99],"model_version":"MINE","epoch":5}',
        b'{"output":[99,"model_version":"MINE","epoch":0}',
        b'{"output":[99,98],"model_version":"MINE","epoch":0}',
        b'{"output":[],"model_version":"MINE","epoch":0}',
        b'{"output":99,"model_version":"MINE","epoch":0}',
        b'{"output":["99"],"model_version":"MINE","epoch":0}',
        b'{"output":[[99]],"model_version":"MINE","epoch":0}',
        b"\x80\x04\x95\x0b\x00\x00\x00\x00\x00\x00\x00]\x94",
    ],
)
def test_a_poisoned_entry_is_a_miss_and_mended(poison: bytes, cache_server: Redis, counting_function: Function) -> None:
    first = counting_function.score([[7, 8]])
    key, version = first.headers["x-cache-key"], first.headers["x-model-version"]
    cache_server.client.set(key, poison.replace(b"MINE", version.encode()))
    answers = [counting_function.score([[7, 8]]) for _ in range(2)]
    assert [answer.headers["x-cache"] for answer in answers] == ["MISS", "HIT"]
    assert [answer.json() for answer in answers] == [[15], [15]]


def test_answers_other_than_the_manifest_says_are_kept_all_the_same(
    serve: Serve, cache_server: Redis, tmp_path: Path
) -> None:
    model = importlib.import_module("shapes").WholeModel()
    write_package(tmp_path / "whole", model, uploads=("shapes.py",))
    function = serve(tmp_path / "whole", SCORING_CACHE_URL=cache_server.url, SCORING_CACHE_PREFIX="other").ready()
    answers = [function.score([[1, 2], [3, 4]]) for _ in range(2)]
    assert [answer.headers["x-cache"] for answer in answers] == ["MISS", "HIT"]
    assert answers[0].json() == answers[1].json() == {"rows": 2, "sum": 10.0}
    assert function.log.count("are not what the manifest says") == 1


def test_a_long_answer_over_a_slow_line_is_a_hit_and_ends_nothing(
    serve: Serve, cache_server: Redis, tmp_path: Path
) -> None:
    root = tmp_path / "long"
    write_package(root, None, code={"entry_script": "long.py", "deterministic": True})
    (root / "code").mkdir()
    (root / "code/long.py").write_text("def init(): pass\ndef run(data): return 'x' * 3_000_000")
    proxy = Proxy(cache_server.port)
    try:
        function = serve(root, SCORING_CACHE_URL=proxy.url, SCORING_CACHE_PREFIX="long").ready()
        assert function.verdict([1]) == "MISS"
        wait_for(lambda: any(key.startswith("long:") for key in cache_server.entries()))
        # Some 50 pieces: several times what a reply may take that does not grow.
        proxy.delay = 0.02
        assert [function.verdict([1]) for _ in range(2)] == ["HIT", "HIT"]
        assert "did not answer" not in function.log
    finally:
        proxy.close()


def test_another_type_under_our_key_is_a_miss_and_mended(cache_server: Redis, counting_function: Function) -> None:
    key = counting_function.score([[7, 9]]).headers["x-cache-key"]
    cache_server.client.delete(key)
    cache_server.client.hset(key, "a", "b")
    assert [counting_function.verdict([[7, 9]]) for _ in range(2)] == ["MISS", "HIT"]


@pytest.mark.parametrize("fill", [b"x", b'{"output":[9'])
def test_an_entry_of_fifty_megabytes_is_taken_away_and_mended(
    fill: bytes, serve: Serve, own_redis: OwnRedis, counting: Path
) -> None:
    cache = own_redis()
    function = serve(counting, SCORING_CACHE_URL=cache.url).ready()
    key = function.score([[7, 8]]).headers["x-cache-key"]
    other = function.score([[1, 2]])
    cache.client.set(key, fill * (50_000_000 // len(fill)))
    start = time.monotonic()
    assert function.score([[7, 8]]).json() == [15]
    assert time.monotonic() - start < 3
    wait_for(lambda: function.verdict([[7, 8]]) == "HIT")
    assert int(cache.client.strlen(key)) < 1000
    assert function.score([[1, 2]]).json() == other.json()
    assert function.process.poll() is None


def test_an_epoch_of_fifty_megabytes_is_none(serve: Serve, own_redis: OwnRedis, counting: Path) -> None:
    cache = own_redis()
    cache.client.set("test:epoch", b"9" * 50_000_000)
    function = serve(counting, SCORING_CACHE_URL=cache.url).ready()
    assert [function.verdict([[1, 2]]) for _ in range(2)] == ["MISS", "HIT"]
    assert function.health()["epoch"] == 0


@pytest.fixture(scope="module")
def counting_function(tmp_path_factory: pytest.TempPathFactory, cache_server: Redis) -> Any:
    root = tmp_path_factory.mktemp("poisoned") / "package"
    output = {"kind": "array", "dtype": "float64", "classes": None, "outputs": 1, "shape": [None]}
    model = importlib.import_module("counting").CountingModel()
    write_package(root, model, uploads=("counting.py",), output=output)
    function = Function(root, SCORING_CACHE_URL=cache_server.url).ready()
    yield function
    function.stop()


def test_a_raised_epoch_leaves_old_answers_behind(serve: Serve, own_redis: OwnRedis, counting: Path) -> None:
    cache = own_redis()
    function = serve(counting, SCORING_CACHE_URL=cache.url).ready()
    old = function.score([[1, 2]]).headers["x-cache-key"]
    cache.client.set("test:epoch", 4)
    cache.client.publish("test:epoch", 4)
    wait_for(lambda: function.health()["epoch"] == 4, seconds=0.7)
    new = function.score([[1, 2]])
    assert new.headers["x-cache"] == "MISS"
    assert new.headers["x-cache-key"] == old.replace(":q:", "-e4:q:")
    assert json.loads(cache.stored(new.headers["x-cache-key"]))["epoch"] == 4
    cache.client.set("test:epoch", 5)
    wait_for(lambda: function.health()["epoch"] == 5, seconds=3)


def test_an_epoch_never_goes_down(serve: Serve, own_redis: OwnRedis, counting: Path) -> None:
    cache = own_redis()
    cache.client.set("test:epoch", "poison")
    function = serve(counting, SCORING_CACHE_URL=cache.url, SCORING_DATA_EPOCH="3").ready()
    wait_for(lambda: cache.client.get("test:epoch") == b"3")
    assert function.health()["epoch"] == 3
    cache.client.flushall()
    wait_for(lambda: cache.client.get("test:epoch") == b"3")


def test_policy_off_touches_nothing(serve: Serve, own_redis: OwnRedis, counting: Path) -> None:
    cache = own_redis()
    function = serve(counting, SCORING_CACHE_URL=cache.url, SCORING_CACHE_POLICY="off").ready()
    assert [function.verdict([[1, 2]]) for _ in range(2)] == ["BYPASS", "BYPASS"]
    assert cache.client.dbsize() == 0


def test_policy_auto_gives_up_on_a_cache_that_never_hits(serve: Serve, own_redis: OwnRedis, counting: Path) -> None:
    cache = own_redis()
    function = serve(counting, SCORING_CACHE_URL=cache.url, SCORING_CACHE_POLICY="auto").ready()
    numbers = count()
    assert [function.verdict([[1, next(numbers)]]) for _ in range(20)] == ["MISS"] * 20
    wait_for(lambda: [function.verdict([[1, next(numbers)]]) for _ in range(50)] == ["BYPASS"] * 50, seconds=30)


@pytest.mark.parametrize(
    ("setting", "masked", "shown"),
    [("whole", "", [[1.0, 2.0]]), ("masked", "1", [[1.0, "***"]]), ("none", "", None), ("masked", "pin", None)],
)
def test_the_input_is_stored_as_the_spec_says(
    setting: str, masked: str, shown: Any, serve: Serve, cache_server: Redis, counting: Path
) -> None:
    function = serve(
        counting,
        SCORING_CACHE_URL=cache_server.url,
        SCORING_CACHE_PREFIX=f"input-{setting}-{masked}",
        SCORING_STORE_INPUT=setting,
        SCORING_MASKED_FIELDS=masked,
    ).ready()
    key = function.score([[1, 2]]).headers["x-cache-key"]
    assert json.loads(cache_server.stored(key)).get("input") == shown


@pytest.mark.parametrize("keys", ["request", "row"])
def test_the_stored_input_is_what_was_sent_and_not_what_the_model_made_of_it(
    keys: str, serve: Serve, cache_server: Redis, tmp_path: Path
) -> None:
    data = np.array([[1.0, 20.0], [3.0, 40.0], [5.0, 10.0]])
    model = make_pipeline(StandardScaler(copy=False), LogisticRegression()).fit(data.copy(), [0, 1, 1])
    write_package(tmp_path / "scaled", model, input={"features": 2})
    settings = {"SCORING_CACHE_PREFIX": f"scaled-{keys}", "SCORING_KEYS": keys}
    function = serve(tmp_path / "scaled", SCORING_CACHE_URL=cache_server.url, **settings).ready()
    assert function.verdict([[3, 40]]) == "MISS"
    (key,) = wait_for(lambda: list(cache_server.client.scan_iter(f"scaled-{keys}:*:[qr]:*")))
    assert json.loads(cache_server.stored(key))["input"] == ([[3.0, 40.0]] if keys == "request" else [3.0, 40.0])


def test_a_unix_socket_and_a_database(serve: Serve, own_redis: OwnRedis, counting: Path) -> None:
    # A socket's address holds about a hundred bytes, and `tmp_path` may be longer.
    with tempfile.TemporaryDirectory(prefix="redis-") as folder:
        socket = Path(folder) / "redis.sock"
        cache = own_redis(f"unixsocket {socket}", password="secret")
        url = f"unix://{socket}?db=2"
        function = serve(counting, SCORING_CACHE_URL=url, SCORING_CACHE_PASSWORD="secret").ready()
        assert [function.verdict([[1, 2]]) for _ in range(2)] == ["MISS", "HIT"]
        assert cache.client.info("keyspace")["db2"]["keys"] >= 1


def test_tls_checks_the_server(serve: Serve, own_redis: OwnRedis, counting: Path, tmp_path: Path) -> None:
    cache = own_redis(password="secret")
    openssl = shutil.which("openssl")
    if openssl is None or not cache.client.config_get("tls-port"):
        pytest.skip("needs openssl and a Redis server that was built with TLS")
    key, certificate, port = tmp_path / "key.pem", tmp_path / "certificate.pem", free_port()
    request = ["req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=localhost"]
    names = ["-addext", "subjectAltName=DNS:localhost", "-keyout", str(key), "-out", str(certificate)]
    subprocess.run([openssl, *request, *names], check=True, capture_output=True)
    files = ("tls-cert-file", str(certificate), "tls-key-file", str(key), "tls-auth-clients", "no")
    cache.client.config_set(*files, "tls-port", port)
    trusted = f"rediss://:secret@localhost:{port}/0?ssl_ca_certs={certificate}"
    function = serve(counting, SCORING_CACHE_URL=trusted).ready()
    assert [function.verdict([[1, 2]]) for _ in range(2)] == ["MISS", "HIT"]
    for doubtful in (f"rediss://:secret@localhost:{port}/0", trusted.replace("localhost", "127.0.0.1")):
        function = serve(counting, SCORING_CACHE_URL=doubtful).ready()
        assert function.verdict([[1, 2]]) == "BYPASS"
        assert "certificate verify failed" in function.health()["cache"]["detail"]
