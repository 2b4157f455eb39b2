"""The second face: Azure Machine Learning's own inference server around the same application, keys and entries."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.scoring.inference_server import InferenceServer
from tests.scoring.packages import write_package
from tests.scoring.processes import SCORING_IMAGE, Function, Redis, wait_for

SCRIPT = """
from azureml_inference_server_http.api.aml_request import rawhttp
from azureml_inference_server_http.api.aml_response import AMLResponse

def init():
    pass

def run(data, request_headers):
    if data == "bytes":
        return AMLResponse(bytes(range(256)), 200, {"Content-Type": "image/png", "X-Own": "1, 2"})
    if data == "refused":
        return AMLResponse("no", 404)
    return [data, request_headers.get("X-Tenant")] if data else data["none"]
"""


@dataclass(frozen=True)
class Faces:
    """Both faces of one package."""

    aml: httpx.Client
    http: httpx.Client

    def ask(self, face: str, body: str, **more: Any) -> httpx.Response:
        client, path = (self.aml, "/score") if face == "aml" else (self.http, "/api/score")
        headers = {"Content-Type": "application/json", **more.pop("headers", {})}
        return client.request(more.pop("method", "POST"), path, content=body, headers=headers, **more)

    def alike(self, body: str, **more: Any) -> httpx.Response:
        """Ask both, see that they answer alike, and return the answer."""
        first, second = self.ask("aml", body, **more), self.ask("http", body, **more)
        assert first.status_code == second.status_code
        assert first.content == second.content
        names = "content-type", "x-cache-key", "x-model-version", "cache-control", "allow", "retry-after", "x-own"
        for name in names:
            assert first.headers.get_list(name) == second.headers.get_list(name), name
        return first


def placed(root: Path) -> Path:
    """The package with the scoring code in it, as an image has it."""
    shutil.copy(SCORING_IMAGE / "score.py", root)
    shutil.copytree(SCORING_IMAGE / "scoring", root / "scoring", ignore=shutil.ignore_patterns("__pycache__"))
    return root


@pytest.fixture(scope="module")
def faces(tmp_path_factory: pytest.TempPathFactory, cache_server: Redis, wine: Any) -> Iterator[dict[str, Faces]]:
    """A model, the same with keyed digests of rows and workers forked after init(), and a script."""
    model, script = tmp_path_factory.mktemp("model"), tmp_path_factory.mktemp("script")
    write_package(model, wine[0])
    write_package(script, {"a": "model"}, code={"entry_script": "own.py", "deterministic": True})
    (script / "code").mkdir()
    (script / "code/own.py").write_text(SCRIPT)
    plain = {"SCORING_CACHE_URL": cache_server.url, "SCORING_CACHE_TIMEOUT_MS": "250"}
    rows = {"SCORING_KEYS": "row", "SCORING_DIGEST_KEY": "a secret", "WORKER_COUNT": "2", "WORKER_PRELOAD": "true"}
    started = {
        name: (
            InferenceServer(placed(root) if name != "rows" else root, "score.py", **environment),
            Function(root, **environment),
        )
        for name, root, environment in (
            ("model", model, {**plain, "SCORING_CACHE_PREFIX": "model"}),
            ("rows", model, {**plain, "SCORING_CACHE_PREFIX": "rows", **rows}),
            ("script", script, {**plain, "SCORING_CACHE_PREFIX": "script"}),
        )
    }
    yield {name: Faces(aml.ready().client, http.ready().client) for name, (aml, http) in started.items()}
    for aml, http in started.values():
        aml.stop()
        http.stop()


@pytest.mark.parametrize("order", [("aml", "http"), ("http", "aml")])
def test_what_one_stores_is_a_hit_of_the_other(faces: dict[str, Faces], wine: Any, order: tuple[str, str]) -> None:
    model, data = wine
    rows = data[:2] if order[0] == "aml" else data[2:4]
    body = json.dumps({"data": rows.tolist()})
    miss, hit = (faces["model"].ask(face, body) for face in order)
    assert miss.json() == model.predict(rows).tolist()
    assert (miss.headers["x-cache"], hit.headers["x-cache"]) == ("MISS", "HIT")
    assert miss.content == hit.content
    assert miss.headers["x-cache-key"] == hit.headers["x-cache-key"]
    assert "total;dur=" in miss.headers["server-timing"]


def test_wishes_about_the_cache_are_heard(faces: dict[str, Faces], wine: Any) -> None:
    both = faces["model"]
    body = json.dumps({"data": wine[1][7:9].tolist()})
    wishes = "only-if-cached", "no-store", "only-if-cached", "no-cache", "only-if-cached"
    answers = [both.ask("aml", body, headers={"Cache-Control": wish}) for wish in wishes]
    assert [answer.status_code for answer in answers] == [504, 200, 504, 200, 200]
    assert [answers[index].headers["x-cache"] for index in (1, 3, 4)] == ["BYPASS", "MISS", "HIT"]
    assert both.ask("http", body).headers["x-cache"] == "HIT"


@pytest.mark.parametrize(
    ("body", "more", "status"),
    [
        ('{"data": [[1]]}', {}, 400),
        ("no json", {}, 400),
        ('{"data": []}', {}, 400),
        (json.dumps({"data": [[0.0] * 13] * 1001}), {}, 413),
        ("{}", {"headers": {"Content-Encoding": "br"}}, 415),
        ("", {"method": "GET"}, 405),
        ("{}", {"headers": {"Cache-Control": "only-if-cached"}}, 400),
    ],
)
def test_both_refuse_in_the_same_words(faces: dict[str, Faces], body: str, more: dict[str, Any], status: int) -> None:
    refused = faces["model"].alike(body, **more)
    assert refused.status_code == status
    assert set(refused.json()["error"]) >= {"code", "message", "hint"}


def test_rows_with_keyed_digests_are_shared_by_forked_workers(
    faces: dict[str, Faces], cache_server: Redis, wine: Any
) -> None:
    model, data = wine
    both = faces["rows"]
    for count in range(1, 9):
        rows = data[: 2 * count]
        answer = both.ask("aml" if count % 2 else "http", json.dumps({"data": rows.tolist()}))
        assert answer.json() == model.predict(rows).tolist()
    # The connections of both workers were made after the fork: the inference server closes every connection.
    again = [both.ask("aml", json.dumps({"data": data[:16].tolist()})) for _ in range(8)]
    assert {answer.headers["x-cache"] for answer in again} == {"HIT"}
    keys = [key.decode() for key in cache_server.client.scan_iter("rows:*:r:*")]
    assert len(keys) == 16


def test_a_script_answers_alike_behind_both(faces: dict[str, Faces]) -> None:
    both = faces["script"]
    for body, status in (("bytes", 200), ("refused", 404), ("", 500), ('"é"', 200)):
        assert both.alike(body).status_code == status
    first = both.ask("http", "words", headers={"X-Tenant": "a", "x-request-id": "one"})
    second = both.ask("aml", "words", headers={"X-Tenant": "a", "x-request-id": "two"})
    assert (first.headers["x-cache"], second.headers["x-cache"]) == ("MISS", "HIT")
    assert first.content == second.content == b'["words", "a"]'
    assert second.headers.get_list("x-request-id") == ["two"]
    assert second.headers.get_list("x-ms-server-version") == first.headers.get_list("x-ms-server-version")


def test_a_worker_whose_model_is_stuck_is_replaced(counting: Path) -> None:
    server = InferenceServer(
        placed(counting), "score.py", SCORING_PREDICT_SECONDS="1", COUNT_FILE=str(counting / "count")
    ).ready()
    try:
        assert server.client.post("/score", json={"data": [[-3, 0]]}).status_code == 504
        wait_for(lambda: "Timeout: the model does not return; this process ends itself" in server.log_file.read_text())
        server.ready()
        assert server.client.post("/score", json={"data": [[1, 2]]}).json() == [3.0]
    finally:
        server.stop()
