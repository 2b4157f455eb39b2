"""Calls to a live function through the API, and its cache afterwards."""

from collections.abc import Iterator
from typing import Any

import pytest

from deployments.models import AuditEntry, Invocation
from tests import factories, live
from tests.api.conftest import Api, api_of


@pytest.fixture(scope="module")
def function() -> Iterator[live.Function]:
    with live.serving() as served:
        yield served


def ask(api: Api, rows: Any, **more: Any) -> dict[str, Any]:
    answer = api("POST", f"/deployments/{live.NAME}/invocations", {"body": {"data": rows}, **more})
    assert answer.status_code == 200, answer.content
    return dict(answer.json())


def test_a_miss_a_hit_and_what_is_stored(api: Api, function: live.Function) -> None:
    live.deployed(function)
    rows = function.rows[:3]
    first, second, apart = ask(api, rows), ask(api, rows), ask(api, rows, cache="no-store")
    assert (first["status"], first["cache"], second["cache"], apart["cache"]) == (200, "miss", "hit", "bypass")
    assert first["body"] == second["body"] == apart["body"]
    assert first["key"] == second["key"]
    assert first["duration_ms"] > 0
    assert second["timings"]
    assert Invocation.objects.count() == 3

    base = f"/deployments/{live.NAME}/cache"
    page = api("GET", f"{base}/entries").json()
    assert [entry["key"] for entry in page["entries"]] == [first["key"]]
    assert page["entries"][0]["size_bytes"] > 0
    assert 0 < page["entries"][0]["ttl_seconds"] <= 3600
    assert (page["cursor"], page["scanned"], page["total"]) == (None, page["total"], page["total"])
    entry = api("GET", f"{base}/entries/{first['key']}").json()
    assert (entry["output"], entry["input"]) == (first["body"], rows)
    assert api("GET", base).json()["server"]["policy"] == "allkeys-lfu"

    # What was sent is for testers; that there is an entry is for everybody.
    viewer = api_of(factories.member("ada", factories.environment(), "viewer"))
    told = viewer("GET", f"{base}/entries/{first['key']}").json()
    assert (told["has_input"], told["input"]) == (True, None)

    assert api("DELETE", f"{base}/entries", {"match": "*", "dry_run": True}).json()["deleted"] == 1
    assert api("DELETE", f"{base}/entries", {"keys": [first["key"]]}).json() == {
        "deleted": 1,
        "complete": True,
        "dry_run": False,
    }
    assert api("GET", f"{base}/entries").json()["entries"] == []
    assert AuditEntry.objects.filter(action="delete_entries").exists()


def test_what_the_function_refuses_is_an_answer(api: Api, function: live.Function) -> None:
    live.deployed(function)
    refused = ask(api, [[1, 2]])
    assert (refused["status"], refused["cache"]) == (400, None)
    assert refused["body"]


def test_the_data_epoch_is_raised_for_a_reason(api: Api, function: live.Function) -> None:
    live.deployed(function)
    base = f"/deployments/{live.NAME}/cache/epoch"
    assert api("POST", base, {"reason": ""}).json()["field"] == "reason"
    raised = api("POST", base, {"reason": "prices reloaded"})
    assert (raised.status_code, raised.json()["data_epoch"]) == (
        200,
        api("GET", "/deployments/digits").json()["data_epoch"],
    )


def test_which_entries_must_be_said(api: Api, function: live.Function) -> None:
    live.deployed(function)
    for wish in ({}, {"match": "*", "keys": ["x"]}, {"keys": []}, {"keys": ["other:0:q:0"]}):
        assert api("DELETE", f"/deployments/{live.NAME}/cache/entries", wish).status_code in (400, 422), wish
    assert api("GET", f"/deployments/{live.NAME}/cache/entries?cursor=nonsense").json()["field"] == "cursor"


def test_what_is_not_live_says_what_to_do(api: Api) -> None:
    factories.deployment()
    refused = api("POST", "/deployments/iris/invocations", {"body": {"data": [[1]]}})
    assert (refused.status_code, refused.json()["code"]) == (409, "not_live")
    assert api("GET", "/deployments/iris/cache").json()["code"] == "no_cache"
