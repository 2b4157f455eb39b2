"""The same scripts and requests before Azure Machine Learning's own inference server and before ours."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import httpx
import pytest

from tests.scoring.inference_server import InferenceServer
from tests.scoring.packages import UPLOADS, write_package
from tests.scoring.processes import Function, wait_for

ORIGIN = "https://shop.example"
JSON = {"Content-Type": "application/json"}
# Settings that both servers know.
SETTINGS = {"AML_CORS_ORIGINS": f"{ORIGIN}, https://other.example", "SCORING_TIMEOUT_MS": "700"}

# Headers that differ on purpose, and why.
DIFFERENT_HEADERS = {
    "date": "each server's own clock",
    "server": "ours does not tell what it is made of",
    "connection": "the reference closes every connection, ours keeps it",
    "x-cache": "ours says how the answer came about",
    "x-cache-key": "ours says how the answer came about",
    "x-model-version": "ours says which model answered",
    "server-timing": "ours says how the answer came about",
}
# Values that are new in every answer; that both servers send them is compared.
NEW_EACH_TIME = re.compile(r"^([0-9a-f]{8}-([0-9a-f]{4}-){3}[0-9a-f]{12}|\d+\.\d{3})$")


@dataclass(frozen=True)
class Case:
    """One request to one script. `differs` says what of the answer is not as the reference's, and why."""

    script: str
    name: str
    body: bytes | None = None
    method: str = "POST"
    query: str = ""
    headers: dict[str, str] = field(default_factory=lambda: dict(JSON))
    differs: dict[str, str] = field(default_factory=dict)


def told(do: str, **more: Any) -> Case:
    """A case in which the script answers in the way called `do`."""
    return Case("driver", do, json.dumps({"do": do}).encode(), **more)


def decorated(name: str, value: Any, **more: Any) -> Case:
    return Case("decorated", name, json.dumps(value).encode(), **more)


ROWS = {"rows": [[1, 2], [3, 4]], "scale": 0.5}
NESTED = {"weights": [1, 2], "tables": [[{"x": 1}], [{"x": 2}]], "name": "n"}
ID = "x" * 100
NOT_THE_ROUTER = "the reference refuses it before the script's blueprint, in other words and without ids"
WHOLE = "ours has read all of a stream before it answers, and so knows how long it is"

CASES = [
    *map(told, ["array", "bytes", "environment", "helper", "list", "nan", "none", "raise", "text", "timeout"]),
    *map(told, ["tuple", "response", "response-none", "response-text", "response-bytes", "response-400"]),
    *map(told, ["response-503", "flask", "flask-500", "flask-304", "cookie", "redirect"]),
    told("stream", differs={"content-length": WHOLE, "transfer-encoding": WHOLE}),
    Case("driver", "echo", b'{"\xc3\xa9": "\xe2\x98\x83"}', headers={**JSON, "X-Own": "1", "X_Own_Under": "2"}),
    Case("driver", "no json", b"plain words", headers={"Content-Type": "text/plain"}),
    Case("driver", "empty", b""),
    Case("driver", "broken text", b'"\xff"'),
    Case("driver", "get", None, "GET", "a=1&b=[1,2]&c=a&d=null&e=1&e=x&f=%C3%A9&g"),
    Case("driver", "get without a query", None, "GET"),
    Case("driver", "options", None, "OPTIONS"),
    Case("driver", "head", None, "HEAD"),
    Case("driver", "put", b"{}", "PUT", differs={"body": NOT_THE_ROUTER, "headers": NOT_THE_ROUTER}),
    Case(
        "driver",
        "preflight",
        None,
        "OPTIONS",
        headers={
            "Origin": ORIGIN,
            "Access-Control-Request-Method": "POST",
            "Access-Control-Request-Headers": "X-Own",
        },
    ),
    Case("driver", "from an origin", b"[]", headers={**JSON, "Origin": ORIGIN}),
    Case("driver", "from another origin", b"[]", headers={**JSON, "Origin": "https://evil.example"}),
    Case("driver", "refused to an origin", b"\xff", headers={**JSON, "Origin": ORIGIN}),
    Case("driver", "request id", b"[]", headers={**JSON, "x-request-id": "one"}),
    Case("driver", "legacy id", b"[]", headers={**JSON, "x-ms-request-id": "two", "TraceId": "t"}),
    Case("driver", "client id", b"[]", headers={**JSON, "x-ms-client-request-id": "three", "x-request-id": "r"}),
    Case("driver", "both ids", b"[]", headers={**JSON, "x-ms-client-request-id": "c", "x-ms-request-id": "l"}),
    Case("driver", "no id", b"[]", headers={**JSON, "x-request-id": ""}),
    Case("driver", "longest id", b"[]", headers={**JSON, "x-request-id": ID}),
    Case("driver", "request id too long", b"[]", headers={**JSON, "x-request-id": f"{ID}x"}),
    Case("driver", "client id too long", b"[]", headers={**JSON, "x-ms-client-request-id": f"{ID}x"}),
    decorated("numpy", ROWS),
    decorated("pandas", {**ROWS, "frame": [{"age": 3, "town": "Faro"}]}),
    decorated("nested", {**ROWS, "options": NESTED}),
    decorated("a default is used", {"rows": [[1]]}),
    decorated("more than it takes", {**ROWS, "other": 1}),
    decorated("missing parameter", {"scale": 1.0}),
    decorated("wrong type", {**ROWS, "scale": "big"}),
    decorated("wrong nested type", {**ROWS, "options": [1]}),
    decorated("ragged", {"rows": [[1], [1, 2]]}),
    decorated("null", {"rows": None}),
    decorated("a list", [1, 2]),
    decorated("a charset", ROWS, headers={"Content-Type": "application/json; charset=utf-8"}),
    decorated("a kind of json", ROWS, headers={"Content-Type": "application/vnd.api+json"}),
    decorated("not as json", ROWS, headers={"Content-Type": "text/plain"}),
    decorated("without a type", ROWS, headers={}),
    Case("decorated", "bad json", b'{"rows": [[1,'),
    Case("decorated", "broken text", b'{"rows": "\xff"}'),
    Case("decorated", "empty", b""),
    Case("decorated", "nan", b'{"rows": [[NaN, Infinity]]}'),
    Case("decorated", "get", None, "GET", "rows=[[1,2]]&scale=2.0"),
    Case("decorated", "get without", None, "GET", "scale=2.0"),
    Case("decorated", "options", None, "OPTIONS"),
    Case("raw", "binary", bytes(range(256)), query="q=1", headers={"Content-Type": "application/octet-stream"}),
    Case("raw", "json", b'{"a": [1]}'),
    Case("raw", "bad json", b'{"a": '),
    Case("raw", "form", b"a=1&b=%C3%A9", headers={"Content-Type": "application/x-www-form-urlencoded"}),
    Case(
        "raw",
        "file",
        b'--b\r\nContent-Disposition: form-data; name="f"; filename="x"\r\n\r\nwords\r\n--b--\r\n',
        headers={"Content-Type": "multipart/form-data; boundary=b"},
    ),
    Case("raw", "after", b"x", query="after=1", headers={"Content-Type": "text/plain"}),
    Case("raw", "empty", b"", headers={}),
    Case("raw", "get", None, "GET", "a=1&a=2&b=%C3%A9", headers={"X-Own": "v"}),
    Case(
        "raw",
        "options",
        None,
        "OPTIONS",
        differs={"x-ms-run-fn-exec-ms": "ours never says it of OPTIONS, which no other script is asked"},
    ),
]


@dataclass(frozen=True)
class Pair:
    """Both servers around one script."""

    reference: httpx.Client
    ours: httpx.Client


@pytest.fixture(scope="module")
def pairs(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Pair]]:
    """Every script behind both servers, all started at once."""
    started: dict[str, tuple[InferenceServer, Function]] = {}
    for script in ("driver", "decorated", "raw"):
        root = tmp_path_factory.mktemp(script)
        trigger = {"kind": "http", "route": "score", "methods": ["POST", "GET"], "auth_level": "anonymous"}
        write_package(root, {"a": "model"}, code={"entry_script": f"{script}.py"}, trigger=trigger)
        shutil.copytree(UPLOADS / "aml", root / "code", ignore=shutil.ignore_patterns("__pycache__"))
        model = ("--model_dir", str(root / "model"))
        reference = InferenceServer(root / "code", f"{script}.py", *model, **SETTINGS)
        started[script] = reference, Function(root, **SETTINGS)
    yield {
        script: Pair(reference.ready().client, function.ready().client)
        for script, (reference, function) in started.items()
    }
    for reference, function in started.values():
        reference.stop()
        function.stop()


@pytest.mark.parametrize("case", CASES, ids=lambda case: f"{case.script}: {case.name}")
def test_both_answer_alike(case: Case, pairs: dict[str, Pair]) -> None:
    compare(case, pairs[case.script])


def compare(case: Case, pair: Pair) -> None:
    """Ask both, and see that status, body and headers are alike but for what the case says."""
    expected, found = (
        client.request(case.method, path, params=case.query, content=case.body, headers=case.headers)
        for client, path in ((pair.reference, "/score"), (pair.ours, "/api/score"))
    )
    assert found.status_code == expected.status_code
    if "body" not in case.differs:
        assert found.content == expected.content
    if "headers" not in case.differs:
        assert headers(found, case) == headers(expected, case)


def headers(answer: httpx.Response, case: Case) -> list[tuple[str, str]]:
    """All headers that are to be alike, with a mark for what is new each time."""
    named = ((name.lower(), text) for name, text in answer.headers.multi_items())
    kept = ((name, text) for name, text in named if name not in DIFFERENT_HEADERS and name not in case.differs)
    return sorted((name, NEW_EACH_TIME.sub("new", text)) for name, text in kept)


def test_a_script_that_ends_itself_ends_no_server(pairs: dict[str, Pair]) -> None:
    """The reference's worker ends with it, and its caller gets no answer; here it is a failed run."""
    ours = pairs["driver"].ours
    failed, raised = (ours.post("/api/score", content=json.dumps({"do": do}), headers=JSON) for do in ("exit", "raise"))
    assert (failed.status_code, failed.content) == (raised.status_code, raised.content)
    assert ours.post("/api/score", content="[]", headers=JSON).status_code == 200


def test_a_run_that_takes_too_long_fails_at_both(pairs: dict[str, Pair]) -> None:
    """The reference interrupts the script; ours leaves it to end, and others wait for it meanwhile."""
    compare(told("slow"), pairs["driver"])
    wait_for(lambda: pairs["driver"].ours.post("/api/score", content="[]", headers=JSON).is_success)
