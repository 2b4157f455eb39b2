"""Entry scripts: how they are started, what they find there, and which of their answers are kept."""

from __future__ import annotations

import base64
import json
import os
import subprocess
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import msgspec
import pytest

from scoring.entries import output_of
from tests.scoring.packages import UPLOADS, write_package
from tests.scoring.processes import SCORING_IMAGE, Function, Redis, wait_for

Serve = Callable[..., Function]
Script = Callable[..., Function]


HTTP = {"kind": "http", "route": "score", "methods": ("POST", "GET"), "auth_level": "function"}


@pytest.fixture
def script(serve: Serve, cache_server: Redis, tmp_path: Path) -> Script:
    """Serve a script given by its text; `files` are other files of the code; further names are the environment."""

    def start(
        text: str,
        *,
        deterministic: bool = True,
        name: str = "own.py",
        files: dict[str, str] | None = None,
        trigger: dict[str, Any] = HTTP,
        **environment: str,
    ) -> Function:
        root = tmp_path / "package"
        code = {"entry_script": name, "deterministic": deterministic}
        write_package(root, {"a": "model"}, code=code, trigger=trigger)
        for path, content in {**(files or {}), name: text}.items():
            file = root / "code" / path
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(content, encoding="utf-8")
        prefix = {"SCORING_CACHE_PREFIX": tmp_path.name}
        return serve(root, **{"SCORING_CACHE_URL": cache_server.url, **prefix, **environment})

    return start


def ask(function: Function, body: bytes | str = b"{}", **headers: str) -> tuple[str, httpx.Response]:
    """The verdict and the answer to a POST."""
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    answer = function.client.post("/api/score", content=body, headers={"Content-Type": "application/json", **named})
    return answer.headers.get("x-cache", ""), answer


COUNTING = """
runs = 0

def init():
    pass

def run(data):
    global runs
    runs += 1
    return {"data": data, "runs": runs}
"""


def test_the_model_and_the_files_beside_the_script_are_found(
    serve: Serve, cache_server: Redis, tmp_path: Path, wine: Any
) -> None:
    model, data = wine
    root = tmp_path / "script"
    write_package(root, model, uploads=("script.py",), code={"entry_script": "script.py"})
    function = serve(root, SCORING_CACHE_URL=cache_server.url, SCORING_CACHE_PREFIX="script").ready()
    rows = data[:2].tolist()
    labels = model.predict(data[:2]).tolist()
    answers = [function.score(rows) for _ in range(2)]
    # It is not declared deterministic, so that it is asked every time.
    assert [answer.json() for answer in answers] == [{"labels": labels, "runs": 1}, {"labels": labels, "runs": 2}]
    assert {answer.headers["x-cache"] for answer in answers} == {"BYPASS"}
    assert function.score([]).json() == {}
    assert not list(cache_server.client.scan_iter("script:*:q:*"))
    failed = function.client.post("/api/score", content=b"not json")
    assert (failed.status_code, failed.headers["x-ms-run-function-failed"]) == (500, "True")
    assert "JSONDecodeError" in function.log
    assert "JSONDecodeError" not in failed.text


def test_a_script_in_a_folder_finds_its_helpers_its_files_and_its_thread(script: Script) -> None:
    text = """
        import asyncio, os, sqlite3
        from lib.words import WORDS
        from beside import NEAR

        def init():
            global table, read
            table = sqlite3.connect(":memory:")
            asyncio.get_event_loop()
            read = open("lib/greeting.txt", encoding="utf-8").read()

        def run(data):
            one = table.execute("select 1").fetchone()
            names = ["AZUREML_MODEL_DIR", "AML_APP_ROOT", "AZUREML_ENTRY_SCRIPT"]
            paths = [os.path.basename(os.environ[name]) for name in names]
            return [WORDS, NEAR, read, one, paths, os.listdir(os.environ["AZUREML_MODEL_DIR"])]
    """
    files = {"lib/words.py": "WORDS = 1", "src/beside.py": "NEAR = 2", "lib/greeting.txt": "olá"}
    function = script(indented(text), name="src/own.py", files=files).ready()
    assert ask(function)[1].json() == [1, 2, "olá", [1], ["model", "code", "own.py"], ["model.joblib"]]


# What each of these scripts is refused with: the code, and a part of the message.
UNFIT = {
    "no-run": ("def init(): pass", "no_method", "run() function"),
    "no-init": ("def run(x): pass", "no_method", "init() function"),
    "no-parameter": ("def init(): pass\ndef run(): pass", "no_method", "needs to accept an argument"),
    "any-parameters": ("def init(): pass\ndef run(*rows): pass", "no_method", "positional-only"),
    "init-raises": ("def init(): raise RuntimeError('no table')\ndef run(x): return x", "crashed", "no table"),
    "no-module": ("import nowhere", "missing_module", "nowhere"),
    "exits": ("import sys\ndef init(): sys.exit(4)\ndef run(x): return x", "crashed", "exit code 4"),
    "no-python": ("def", "crashed", "SyntaxError"),
    "not-there": (None, "unreadable", "not-there.py is not in the package"),
}

# Starts each script in turn, in a process of its own, and prints what the service would say.
STARTING = """
import json, sys
from pathlib import Path
from scoring.entry_script import EntryScript
from scoring.loading import failure_of

code = Path(sys.argv[1])
for name in sys.argv[2:]:
    try:
        EntryScript(code / f"{name}.py", code=code, model_dir=code)
    except Exception as error:
        print(json.dumps([name, failure_of(error).as_dict()]))
"""


def test_a_script_that_cannot_start_is_said(tmp_path: Path) -> None:
    for name, (text, _, _) in UNFIT.items():
        if text is not None:
            (tmp_path / f"{name}.py").write_text(text)
    environment = {"PATH": os.environ["PATH"], "PYTHONPATH": str(SCORING_IMAGE)}
    command = [sys.executable, "-c", STARTING, str(tmp_path), *UNFIT]
    printed = subprocess.run(command, env=environment, stdout=subprocess.PIPE, check=True, text=True).stdout
    said = dict(map(json.loads, printed.splitlines()))
    assert {name: error["code"] for name, error in said.items()} == {name: code for name, (_, code, _) in UNFIT.items()}
    for name, (_, _, told) in UNFIT.items():
        assert told in said[name]["message"]
        assert said[name]["hint"]


def test_a_script_that_cannot_start_is_what_the_server_says(script: Script) -> None:
    function = script("def init(): raise RuntimeError('no table')\ndef run(x): return x")
    health = wait_for(lambda: (told := function.health())["status"] != "loading" and told, seconds=40)
    assert "no table" in health["error"]["message"]
    assert ask(function)[1].status_code == 503


def test_answers_are_kept_by_the_bytes_of_the_request(script: Script) -> None:
    function = script(COUNTING).ready()
    verdict, first = ask(function, '{"a": 1}')
    assert (verdict, first.json()) == ("MISS", {"data": '{"a": 1}', "runs": 1})
    verdict, again = ask(function, '{"a": 1}', X_Request_Id="another", Accept="text/html")
    assert (verdict, again.content, again.headers["x-request-id"]) == ("HIT", first.content, "another")
    # A script can tell these apart, so they are different questions.
    for body in ('{"a":1}', '{"a": 1.0}', b"\xffno text", ""):
        assert ask(function, body)[0] != "HIT"
    assert ask(function, '{"a": 1}', Content_Type="text/plain")[0] == "MISS"
    asked = function.client.get("/api/score", params={"a": 1})
    assert (asked.headers["x-cache"], asked.json()["data"]) == ("MISS", '{"a": 1}')
    assert function.client.get("/api/score", params={"a": 1}).headers["x-cache"] == "HIT"
    assert function.client.get("/api/score", params={"a": 2}).headers["x-cache"] == "MISS"


def test_a_raised_data_epoch_makes_old_answers_unreachable(script: Script, cache_server: Redis, tmp_path: Path) -> None:
    function = script(COUNTING).ready()
    assert [ask(function)[0] for _ in range(2)] == ["MISS", "HIT"]
    cache_server.client.set(f"{tmp_path.name}:epoch", 4)
    cache_server.client.publish(f"{tmp_path.name}:epoch", 4)
    wait_for(lambda: function.health()["epoch"] == 4)
    verdict, answer = ask(function)
    assert (verdict, answer.json()["runs"]) == ("MISS", 2)
    assert "-e4:q:" in answer.headers["x-cache-key"]


def test_a_hit_is_the_answer_that_was_stored(script: Script, cache_server: Redis) -> None:
    text = """
        from azureml_inference_server_http.api.aml_response import AMLResponse

        ANSWERS = {
            "png": lambda: AMLResponse(bytes(range(256)), 200, {"Content-Type": "image/png", "X-Own": "1, 2"}),
            "csv": lambda: AMLResponse("a,é\\n", 200, {"Content-Type": "text/csv"}),
            "empty": lambda: AMLResponse("", 200),
            "nan": lambda: float("nan"),
            "lines": lambda: AMLResponse('{"a":\\n 1}\\n', 200, {"Content-Type": "application/json"}),
            "like ours": lambda: {"$response": {"status": 500}},
            "created": lambda: AMLResponse("", 201),
            "refused": lambda: AMLResponse("no", 404),
            "cookie": lambda: AMLResponse("ok", 200, {"Set-Cookie": "who=me"}),
            "private": lambda: AMLResponse("ok", 200, {"Cache-Control": "private"}),
        }

        def init():
            pass

        def run(name):
            return ANSWERS[name]()
    """
    function = script(indented(text)).ready()
    for name in ("png", "csv", "empty", "nan", "lines", "like ours"):
        (miss, first), (hit, second) = ask(function, name), ask(function, name)
        assert (miss, hit, first.status_code, second.status_code) == ("MISS", "HIT", 200, 200), name
        assert first.content == second.content, name
        own = [{key: text for key, text in answer.headers.items() if key not in CHANGING} for answer in (first, second)]
        assert own[0] == own[1], name
        # Every entry is JSON that can be read as it stands.
        assert cache_server.stored(first.headers["x-cache-key"]).startswith(b'{"output":')
    for name in ("created", "refused", "cookie", "private"):
        before = ask(function, name)[1]
        verdict, after = ask(function, name)
        assert verdict in ("", "BYPASS"), name
        assert (before.status_code, before.content) == (after.status_code, after.content)


@pytest.mark.parametrize(
    "output",
    [
        {"$response": 1},
        {"$response": {"status": 500, "headers": [], "text": "broken"}},
        {"$response": {"status": 200, "headers": [["X-Own", "a\r\nSet-Cookie: b=1"]], "text": ""}},
        {"$response": {"status": 200, "headers": [["Set-Cookie", "b=1"]], "text": ""}},
        {"$response": {"status": 200, "headers": [["X-Own", "\u2603"]], "text": ""}},
        {"$response": {"status": 200, "headers": [["X-Own: a", "b"]], "text": ""}},
        {"$response": {"status": 200, "headers": [["", "b"]], "text": ""}},
        {"$response": {"status": 200, "headers": [["Content-Length", "5"]], "text": "longer than five"}},
        {"$response": {"status": 200, "headers": [["Transfer-Encoding", "chunked"]], "text": ""}},
        {"$response": {"status": 200, "headers": [["CONNECTION", "close"]], "text": ""}},
        {"$response": {"status": 200, "headers": [["X-Cache-Key", "another"]], "text": ""}},
        {"$response": {"status": 200, "headers": [["X-Model-Version", "another"]], "text": ""}},
        {"$response": {"status": 200, "headers": [], "base64": "*"}},
    ],
)
def test_a_poisoned_reply_is_no_reply(output: Any) -> None:
    entry = {"output": output, "model_version": "v", "epoch": 0}
    assert output_of(msgspec.json.encode(entry), model_version="v", epoch=0) is None


@pytest.mark.parametrize("header", [["Content-Length", "1"], ["Transfer-Encoding", "chunked"], ["X: 1", "b"]])
def test_a_stored_reply_cannot_say_where_the_answer_ends(
    header: list[str], script: Script, cache_server: Redis
) -> None:
    function = script(COUNTING).ready()
    fresh = ask(function)[1]
    key = fresh.headers["x-cache-key"]
    entry = json.loads(cache_server.stored(key))
    entry["output"] = {"$response": {"status": 200, "headers": [header], "text": "poison"}}
    cache_server.client.set(key, json.dumps(entry))
    verdict, answer = ask(function)
    assert (verdict, answer.json()["runs"]) == ("MISS", 2)
    assert ask(function)[0] == "HIT"


@pytest.mark.parametrize(
    ("reply", "status"),
    [
        ('AMLResponse(str(runs), 200, {"Set-Cookie": f"session={runs}"})', 200),
        ('AMLResponse(str(runs), 200, {"Cache-Control": "private"})', 200),
        ("AMLResponse(str(runs), 201)", 201),
        ("AMLResponse(str(runs), 403)", 403),
    ],
)
def test_what_is_for_one_caller_alone_is_not_given_to_those_who_ask_at_once(
    reply: str, status: int, script: Script
) -> None:
    text = f"""
        import time
        from azureml_inference_server_http.api.aml_response import AMLResponse

        runs = 0

        def init():
            pass

        def run(data):
            global runs
            runs += 1
            time.sleep(0.3)
            return {reply}
    """
    function = script(indented(text)).ready()
    with ThreadPoolExecutor(4) as callers:
        answers = [answer for _, answer in callers.map(lambda _: ask(function), range(4))]
    assert {answer.status_code for answer in answers} == {status}
    assert sorted(answer.text for answer in answers) == ["1", "2", "3", "4"]
    assert {answer.headers.get("x-cache", "BYPASS") for answer in answers} == {"BYPASS"}


# What tells how this one answer came about.
CHANGING = {
    "date",
    "server-timing",
    "x-cache",
    "x-cache-ttl",
    "x-ms-request-id",
    "x-ms-run-fn-exec-ms",
    "x-request-id",
}


def test_a_script_that_reads_headers_is_kept_by_them_and_sees_no_others(script: Script) -> None:
    text = """
        def init():
            pass

        def run(data, request_headers):
            return sorted(request_headers.items())
    """
    function = script(indented(text)).ready()
    key = {"x_functions_key": "secret"}
    verdict, first = ask(function, Authorization="Bearer me", X_Tenant="a", **key)
    seen = dict(first.json())
    assert (verdict, seen["Authorization"], seen["X-Tenant"]) == ("MISS", "Bearer me", "a")
    assert not {"User-Agent", "Host", "X-Functions-Key", "Traceparent"} & set(seen)
    traced = ask(function, Authorization="Bearer me", X_Tenant="a", Traceparent="00-1", X_Forwarded_For="1.2.3.4")
    assert (traced[0], traced[1].content) == ("HIT", first.content)
    assert ask(function, Authorization="Bearer you", X_Tenant="a")[0] == "MISS"
    assert ask(function, Authorization="Bearer me", X_Tenant="a", Cookie="b=1")[0] == "MISS"


def test_what_carries_the_function_key_is_not_for_the_script(script: Script) -> None:
    text = """
        def init():
            pass

        def run(data, request_headers):
            return [data, dict(request_headers)]
    """
    function = script(indented(text), deterministic=False, SCORING_FUNCTION_KEYS="secret").ready()
    by_query = function.client.get("/api/score", params={"code": "secret", "a": "[1]"})
    assert by_query.json()[0] == '{"a": [1]}'
    by_header = ask(function, x_functions_key="secret", X_Own="1")[1]
    assert by_header.json()[1]["X-Own"] == "1"
    spelled = function.client.get("/api/score?%63ode=secret&Code=secret&a=[2]")
    assert spelled.json()[0] == '{"a": [2]}'
    assert "secret" not in by_query.text + by_header.text + spelled.text
    assert function.client.get("/api/score").status_code == 401
    assert function.client.options("/api/score").status_code == 401


def test_masked_fields_of_a_script_s_input_do_not_show(script: Script, cache_server: Redis) -> None:
    function = script(COUNTING, SCORING_STORE_INPUT="masked", SCORING_MASKED_FIELDS="pin").ready()
    for body, shown in (('{"a": [{"pin": 1}]}', b'"input":{"a":[{"pin":"***"}]}'), ("pin=1", b'"input":"***"')):
        entry = cache_server.stored(ask(function, body)[1].headers["x-cache-key"])
        assert shown in entry


@pytest.mark.parametrize("setting", ["whole", "masked"])
def test_an_input_that_cannot_be_shown_is_no_reason_not_to_answer(setting: str, script: Script) -> None:
    text = """
        def init():
            pass

        def run(data):
            return len(data)
    """
    environment = {"SCORING_STORE_INPUT": setting, "SCORING_MASKED_FIELDS": "pin"}
    function = script(indented(text), **environment).ready()
    for depth in (300, 480, 600, 750, 850, 950, 5000):
        body = "[" * depth + "]" * depth
        for verdict in ("MISS", "HIT"):
            told, answer = ask(function, body)
            assert (told, answer.text) == (verdict, str(2 * depth))
    assert function.log.count("cannot be shown") <= 1


def test_an_input_too_long_to_be_stored_is_left_out(script: Script, cache_server: Redis) -> None:
    text = """
        def init():
            pass

        def run(data):
            return len(data)
    """
    function = script(indented(text)).ready()
    for length, kept in ((1_000_000, True), (9_000_000, False)):
        body = json.dumps("x" * length)
        verdict, answer = ask(function, body)
        assert (verdict, answer.text) == ("MISS", str(length + 2))
        assert (b'"input"' in cache_server.stored(answer.headers["x-cache-key"])) is kept
        assert ask(function, body)[0] == "HIT"


def test_a_blob_is_answered_with_the_bytes_that_the_script_gives(script: Script) -> None:
    text = """
        from azureml_inference_server_http.api.aml_response import AMLResponse

        def init():
            pass

        def run(data):
            if data == "refused":
                return AMLResponse("no", 404)
            return AMLResponse(data.encode("utf-16"), 200, {"Content-Type": "text/plain"})
    """
    trigger = {"kind": "blob", "function": "score", "path_in": "in/{name}", "path_out": "out/{name}"}
    function = script(indented(text), trigger=trigger).ready()

    def posted(content: bytes) -> httpx.Response:
        payload = {"Data": {"input": base64.b64encode(content).decode()}, "Metadata": {}}
        return function.client.post("/score", json=payload)

    for verdict in ("MISS", "HIT"):
        answer = posted(b"words").json()
        assert base64.b64decode(answer["Outputs"]["output"]).decode("utf-16") == "words"
        assert answer["Logs"][0] == f"X-Cache: {verdict}"
    # Whatever the script said, to the host it is what will never be scored.
    assert posted(b"refused").status_code == 422


def test_what_a_script_declares_is_in_the_openapi_document(script: Script) -> None:
    text = (UPLOADS / "aml/decorated.py").read_text()
    function = script(text).ready()
    document = function.client.get("/openapi.json").json()
    operations = document["paths"]["/api/score"]
    taken = operations["post"]["requestBody"]["content"]["application/json"]
    assert taken["example"]["rows"] == [[1.0, 2.0]]
    assert taken["schema"]["properties"]["frame"]["items"]["properties"]["town"] == {"type": "string"}
    named = {parameter["name"]: parameter for parameter in operations["get"]["parameters"]}
    assert list(named) == ["rows", "frame", "options", "scale"]
    given = operations["post"]["responses"]["200"]["content"]["application/json"]
    assert given["example"] == {"sums": [1.0]}
    # The example is a request that the script takes.
    assert ask(function, json.dumps(taken["example"]))[1].status_code == 200


def test_a_script_that_declares_nothing_takes_anything(script: Script) -> None:
    function = script(COUNTING).ready()
    operation = function.client.get("/openapi.json").json()["paths"]["/api/score"]["post"]
    assert operation["requestBody"]["content"] == operation["responses"]["200"]["content"] == {"*/*": {"schema": {}}}


def test_a_run_that_takes_too_long_is_given_up_as_the_inference_server_does(script: Script) -> None:
    text = """
        import time

        def init():
            pass

        def run(seconds):
            time.sleep(float(seconds))
            return "done"
    """
    function = script(indented(text), SCORING_TIMEOUT_MS="700").ready()
    _, slow = ask(function, "1.5")
    assert (slow.status_code, slow.json()) == (500, {"message": "Scoring timeout after 700 ms"})
    assert slow.headers["x-ms-run-function-failed"] == "True"
    assert wait_for(lambda: ask(function, "0")[1].status_code == 200)


def indented(text: str) -> str:
    """The text of a script, out of an indented literal."""
    return "\n".join(line[8:] for line in text.splitlines())
