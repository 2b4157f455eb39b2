"""The test form and the API of functions that messages and blobs call: the input goes as the host would bring it."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from django.test import Client

from deployments.models import Deployment, Invocation
from deployments.services.inputs import find_entries
from deployments.services.invocations import invoke
from tests import factories, live

QUEUE = {"kind": "service_bus", "queue_in": "rows", "queue_out": "labels"}
BLOB = {"kind": "blob", "path_in": "rows/{day}/{name}", "path_out": "labels/{day}/{name}.json"}


@pytest.fixture(scope="module")
def fed() -> Iterator[live.Function]:
    with live.serving(trigger={**QUEUE, "function": "score"}) as found:
        yield found


@pytest.fixture(params=[QUEUE, BLOB], ids=["queue", "blob"])
def digits(
    request: pytest.FixtureRequest, fed: live.Function, settings: Any, tmp_path: Path, db: None
) -> Iterator[Deployment]:
    fed.admin.flushall()
    with live.paper_world(settings, tmp_path):
        yield live.deployed(fed, trigger=request.param)


def test_the_form_sends_a_message_and_shows_what_the_host_would_write(digits: Deployment, fed: live.Function) -> None:
    client = Client()
    client.force_login(factories.administrator().user)
    page = client.get("/deployments/digits/test/").content.decode()
    assert "Drawing pad" in page
    assert 'name="headers"' not in page
    assert "x-functions-key" not in page
    wish = {"tab": "json", "json": json.dumps([fed.rows[1]]), "send": "twice", "cache": "default"}
    text = client.post("/deployments/digits/test/", wish, follow=True).content.decode()
    assert text.index(">MISS<") < text.index(">HIT<")
    assert "Server-Timing: " in text
    call = Invocation.objects.latest("pk")
    assert (call.cache, call.status, call.response["body"]) == (
        "hit",
        200,
        Invocation.objects.earliest("pk").response["body"],
    )
    assert call.key.startswith("digits:")
    broken = client.post("/deployments/digits/test/", {**wish, "json": "[[1]]", "send": "once"}, follow=True)
    assert "400" in broken.content.decode()


def test_a_call_steers_the_cache_through_what_arrives(digits: Deployment, fed: live.Function) -> None:
    actor = factories.administrator()
    body = {"data": [fed.rows[2]]}
    untouched = invoke(actor=actor, deployment=digits, body=body, cache="no-store")[1]
    assert (untouched.cache, untouched.status) == ("bypass", 200)
    first = invoke(actor=actor, deployment=digits, body=body)[1]
    assert (first.cache, first.body) == ("miss", untouched.body)
    assert invoke(actor=actor, deployment=digits, body=body)[1].cache == "hit"
    assert find_entries(actor=actor, deployment=digits, body=body).keys == (first.key,)
