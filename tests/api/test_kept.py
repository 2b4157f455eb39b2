"""What is kept of inputs, through the API: test calls listed, for how long, and one input found and erased."""

import pytest

from deployments.models import AuditEntry, Deployment, Invocation
from tests import factories
from tests.api.conftest import Api

BODY = {"data": [[5.1, 3.5]]}


@pytest.fixture
def iris(db: None) -> Deployment:
    """A deployment without a cache, of which two calls are kept."""
    made = factories.deployment()
    for body in (BODY, {"data": [[1, 2]]}):
        Invocation.objects.create(deployment=made, request={"body": body, "cache": "default"}, status=200, label="x")
    return made


def test_kept_calls_are_listed_newest_first(api: Api, iris: Deployment) -> None:
    answer = api("GET", f"/deployments/{iris.name}/invocations?page_size=1")
    assert answer.headers["X-Total-Count"] == "2"
    (shown,) = answer.json()
    assert shown["request"]["body"] == {"data": [[1, 2]]}
    assert (shown["status"], shown["user"], shown["pinned"]) == (200, None, False)


def test_how_long_they_are_kept_holds_at_once(api: Api, iris: Deployment) -> None:
    assert api("GET", f"/deployments/{iris.name}").json()["keep_invocations_days"] == 30
    answer = api("PUT", f"/deployments/{iris.name}/retention", {"keep_invocations_days": 0})
    assert answer.json() == {"keep_invocations_days": 0, "deleted": 2}
    assert api("GET", f"/deployments/{iris.name}/invocations").json() == []
    assert api("PUT", f"/deployments/{iris.name}/retention", {"keep_invocations_days": 367}).status_code == 422


def test_one_input_is_found_and_erased(api: Api, iris: Deployment) -> None:
    found = api("POST", f"/deployments/{iris.name}/cache/find", {"body": BODY})
    assert found.json() == {
        "key": "",
        "keys": [],
        "invocations": 1,
        "samples": 0,
        "rows": 0,
        "more_rows": 0,
        "exact": True,
        "erased": False,
    }
    wish = {"body": BODY, "reason": "asked for by letter"}
    assert not api("POST", f"/deployments/{iris.name}/cache/erase", {**wish, "dry_run": True}).json()["erased"]
    assert Invocation.objects.count() == 2
    assert api("POST", f"/deployments/{iris.name}/cache/erase", wish).json() == {**found.json(), "erased": True}
    assert [call.request["body"] for call in Invocation.objects.all()] == [{"data": [[1, 2]]}]
    assert AuditEntry.objects.get(action="erase_input").reason == "asked for by letter"
    assert api("POST", f"/deployments/{iris.name}/cache/erase", {"reason": "x"}).status_code == 422
    assert api("POST", f"/deployments/{iris.name}/cache/find", {"body": BODY, "text": "{}"}).status_code == 422
    as_text = api("POST", f"/deployments/{iris.name}/cache/find", {"text": '{"data": [[1.0, 2]]}'}).json()
    assert (as_text["invocations"], as_text["exact"]) == (1, True)
