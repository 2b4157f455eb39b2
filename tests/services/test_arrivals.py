"""A blob put through the pages and the API: it waits where the trigger sees it, and is followed."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from django.test import Client
from django.utils import timezone

from deployments.domain.arrivals import Arrival, FateState
from deployments.domain.errors import ConsoleError, Unavailable
from deployments.domain.resources import Context
from deployments.engine import binding
from deployments.models import AuditEntry, Deployment, Membership
from deployments.services import arrivals
from deployments.services.tokens import create_token
from deployments.targets.local import stop_all
from deployments.targets.local.receipts import Receipt, Receipts, State
from deployments.targets.local.trigger import LocalTrigger
from tests import factories, live
from tests.scoring.processes import wait_for

BLOB = {"kind": "blob", "path_in": "rows/{name}.csv", "path_out": "sums/{name}.json"}


@pytest.fixture
def fed(settings: Any, tmp_path: Path, db: None) -> Iterator[Deployment]:
    """A live deployment on this machine whose trigger runs and whose function is away."""
    with live.paper_world(settings, tmp_path):
        made = factories.deployment(trigger=BLOB)
        factories.finished(factories.started(made))
        made.environment.target = "local"
        made.environment.save()
        made = made.fresh()
        trigger = LocalTrigger(
            config=binding.target_of(made.environment).config,  # type: ignore[attr-defined]
            deployment=made.ref(),
            spec=made.live_revision.spec,  # type: ignore[union-attr]
        )
        ctx = Context(deployment=made.ref(), now=timezone.now())
        trigger.create(ctx)
        seen = wait_for(lambda: getattr(trigger.observe(ctx), "outputs", None), seconds=60)
        made.resources.exclude(key="function").delete()
        made.resources.update(kind="local.function")
        made.resources.create(
            key="trigger",
            kind="local.trigger",
            name=trigger.name,
            title="Trigger",
            owned=True,
            outputs=dict(seen),
            ready_at=timezone.now(),
        )
        yield made.fresh()
    stop_all(tmp_path)


def test_it_is_put_and_followed_through_the_api(fed: Deployment) -> None:
    token = create_token(user=factories.administrator().user, name="t", scopes=["read", "test"])
    client = Client(headers={"Authorization": f"Bearer {token}"})
    base = "/api/v1/deployments/iris/arrivals"
    wish = {"text": "1,2,3,4", "name": "one.csv"}
    put = client.post(base, json.dumps(wish), content_type="application/json")
    assert put.status_code == 202, put.content
    told = client.get(f"{base}/{put.json()['ticket']}").json()
    assert told == {"state": "waiting", "output": None, "reason": ""}
    folder = Path(client.get(base).json()["places"]["folder_in"])
    assert (folder / "one.csv").read_bytes() == b"1,2,3,4"
    assert AuditEntry.objects.filter(action="put_arrival").count() == 1
    (folder / "one.csv").unlink()
    assert client.get(f"{base}/{put.json()['ticket']}").json()["reason"].startswith("it was taken away")
    for bad, status in (
        ({"text": "1", "name": "../x.csv"}, 400),
        ({"text": "1", "body": 1}, 400),
        ({"base64": "not base64!"}, 400),
        ({}, 400),
    ):
        assert client.post(base, json.dumps(bad), content_type="application/json").status_code == status
    assert client.get(f"{base}/MHgxOmE").status_code == 404
    assert client.get(f"{base}/_").status_code == 404


def test_the_pages_put_a_blob_and_say_where_it_is(fed: Deployment) -> None:
    client = Client()
    client.force_login(factories.administrator().user)
    assert "arrivals/" in client.get("/deployments/iris/").content.decode()
    wish = {"tab": "json", "json": "[[1, 2, 3, 4]]", "send": "put", "cache": "default"}
    page = client.post("/deployments/iris/test/", wish, follow=True)
    assert page.status_code == 200
    ticket = page.context["ticket"]
    part = client.get("/deployments/iris/arrivals/", {"ticket": ticket}).content.decode()
    assert "It waits to be scored." in part
    assert "hx-trigger" in part  # it comes again
    assert str(fed.resources.get(key="trigger").outputs["folder_in"]) in part
    assert "There is no such arrival" in client.get("/deployments/iris/arrivals/?ticket=x").content.decode()


def test_why_something_failed_is_for_those_who_may_see_inputs(fed: Deployment) -> None:
    ticket = arrivals.put(actor=factories.administrator(), deployment=fed, arrival=Arrival(b"4711", name="one.csv"))
    folder = Path(str(fed.resources.get(key="trigger").outputs["folder_in"])).parents[1]
    reason = "400 bad_csv line 1: “4711” is no number."
    receipts = Receipts(folder / "receipts.db")
    receipts.put("one.csv", Receipt(ticket.partition(":")[0], State.POISON, tries=5, reason=reason))
    receipts.close()
    assert arrivals.fate(actor=factories.administrator(), deployment=fed, ticket=ticket).reason == reason
    tester = factories.member("tess", fed.environment, "tester")
    assert arrivals.fate(actor=tester, deployment=fed, ticket=ticket).reason == reason
    fed.environment.memberships.update(inputs=Membership.Inputs.WITHHELD)
    told = arrivals.fate(actor=tester, deployment=fed, ticket=ticket)
    assert told.state == FateState.POISONED
    assert "4711" not in told.reason


def test_what_is_in_the_way_of_a_blob_is_told(fed: Deployment) -> None:
    actor = factories.administrator()
    folder = Path(str(fed.resources.get(key="trigger").outputs["folder_in"]))
    (folder / "folder.csv").mkdir()
    (folder / "file.csv").write_bytes(b"1")
    for name in ("folder.csv", "file.csv/one.csv"):
        with pytest.raises(ConsoleError, match="is no name") as refused:
            arrivals.put(actor=actor, deployment=fed, arrival=Arrival(b"1", name=name))
        assert refused.value.field == "name"
    ticket = arrivals.put(actor=actor, deployment=fed, arrival=Arrival(b"1", name="one.csv"))
    away = folder.parent.rename(folder.parent.with_name("elsewhere"))
    folder.parent.write_bytes(b"")  # as a disk that has gone: there is no folder
    with pytest.raises(Unavailable, match="Where blobs are kept"):
        arrivals.put(actor=actor, deployment=fed, arrival=Arrival(b"1", name="two.csv"))
    assert arrivals.fate(actor=actor, deployment=fed, ticket=ticket).reason.startswith("it was taken away")
    folder.parent.unlink()
    away.rename(folder.parent)


def test_what_http_requests_call_has_nothing_put_before_it(settings: Any, tmp_path: Path, db: None) -> None:
    with live.paper_world(settings, tmp_path):
        made = factories.deployment()
        factories.finished(factories.started(made))
    client = Client()
    client.force_login(factories.administrator().user)
    assert "Nothing can be put before iris" in client.get("/deployments/iris/arrivals/").content.decode()
