"""Deployments through the API: defined, changed under a condition, planned, listed and forgotten."""

from typing import Any

import pytest

from deployments.domain.states import RunKind
from deployments.models import Deployment, Revision
from deployments.services.artifacts import upload_artifact
from tests import factories
from tests.api.conftest import Api, api_of


def wish(**more: Any) -> dict[str, Any]:
    return {"name": "iris", "environment": "paper", "model": {"artifact": factories.artifact().pk}, **more}


def test_the_smallest_form_is_enough(api: Api) -> None:
    made = api("POST", "/deployments", wish())
    assert made.status_code == 201
    assert made["Location"] == "/api/v1/deployments/iris"
    shown = api("GET", "/deployments/iris").json()
    assert shown == made.json()
    assert (shown["status"], shown["url"], shown["live_revision"], shown["revision"]) == ("new", None, None, 1)
    assert shown["spec"]["model"]["artifact"] == factories.artifact().pk
    assert shown["spec"]["cache"]["policy"] == "on"


def test_a_live_one_tells_its_address_and_what_exists(api: Api) -> None:
    factories.finished(factories.started(factories.deployment()))
    shown = api("GET", "/deployments/iris").json()
    assert (shown["status"], shown["live_revision"], shown["active_run"]) == ("live", 1, None)
    assert shown["url"].startswith("http://127.0.0.1:9/iris-")
    assert [row["key"] for row in shown["resources"] if row["ready"]] == ["cache", "image", "function"]
    assert api("GET", "/deployments").json()[0]["url"] == shown["url"]


@pytest.mark.parametrize(
    ("more", "field"),
    [
        ({"model": {}}, "model"),
        ({"model": {"artifact": "no digest"}}, "model.artifact"),
        ({"model": {"artifact": "0" * 64}}, "model.artifact"),
        ({"cache": {"polcy": "on"}}, "cache.polcy"),
        ({"trigger": {"kind": "http", "route": "admin/x"}}, "trigger.route"),
        ({"name": "No Slug"}, "name"),
        ({"environment": ""}, "environment"),
        ({"description": "x" * 401}, "description"),
        ({"schema_version": 99}, ""),
        ({"cache": {"max_memory_mb": 8_000}}, "cache.max_memory_mb"),
    ],
)
def test_a_fault_is_told_with_its_field(api: Api, more: dict[str, Any], field: str) -> None:
    refused = api("POST", "/deployments", wish(**more))
    assert refused.status_code == 422, refused.content
    told = refused.json()
    assert told["field"] == field
    assert told["problems"][0]["message"]
    assert not Deployment.objects.exists()


def test_a_name_is_taken_once(api: Api) -> None:
    api("POST", "/deployments", wish())
    refused = api("POST", "/deployments", wish())
    assert (refused.status_code, refused.json()["code"], refused.json()["field"]) == (409, "conflict", "name")


def test_put_defines_then_changes(api: Api) -> None:
    assert api("PUT", "/deployments/iris", wish()).status_code == 201
    changed = api("PUT", "/deployments/iris", wish(cache={"ttl_seconds": 60}, note="shorter", description="Flowers"))
    assert changed.status_code == 200
    assert (changed.json()["revision"], changed.json()["description"]) == (2, "Flowers")
    again = api("PUT", "/deployments/iris", {"model": wish()["model"], "cache": {"ttl_seconds": 60}})
    assert (again.json()["revision"], again.json()["description"]) == (2, "Flowers")
    listed = api("GET", "/deployments/iris/revisions").json()
    assert [(row["number"], row["note"]) for row in listed] == [(2, "shorter"), (1, "")]


def test_a_deployment_neither_moves_nor_changes_its_name(api: Api) -> None:
    factories.environment("other")
    api("POST", "/deployments", wish())
    assert api("PUT", "/deployments/iris", wish(environment="other")).json()["field"] == "environment"
    assert api("PUT", "/deployments/iris", wish(name="rose")).json()["field"] == "name"


def test_a_dry_run_answers_the_plan_and_changes_nothing(api: Api) -> None:
    plan = api("PUT", "/deployments/iris?dry_run=true", wish())
    assert plan.status_code == 200
    assert {change["key"]: change["action"] for change in plan.json()["changes"]} == {
        "cache": "create",
        "image": "create",
        "function": "create",
    }
    assert not Deployment.objects.exists()
    factories.finished(factories.started(factories.deployment()))
    plan = api("PUT", "/deployments/iris?dry_run=true", wish(cache={"ttl_seconds": 60})).json()
    assert {change["key"]: change["action"] for change in plan["changes"]}["function"] == "change"
    assert Revision.objects.count() == 1


def test_if_match_keeps_two_people_from_overwriting_each_other(api: Api) -> None:
    etag = api("POST", "/deployments", wish())["ETag"]
    assert api("GET", "/deployments/iris")["ETag"] == etag
    first = api("PUT", "/deployments/iris", wish(cache={"ttl_seconds": 1}), If_Match=etag)
    assert first.status_code == 200
    second = api("PUT", "/deployments/iris", wish(cache={"ttl_seconds": 2}), If_Match=etag)
    assert (second.status_code, second.json()["code"]) == (412, "stale")
    assert api("PUT", "/deployments/iris", wish(cache={"ttl_seconds": 2}), If_Match=first["ETag"]).status_code == 200
    assert api("PUT", "/deployments/iris", wish(), If_Match="nonsense").status_code == 412
    assert api("PUT", "/deployments/rose", wish(name="rose"), If_Match="*").status_code == 412


def test_only_what_is_destroyed_is_forgotten(api: Api) -> None:
    deployment = factories.deployment()
    factories.finished(factories.started(deployment))
    refused = api("DELETE", "/deployments/iris")
    assert (refused.status_code, refused.json()["code"]) == (409, "conflict")
    factories.finished(factories.started(deployment, RunKind.DESTROY))
    assert api("DELETE", "/deployments/iris").status_code == 204
    assert api("GET", "/deployments/iris").status_code == 404


def test_lists_have_pages_and_filters(api: Api) -> None:
    for name in ("a", "b", "c"):
        factories.deployment(name)
    factories.finished(factories.started(Deployment.objects.get(name="b")))
    page = api("GET", "/deployments?page_size=2")
    assert [row["name"] for row in page.json()] == ["a", "b"]
    assert page["X-Total-Count"] == "3"
    assert "page=2" in page["Link"]
    assert 'rel="next"' in page["Link"]
    last = api("GET", "/deployments?page_size=2&page=2")
    assert [row["name"] for row in last.json()] == ["c"]
    assert 'rel="prev"' in last["Link"]
    assert [row["name"] for row in api("GET", "/deployments?status=live").json()] == ["b"]
    assert api("GET", "/deployments?environment=nowhere").json() == []
    assert api("GET", "/deployments?page_size=100000").json()["field"] == "page_size"


def test_another_teams_deployment_is_not_there(api: Api) -> None:
    factories.deployment()
    ada = factories.member("ada", factories.environment("other"), "admin")
    other = api_of(ada)
    assert other("GET", "/deployments").json() == []
    assert other("GET", "/deployments/iris").status_code == 404
    assert other("DELETE", "/deployments/iris").status_code == 404
    # The id of another team's file gives no right to it.
    refused = other("PUT", "/deployments/iris", wish(environment="other"))
    assert (refused.status_code, refused.json()["field"]) == (422, "model.artifact")
    upload_artifact(actor=ada, name="model.joblib", chunks=[factories.artifact().path.read_bytes()])
    # The name is taken all the same, and saying so is all that is told.
    taken = other("PUT", "/deployments/iris", wish(environment="other"))
    assert (taken.status_code, taken.json()["field"]) == (409, "name")
