"""Deployments: the list and its filters, one deployment, revisions, and the verbs on it."""

import re
from datetime import timedelta

import pytest
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from deployments.domain.states import DeploymentStatus, RunKind
from deployments.models import Deployment, Invocation, Run, Sighting
from deployments.services.deployments import change_deployment
from tests import factories
from tests.web.conftest import Browse


@pytest.fixture
def live(deployer: Client) -> Deployment:
    return factories.finished(factories.started(factories.deployment())).deployment


@pytest.fixture
def changed(live: Deployment) -> Deployment:
    """Revision 2 runs; 1 and 2 differ in the cache."""
    change_deployment(
        actor=factories.administrator(),
        deployment=live,
        spec=factories.spec(cache={"ttl_seconds": 60, "policy": "auto"}),
    )
    return factories.finished(factories.started(live)).deployment


def at(name: str, deployment: Deployment) -> str:
    return reverse(f"web:{name}", args=[deployment.name])


def shown(client: Client, **query: str) -> list[str]:
    seen = client.get(reverse("web:deployments"), query).content.decode()
    return re.findall(r'class="full"><a href="/deployments/([a-z-]+)/"', seen)


def test_the_list_is_searched_filtered_and_sorted(deployer: Client, live: Deployment) -> None:
    tagged = factories.spec(tags={"team": "pricing", "paper-fault": "image=broken"})
    factories.finished(factories.started(factories.deployment("oak", tags=dict(tagged.tags))))
    factories.deployment("birch", trigger={"kind": "blob"})
    assert shown(deployer) == ["oak", "iris", "birch"], "worst first"
    assert shown(deployer, order="name") == ["birch", "iris", "oak"]
    assert shown(deployer, order="-name") == ["oak", "iris", "birch"]
    assert shown(deployer, status="live") == ["iris"]
    assert shown(deployer, status="attention") == ["oak"]
    assert shown(deployer, trigger="blob") == ["birch"]
    assert shown(deployer, q="PRICING") == ["oak"]
    assert shown(deployer, q="model.joblib", status="new") == ["birch"]
    assert shown(deployer, environment="elsewhere") == []


def test_a_filter_keeps_the_search_and_tells_its_count(deployer: Client, live: Deployment) -> None:
    seen = deployer.get(reverse("web:deployments"), {"q": "i", "page": "1"}).content.decode()
    assert 'href="?q=i&amp;status=live"' in seen
    assert "Live<span>1</span>" in seen


def test_a_long_list_comes_in_pages(deployer: Client) -> None:
    spec = factories.spec()
    for number in range(53):
        factories.create_deployment(
            actor=factories.administrator(), name=f"d{number:02}x", environment=factories.environment(), spec=spec
        )
    with_pages = deployer.get(reverse("web:deployments"), {"order": "name"}).content.decode()
    assert "53 deployments" in with_pages
    assert 'href="?order=name&amp;page=2"' in with_pages
    second = deployer.get(reverse("web:deployments"), {"order": "name", "page": "2"}).content.decode()
    assert "d52x" in second
    assert "d00x" not in second


def test_a_live_deployment_says_what_runs_and_what_can_be_done(deployer: Client, changed: Deployment) -> None:
    seen = deployer.get(at("deployment", changed)).content.decode()
    assert "revision 2 runs" in seen
    assert "cache.policy, cache.ttl_seconds" in seen, "a revision without a note tells what it changed"
    assert seen.count("Roll back") == 1
    for name in ("test", "cache", "deployment_change", "deployment_destroy"):
        assert at(name, changed) in seen


def test_a_viewer_sees_no_verbs_and_no_inputs(viewer: Client, live: Deployment) -> None:
    Invocation.objects.create(deployment=live, status=200, cache="hit", key="iris:1:q:secret", duration_ms=1)
    seen = viewer.get(at("deployment", live)).content.decode()
    for name in ("deployment_run", "deployment_change", "deployment_destroy"):
        assert at(name, live) not in seen
    assert "Recent invocations" not in seen


def test_a_rollback_is_a_run_of_an_earlier_revision(deployer: Client, changed: Deployment) -> None:
    answer = deployer.post(at("deployment_run", changed), {"kind": "deploy", "revision": "1"})
    run = Run.objects.order_by("-pk")[0]
    assert answer["Location"] == reverse("web:run", args=[run.pk])
    assert (run.revision.number, run.reason) == (1, "rolled back from revision 2")
    assert factories.finished(run).deployment.fresh().live_revision == run.revision


def test_a_restart_is_of_what_is_live(deployer: Client, changed: Deployment) -> None:
    deployer.post(at("deployment_run", changed), {"kind": "restart"})
    run = Run.objects.order_by("-pk")[0]
    assert (run.kind, run.revision.number) == (RunKind.RESTART, 2)


def test_a_second_run_is_refused_with_what_to_do(deployer: Client, live: Deployment) -> None:
    factories.started(live)
    seen = deployer.post(at("deployment_run", live), {"kind": "deploy"}, follow=True).content.decode()
    assert "is under way" in seen
    assert "Wait for it, or cancel it." in seen


@pytest.mark.parametrize("kind", ["destroy", "", "deploys"])
def test_this_door_starts_deploys_and_restarts_only(deployer: Client, live: Deployment, kind: str) -> None:
    deployer.post(at("deployment_run", live), {"kind": kind})
    assert live.runs.count() == 1


def test_two_revisions_are_compared_with_their_files_named(deployer: Client, changed: Deployment) -> None:
    other = factories.artifact(b"\x80\x04another", name="second.joblib")
    change_deployment(
        actor=factories.administrator(), deployment=changed, spec=factories.spec(model={"artifact": other.pk})
    )
    seen = deployer.get(at("revisions_diff", changed), {"from": "1", "to": "3"}).content.decode()
    assert "artifact: model.joblib" in seen
    assert f"artifact: second.joblib  sha256 {other.pk[:8]}" in seen
    assert "ttl_seconds" not in seen, "what is the same in both is not told"
    assert deployer.get(at("revisions_diff", changed), {"from": "1", "to": "9"}).status_code == 404


def test_drift_is_told_and_can_be_undone(deployer: Client, live: Deployment) -> None:
    Sighting.objects.create(
        deployment=live,
        revision=live.fresh().live_revision,
        at=timezone.now() - timedelta(minutes=8),
        differs_since=timezone.now(),
        differences=[{"key": "function", "title": "Function", "action": "change", "why": "does not work now"}],
    )
    seen = deployer.get(at("deployment", live)).content.decode()
    assert "does not work now" in seen
    assert "Bring it back to the revision" in seen


def test_a_destroy_lists_what_goes_and_does_nothing_before_the_name(deployer: Client, live: Deployment) -> None:
    address = at("deployment_destroy", live)
    seen = deployer.get(address).content.decode()
    assert "3 to delete" in seen
    assert "All stored answers are lost." in seen
    wrong = deployer.post(address, {"confirm": "irys"})
    assert wrong.status_code == 409
    assert "The confirmation does not match" in wrong.content.decode()
    assert live.runs.count() == 1
    assert deployer.post(address, {"confirm": " iris "}).status_code == 302
    assert factories.finished(live.runs.get(kind="destroy")).deployment.fresh().status == DeploymentStatus.DESTROYED


def test_what_is_destroyed_can_be_forgotten_and_not_before(deployer: Client, live: Deployment) -> None:
    forget = at("deployment_forget", live)
    refused = deployer.post(forget, follow=True).content.decode()
    assert "still has resources" in refused
    factories.finished(factories.started(live, RunKind.DESTROY))
    assert forget in deployer.get(at("deployment", live)).content.decode()
    deployer.post(forget)
    assert not Deployment.objects.exists()


def test_a_tester_may_not_deploy(browse: Browse, live: Deployment) -> None:
    tester = browse(factories.member("tess", live.environment, "tester"))
    assert tester.post(at("deployment_run", live), {"kind": "deploy"}).status_code == 403
    assert live.runs.count() == 1
