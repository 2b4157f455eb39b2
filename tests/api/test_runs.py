"""Runs through the API: started once, followed by cursor, cancelled, tried again."""

import pytest

from deployments.engine import runner
from deployments.models import IdempotentAnswer, Run
from deployments.services import idempotency
from tests import factories
from tests.api.conftest import Api, api_of


def test_a_run_is_accepted_and_followed(api: Api) -> None:
    factories.deployment()
    accepted = api("POST", "/deployments/iris/runs", {"kind": "deploy"})
    assert accepted.status_code == 202
    run = Run.objects.get()
    assert accepted["Location"] == f"/api/v1/runs/{run.pk}"
    assert accepted["Retry-After"] == "1"
    assert accepted.json()["state"] == "queued"

    first = api("GET", f"/runs/{run.pk}/events").json()
    assert (first["done"], first["cursor"], len(first["events"])) == (False, 1, 1)
    factories.finished(run)

    shown = api("GET", f"/runs/{run.pk}")
    assert "Retry-After" not in shown
    told = shown.json()
    assert (told["kind"], told["state"], told["revision"], told["error"]) == ("deploy", "succeeded", 1, None)
    assert {(step["key"], step["state"], step["attempts"]) for step in told["steps"]} == {
        ("cache", "succeeded", 1),
        ("image", "succeeded", 1),
        ("function", "succeeded", 1),
    }
    assert all(step["started_at"] and step["finished_at"] for step in told["steps"])

    seen, cursor, done = [], first["cursor"], False
    while not done:
        page = api("GET", f"/runs/{run.pk}/events?after={cursor}&limit=2").json()
        assert len(page["events"]) <= 2
        seen += [event["seq"] for event in page["events"]]
        cursor, done = page["cursor"], page["done"]
    run.refresh_from_db()
    assert seen == list(range(2, run.last_seq + 1))
    assert api("GET", f"/runs/{run.pk}/events?after={cursor}").json() == {
        "events": [],
        "cursor": cursor,
        "done": True,
    }


def test_a_failed_run_says_why_and_can_be_tried_again(api: Api) -> None:
    run = factories.finished(factories.started(factories.deployment(tags={"paper-fault": "function=refused"})))
    told = api("GET", f"/runs/{run.pk}").json()
    assert told["state"] == "failed"
    step = next(step for step in told["steps"] if step["key"] == "function")
    assert (step["state"], step["error"]["action"]) == ("failed", "Remove the tag.")
    again = api("POST", f"/runs/{run.pk}/retry")
    assert (again.status_code, again.json()["retry_of"]) == (202, run.pk)
    assert api("POST", f"/runs/{again.json()['id']}/retry").status_code == 409


def test_a_run_under_way_is_cancelled_once(api: Api) -> None:
    run = factories.started(factories.deployment())
    runner.advance(run.pk)
    asked = api("POST", f"/runs/{run.pk}/cancel")
    assert (asked.status_code, asked["Location"]) == (202, f"/api/v1/runs/{run.pk}")
    assert asked.json()["cancel_requested_at"]
    assert factories.finished(run).state == "cancelled"
    assert api("POST", f"/runs/{run.pk}/cancel").status_code == 409


def test_one_run_at_a_time(api: Api) -> None:
    factories.started(factories.deployment())
    refused = api("POST", "/deployments/iris/runs", {"kind": "deploy"})
    assert (refused.status_code, refused.json()["action"]) == (409, "Wait for it, or cancel it.")


@pytest.mark.parametrize(
    ("wish", "status", "field"),
    [
        ({}, 422, "kind"),
        ({"kind": "dploy"}, 422, "kind"),
        ({"kind": "deploy", "revison": 1}, 422, "revison"),
        ({"kind": "deploy", "revision": 0}, 422, "revision"),
        ({"kind": "deploy", "revision": 7}, 404, "revision"),
        ({"kind": "destroy"}, 409, "confirm"),
        ({"kind": "destroy", "confirm": "Iris"}, 409, "confirm"),
        ({"kind": "restart"}, 409, ""),
    ],
)
def test_a_wish_that_cannot_be_met_is_told_its_field(
    api: Api, wish: dict[str, object], status: int, field: str
) -> None:
    factories.deployment()
    refused = api("POST", "/deployments/iris/runs", wish)
    assert (refused.status_code, refused.json()["field"]) == (status, field)
    assert not Run.objects.exists()


def test_a_destroy_wants_the_name(api: Api) -> None:
    deployment = factories.deployment()
    factories.finished(factories.started(deployment))
    accepted = api("POST", "/deployments/iris/runs", {"kind": "destroy", "confirm": "iris"})
    assert accepted.status_code == 202
    factories.finished(Run.objects.get(pk=accepted.json()["id"]))
    assert api("GET", "/deployments/iris").json()["status"] == "destroyed"


def test_runs_are_listed_newest_first_and_filtered(api: Api) -> None:
    first = factories.finished(factories.started(factories.deployment("a")))
    second = factories.started(factories.deployment("b"))
    assert [run["id"] for run in api("GET", "/runs").json()] == [second.pk, first.pk]
    assert [run["id"] for run in api("GET", "/runs?state=succeeded").json()] == [first.pk]
    assert [run["id"] for run in api("GET", "/runs?deployment=b&kind=deploy").json()] == [second.pk]
    assert [run["id"] for run in api("GET", "/deployments/a/runs").json()] == [first.pk]
    assert api("GET", "/runs?state=sleeping").json()["field"] == "state"


def test_a_request_that_is_sent_again_starts_nothing_twice(api: Api) -> None:
    factories.deployment()
    first = api("POST", "/deployments/iris/runs", {"kind": "deploy"}, Idempotency_Key="one")
    assert "Idempotency-Replayed" not in first
    factories.finished(Run.objects.get())
    again = api("POST", "/deployments/iris/runs", {"kind": "deploy"}, Idempotency_Key="one")
    assert (again.status_code, again.json(), again["Location"]) == (202, first.json(), first["Location"])
    assert again["Idempotency-Replayed"] == "true"
    assert Run.objects.count() == 1
    other_body = api("POST", "/deployments/iris/runs", {"kind": "restart"}, Idempotency_Key="one")
    assert (other_body.status_code, other_body.json()["code"]) == (422, "idempotency_key_reused")
    assert api("POST", "/deployments/iris/runs", {"kind": "deploy"}, Idempotency_Key="two").status_code == 202


def test_a_key_is_its_users_own_and_a_refusal_keeps_nothing(api: Api) -> None:
    factories.deployment()
    tester = api_of(factories.member("ada", factories.environment(), "tester"))
    assert tester("POST", "/deployments/iris/runs", {"kind": "deploy"}, Idempotency_Key="one").status_code == 403
    assert not IdempotentAnswer.objects.exists()
    factories.member("ada", factories.environment(), "deployer")
    mine = tester("POST", "/deployments/iris/runs", {"kind": "deploy"}, Idempotency_Key="one")
    theirs = api("POST", "/deployments/iris/runs", {"kind": "deploy"}, Idempotency_Key="one")
    assert (mine.status_code, theirs.status_code) == (202, 409)


def test_a_key_is_forgotten_after_a_day(api: Api) -> None:
    factories.deployment()
    api("POST", "/deployments/iris/runs", {"kind": "deploy"}, Idempotency_Key="one")
    factories.finished(Run.objects.get())
    kept = IdempotentAnswer.objects.get()
    IdempotentAnswer.objects.update(created_at=kept.created_at - idempotency.KEPT)
    assert api("POST", "/deployments/iris/runs", {"kind": "deploy"}, Idempotency_Key="one").status_code == 202
    assert Run.objects.count() == 2


def test_a_lost_answer_of_a_new_deployment_comes_again(api: Api) -> None:
    wish = {"name": "iris", "environment": "paper", "model": {"artifact": factories.artifact().pk}}
    first = api("POST", "/deployments", wish, Idempotency_Key="one")
    again = api("POST", "/deployments", wish, Idempotency_Key="one")
    assert (first.status_code, again.status_code) == (201, 201)
    assert again["ETag"] == first["ETag"]
    assert api("POST", "/deployments", wish, Idempotency_Key="").status_code == 422
