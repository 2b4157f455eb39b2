"""The server over real HTTP with a real Redis: verdicts, headers, keys, limits, loading and ending."""

from __future__ import annotations

import json
import socket
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from tests.scoring.packages import write_package
from tests.scoring.processes import Function, Redis, wait_for

Serve = Callable[..., Function]


@pytest.fixture(scope="module")
def package(tmp_path_factory: pytest.TempPathFactory, digits: Any) -> Path:
    root = tmp_path_factory.mktemp("digits")
    model, data = digits
    write_package(root, model, input={"example": data[:1].tolist()})
    return root


@pytest.fixture(scope="module")
def function(package: Path, cache_server: Redis) -> Iterator[Function]:
    served = Function(
        package, SCORING_CACHE_URL=cache_server.url, SCORING_FUNCTION_KEYS="k1, k2", SCORING_CACHE_TTL="500"
    ).ready()
    served.client.headers["x-functions-key"] = "k2"
    yield served
    assert served.stop() == 0


@pytest.fixture(autouse=True)
def empty(cache_server: Redis) -> None:
    for key in cache_server.entries():
        cache_server.client.delete(key)


def manifest_of(function: Function) -> dict[str, Any]:
    manifest: dict[str, Any] = json.loads((function.root / "manifest.json").read_text())
    return manifest


def test_a_miss_is_stored_and_then_hit(function: Function, cache_server: Redis, digits: Any) -> None:
    model, data = digits
    rows = data[:3].tolist()
    version = manifest_of(function)["model_version"]
    first, second = function.score(rows), function.score(rows)
    assert [first.headers["x-cache"], second.headers["x-cache"]] == ["MISS", "HIT"]
    assert first.json() == second.json() == model.predict(data[:3]).tolist()
    assert first.headers["x-model-version"] == version
    assert first.headers["content-type"] == "application/json"
    (key,) = cache_server.entries()
    assert first.headers["x-cache-key"] == second.headers["x-cache-key"] == key
    assert key.startswith(f"test:{version[:16]}:q:")
    assert len(key.rsplit(":", 1)[1]) == 32
    assert 0 < cache_server.client.ttl(key) <= 500
    entry = json.loads(cache_server.client.get(key))
    assert set(entry) == {"output", "model_version", "epoch", "at", "input"}
    assert (entry["output"], entry["model_version"], entry["epoch"]) == (first.json(), version, 0)
    assert entry["input"] == rows


def test_server_timing_has_the_parts_that_were_needed(function: Function, digits: Any) -> None:
    rows = digits[1][3:4].tolist()
    parts = [
        [part.split(";")[0] for part in function.score(rows).headers["server-timing"].split(", ")] for _ in range(2)
    ]
    assert parts == [["parse", "get", "predict", "set", "total"], ["parse", "get", "total"]]


def test_the_caller_steers_the_cache(function: Function, cache_server: Redis, digits: Any) -> None:
    rows = digits[1][4:5].tolist()
    assert function.verdict(rows, cache_control="no-store") == "BYPASS"
    assert cache_server.entries() == []
    assert function.verdict(rows) == "MISS"
    (key,) = wait_for(cache_server.entries)
    cache_server.client.set(key, json.dumps({**json.loads(cache_server.stored(key)), "output": [99]}))
    assert function.score(rows).json()[0] == 99
    assert function.verdict(rows, cache_control="no-store") == "BYPASS"
    assert function.score(rows).json()[0] == 99
    fresh = function.score(rows, cache_control="No-Cache")
    assert fresh.headers["x-cache"] == "MISS"
    assert function.score(rows).json() == fresh.json() != [99]
    assert function.verdict(rows, cache_control="max-age=0, no-store") == "BYPASS"


def test_the_same_numbers_hit_however_they_are_written(function: Function) -> None:
    written = (["1"] * 64, ["1.0"] * 64, ["1e0"] * 64, ["10E-1"] * 64)
    bodies = [f'{{"data": [[{", ".join(cells)}]]}}' for cells in written]
    verdicts = [function.client.post("/api/score", content=body).headers["x-cache"] for body in bodies]
    assert verdicts == ["MISS", "HIT", "HIT", "HIT"]


@pytest.mark.parametrize(
    ("body", "status", "code"),
    [
        (b"{", 400, "bad_json"),
        (b"", 400, "empty"),
        (b'{"data": [[1, 2]]}', 400, "bad_shape"),
        (b'{"data": [[%b]]}' % b", ".join([b"NaN"] * 64), 400, "not_finite"),
        (b'{"data": [%b]}' % b", ".join([b"[" + b", ".join([b"1"] * 64) + b"]"] * 1001), 413, "too_many_rows"),
        (b" " * (10 * 1024 * 1024 + 1), 413, "too_large"),
    ],
)
def test_what_does_not_fit_is_said(function: Function, body: bytes, status: int, code: str) -> None:
    answer = function.client.post("/api/score", content=body)
    assert (answer.status_code, answer.json()["error"]["code"]) == (status, code)
    assert {"message", "hint"} <= set(answer.json()["error"])
    assert "x-cache" not in answer.headers


def test_a_body_without_a_length_is_cut_off_at_the_limit(function: Function) -> None:
    answer = function.client.post("/api/score", content=(b" " * 1024 * 1024 for _ in range(12)))
    assert (answer.status_code, answer.json()["error"]["code"]) == (413, "too_large")
    body = json.dumps({"data": [[0.5] * 64]}).encode()
    assert function.client.post("/api/score", content=(body[i : i + 50] for i in range(0, len(body), 50))).is_success


def test_a_compressed_body_is_not_guessed_at(function: Function) -> None:
    answer = function.score([[0.0] * 64], content_encoding="gzip")
    assert (answer.status_code, answer.json()["error"]["code"]) == (415, "unsupported_encoding")


def test_a_key_is_needed_in_the_header_or_the_query(function: Function) -> None:
    rows = [[0.0] * 64]
    for key in ("k1", "k2"):
        assert function.score(rows, x_functions_key=key).is_success
    for wrong in ("", "k", "k1k2", "k1, k2", "ké"):
        answer = function.client.post("/api/score", json={"data": rows}, headers={"x-functions-key": wrong.encode()})
        assert (answer.status_code, answer.json()["error"]["code"]) == (401, "unauthorized")
    plain = function.client.headers.pop("x-functions-key")
    try:
        assert function.client.post("/api/score?code=k1", json={"data": rows}).is_success
        for query in ("code=no", "code=%C3%A9", "name=%C3%A9", "code=%FF%00", "%C3%A9=k1"):
            assert function.client.post(f"/api/score?{query}", json={"data": rows}).status_code == 401
            assert function.client.get(f"/openapi.json?{query}").status_code == 401
        assert function.client.post("/api/score", json={"data": rows}).status_code == 401
        assert function.client.get("/openapi.json").status_code == 401
        assert function.client.get("/healthz").is_success
        assert function.client.get("/").is_success
    finally:
        function.client.headers["x-functions-key"] = plain


def test_addresses_and_methods_that_are_not_there(function: Function) -> None:
    missing, wrong = function.client.get("/api/other"), function.client.get("/api/score")
    assert (missing.status_code, missing.json()["error"]["code"]) == (404, "not_found")
    assert (wrong.status_code, wrong.json()["error"]["code"]) == (405, "wrong_method")
    assert wrong.headers["allow"] == "POST"
    assert function.client.post("/healthz").headers["allow"] == "GET, HEAD"
    assert function.client.head("/").status_code == 200


def test_health_says_what_runs(function: Function) -> None:
    manifest = manifest_of(function)
    assert function.health() == {
        "status": "ready",
        "model_version": manifest["model_version"],
        "scoring_version": "1",
        "executes": "original",
        "reason": "nothing else was asked for",
        "gain": None,
        "epoch": 0,
        "cache": {"policy": "on", "state": "up"},
    }


def test_the_description_is_openapi(function: Function) -> None:
    document = function.client.get("/openapi.json").json()
    assert document["openapi"] == "3.1.0"
    operation = document["paths"]["/api/score"]["post"]
    body = operation["requestBody"]["content"]["application/json"]
    rows = body["schema"]["properties"]["data"]
    assert (rows["items"]["minItems"], rows["items"]["maxItems"]) == (64, 64)
    assert function.client.post("/api/score", json=body["example"]).is_success


def test_statistics_are_flushed(function: Function, cache_server: Redis, digits: Any) -> None:
    version = manifest_of(function)["model_version"][:16]

    def counts() -> dict[bytes, int]:
        summed: dict[bytes, int] = {}
        for key in cache_server.client.scan_iter(f"test:stats:{version}:*"):
            assert cache_server.client.ttl(key) > 30 * 24 * 3600
            for field, count in cache_server.client.hgetall(key).items():
                summed[field] = summed.get(field, 0) + int(count)
        return summed

    time.sleep(1.1)
    before = counts()
    rows = digits[1][10:11].tolist()
    function.verdict(rows)
    function.verdict(rows)
    function.verdict(rows, cache_control="no-store")
    function.score([[1]])
    wanted = {b"hits": 1, b"misses": 1, b"bypasses": 1, b"errors": 1}
    wait_for(lambda: all(counts().get(name, 0) - before.get(name, 0) == n for name, n in wanted.items()))
    assert cache_server.client.smembers("test:versions") >= {version.encode()}


def test_many_callers_at_once_get_their_own_answers(function: Function, digits: Any) -> None:
    model, data = digits
    expected = model.predict(data).tolist()

    def ask(index: int) -> bool:
        return bool(function.score(data[index : index + 1].tolist()).json() == [expected[index]])

    with ThreadPoolExecutor(16) as callers:
        assert all(callers.map(ask, [number % 100 for number in range(400)]))


def test_a_model_that_is_still_being_opened_is_not_ready(serve: Serve, package: Path) -> None:
    started = time.monotonic()
    function = serve(package)
    assert function.client.get("/").status_code == 200
    answer = function.client.get("/healthz")
    if answer.status_code == 503:
        assert answer.json() == {"status": "loading"}
        scored = function.score([[0.0] * 64])
        assert (scored.status_code, scored.json()["error"]["code"]) == (503, "loading")
        assert scored.headers["retry-after"] == "1"
    function.ready()
    assert time.monotonic() - started < 60
    assert function.score([[0.0] * 64]).headers["x-cache"] == "BYPASS"
    assert function.health()["cache"] == {"policy": "on", "state": "off"}


def test_a_stop_lets_answers_finish(serve: Serve, counting: Path) -> None:
    function = serve(counting).ready()
    with ThreadPoolExecutor(1) as caller:
        asked = caller.submit(function.score, [[-2, 5]])
        wait_for(lambda: function.predictions() == 1)
        function.process.terminate()
        assert asked.result().json() == [3]
    assert function.process.wait(20) == 0


def test_a_slow_prediction_does_not_hold_up_the_rest(serve: Serve, counting: Path) -> None:
    function = serve(counting).ready()
    with ThreadPoolExecutor(1) as caller:
        asked = caller.submit(function.score, [[-2, 5]])
        wait_for(lambda: function.predictions() == 1)
        assert function.health()["status"] == "ready"
        assert not asked.done()
        assert asked.result().is_success


def test_a_taken_port_is_said(serve: Serve, counting: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        function = serve(counting, SCORING_FD="", SCORING_PORT=str(port))
        assert function.process.wait(20) == 2
    assert "Address already in use" in function.log


def test_a_function_open_to_all_asks_for_no_key(serve: Serve, tmp_path: Path, wine: Any) -> None:
    trigger = {"kind": "http", "route": "v2/wine", "methods": ["POST"], "auth_level": "anonymous"}
    write_package(tmp_path / "open", wine[0], trigger=trigger)
    function = serve(tmp_path / "open", SCORING_FUNCTION_KEYS="k").ready()
    assert function.client.post("/api/v2/wine", json={"data": wine[1][:1].tolist()}).json() == [0]
    assert "security" not in function.client.get("/openapi.json").json()


def test_who_only_looks_never_scores(function: Function, digits: Any) -> None:
    rows = digits[1][20:21].tolist()
    missing = function.score(rows, cache_control="only-if-cached")
    assert (missing.status_code, missing.json()["error"]["code"]) == (504, "not_cached")
    scored = function.score(rows)
    assert scored.headers["x-cache-key"] == missing.headers["x-cache-key"]
    found = wait_for(lambda: (answer := function.score(rows, cache_control="only-if-cached")).is_success and answer)
    assert (found.json(), found.headers["x-cache"]) == (scored.json(), "HIT")


def test_digests_need_the_secret_where_there_is_one(serve: Serve, package: Path, cache_server: Redis) -> None:
    keys = set()
    for secret in ("", "one", "two"):
        served = serve(package, SCORING_CACHE_URL=cache_server.url, SCORING_DIGEST_KEY=secret).ready()
        answer = served.score([[0.5] * 64])
        assert answer.headers["x-cache"] == "MISS"
        keys.add(answer.headers["x-cache-key"])
    assert len(keys) == 3
