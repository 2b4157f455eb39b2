"""The custom handler's face over real HTTP: payloads as the Functions host posts them."""

from __future__ import annotations

import base64
import io
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest

from tests.scoring.packages import write_package
from tests.scoring.processes import Function, Redis

BLOB = {"kind": "blob", "function": "score", "path_in": "in/{name}", "path_out": "out/{name}.json"}
MESSAGE = {"kind": "service_bus", "function": "score", "queue_in": "in", "queue_out": "out"}


def posted(function: Function, content: Any, **metadata: Any) -> httpx.Response:
    """As the host posts it: bytes as base64, all else that is no object as JSON in a string."""
    value = base64.b64encode(content).decode() if isinstance(content, bytes) else content
    told = {name: value if isinstance(value, dict) else json.dumps(value) for name, value in metadata.items()}
    return function.client.post("/score", json={"Data": {"input": value}, "Metadata": told})


def output(answer: httpx.Response) -> bytes:
    assert answer.status_code == 200, answer.text
    told = answer.json()
    assert told["ReturnValue"] is None
    return base64.b64decode(told["Outputs"]["output"], validate=True)


def verdict(answer: httpx.Response) -> str:
    return str(answer.json()["Logs"][0])


@pytest.fixture(scope="module")
def function(tmp_path_factory: pytest.TempPathFactory, digits: Any, cache_server: Redis) -> Iterator[Function]:
    root = tmp_path_factory.mktemp("digits")
    write_package(root, digits[0], trigger=BLOB, limits={"max_body_bytes": 4096, "max_rows": 10})
    served = Function(root, SCORING_CACHE_URL=cache_server.url, SCORING_FUNCTION_KEYS="k").ready()
    served.client.headers["x-functions-key"] = "k"
    yield served
    assert served.stop() == 0


def test_one_entry_for_a_blob_of_any_form(function: Function, cache_server: Redis, digits: Any) -> None:
    model, data = digits
    rows = data[:2]
    wanted = json.dumps(model.predict(rows).tolist(), separators=(",", ":")).encode()
    file = io.BytesIO()
    np.save(file, rows)
    first = posted(function, json.dumps({"data": rows.tolist()}).encode(), BlobTrigger="in/a.json")
    assert output(first) == wanted
    assert verdict(first) == "X-Cache: MISS"
    (key,) = cache_server.entries()
    assert f"X-Cache-Key: {key}" in first.json()["Logs"]
    lines = "\n".join(",".join(map(repr, row)) for row in rows.tolist())
    for content, name in ((file.getvalue(), "in/a.npy"), (lines.encode(), "in/deep/a.CSV")):
        again = posted(function, content, BlobTrigger=name)
        assert output(again) == wanted
        assert verdict(again) == "X-Cache: HIT"
    told = posted(function, lines.encode(), BlobTrigger="in/a.json", Properties={"ContentType": "text/csv"})
    assert output(told) == wanted


def test_a_message_is_told_by_its_content_type_and_steers_the_cache(function: Function, digits: Any) -> None:
    content = json.dumps(digits[1][5:6].tolist()).encode()
    told = {"MessageId": "7", "DeliveryCount": 1, "ContentType": "application/json"}
    untouched = posted(function, content, **told, ApplicationProperties={"Cache-Control": "no-store"})
    assert verdict(untouched) == "X-Cache: BYPASS"
    assert verdict(posted(function, content, **told)) == "X-Cache: MISS"
    assert verdict(posted(function, content, **told)) == "X-Cache: HIT"
    text = json.dumps(content.decode())  # a body that the host was not told to leave as it is
    assert verdict(posted(function, text, **told)) == "X-Cache: HIT"
    assert verdict(posted(function, json.dumps(base64.b64encode(content).decode()), **told)) == "X-Cache: HIT"
    assert verdict(posted(function, json.loads(content), **told)) == "X-Cache: HIT"


@pytest.mark.parametrize(
    ("payload", "status", "code"),
    [
        (b"not JSON", 400, "bad_payload"),
        (b'{"Data": {"other": ""}}', 400, "bad_payload"),
        (b'{"Data": {"input": "not base64!"}, "Metadata": 7}', 400, "bad_payload"),
        (b'{"Data": {"input": "MSxhYmM="}}', 400, "bad_csv"),
        (b'{"Data": {"input": "W1sxXV0="}}', 400, "bad_shape"),
        (b'{"Data": {"input": "' + b"MSwx" * 1400 + b'"}}', 413, "too_large"),
    ],
)
def test_what_cannot_be_scored_fails_the_invocation(function: Function, payload: bytes, status: int, code: str) -> None:
    refused = function.client.post("/score", content=payload)
    assert (refused.status_code, refused.json()["error"]["code"]) == (status, code)
    assert f"failed: {status} {code}" in function.log_file.read_text() or code == "bad_payload"


def test_only_the_host_with_the_key_may_post(function: Function) -> None:
    payload = {"Data": {"input": ""}, "Metadata": {}}
    assert function.client.post("/score", json=payload, headers={"x-functions-key": "x"}).status_code == 401
    assert function.client.get("/score").status_code == 405


def test_no_such_path_with_an_http_trigger(tmp_path: Path, digits: Any, serve: Callable[..., Function]) -> None:
    write_package(tmp_path / "http", digits[0])
    assert serve(tmp_path / "http").ready().client.post("/score", json={}).status_code in (404, 405)


def test_a_payload_waits_for_a_model_that_is_being_opened(
    tmp_path: Path, digits: Any, serve: Callable[..., Function]
) -> None:
    write_package(tmp_path / "late", digits[0], trigger=MESSAGE)
    late = serve(tmp_path / "late")
    assert output(posted(late, json.dumps(digits[1][:1].tolist()).encode(), MessageId="1"))


def test_a_script_gets_the_bytes_as_they_came(tmp_path: Path, digits: Any, serve: Callable[..., Function]) -> None:
    root = tmp_path / "script"
    code = {"entry_script": "script.py", "deterministic": True}
    write_package(root, digits[0], uploads=("script.py",), code=code, trigger=BLOB)
    script = serve(root).ready()
    content = json.dumps({"data": digits[1][:2].tolist()}).encode()
    plain = script.client.post("/api/score", content=content)
    answer = posted(script, content, BlobTrigger="in/rows.csv")
    assert json.loads(output(answer))["labels"] == plain.json()["labels"]
    assert verdict(answer) == "X-Cache: BYPASS"


@pytest.mark.parametrize(("own", "sent"), [(401, 422), (404, 422), (429, 500), (503, 500)])
def test_a_script_s_own_status_does_not_say_that_the_function_is_away(
    tmp_path: Path, digits: Any, serve: Callable[..., Function], own: int, sent: int
) -> None:
    root = tmp_path / "script"
    write_package(root, digits[0], code={"entry_script": "own.py", "deterministic": True}, trigger=MESSAGE)
    (root / "code").mkdir(exist_ok=True)
    (root / "code" / "own.py").write_text(
        "from azureml_inference_server_http.api.aml_response import AMLResponse\n"
        "def init(): pass\n"
        f"def run(data): return AMLResponse(data, {own})\n"
    )
    refused = posted(served := serve(root).ready(), b'"4711-secret"', MessageId="1")
    assert (refused.status_code, refused.json()["error"]["code"]) == (sent, "script_reply")
    assert f"status {own}" in refused.json()["error"]["message"]
    assert "4711-secret" in refused.json()["error"]["hint"]
    assert "4711-secret" not in served.log_file.read_text()
