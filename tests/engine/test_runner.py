"""Whole runs on paper: what each kind does, and how it ends."""

import json
from datetime import timedelta
from pathlib import Path

import pytest
from django.db import IntegrityError, transaction
from django.utils import timezone

from deployments.domain.errors import Conflict
from deployments.domain.states import DeploymentStatus, RunKind, RunState, StepState
from deployments.engine import runner
from deployments.engine.lease import LeaseLost, claim
from deployments.models import Run, StepRecord
from deployments.services.deployments import change_deployment
from deployments.services.runs import cancel_run, retry_run, start_run
from tests import factories
from tests.factories import deployment, finished, started

pytestmark = pytest.mark.django_db(transaction=True)


def writes(world: Path) -> dict[str, int]:
    return {path.name.split(".")[1]: json.loads(path.read_text())["writes"] for path in world.glob("*.json")}


def test_a_deploy_makes_each_resource_once_and_goes_live(paper_world: Path) -> None:
    run = finished(started(deployment()))
    assert run.state == RunState.SUCCEEDED
    assert writes(paper_world) == {"cache": 1, "image": 1, "function": 1}
    assert [step.outcome for step in run.steps.all()] == ["created"] * 3
    found = run.deployment.fresh()
    assert found.status == DeploymentStatus.LIVE
    assert found.live_revision.number == 1
    assert found.live_revision.package_digest.startswith("sha256:")


def test_steps_whose_needs_are_met_start_in_the_same_visit() -> None:
    run = started(deployment())
    runner.advance(run.pk)
    states = dict(StepRecord.objects.filter(run=run).values_list("key", "state"))
    assert states == {"cache": "running", "image": "running", "function": "queued"}


def test_an_equal_spec_changes_nothing(paper_world: Path) -> None:
    of = deployment()
    finished(started(of))
    assert change_deployment(actor=factories.administrator(), deployment=of, spec=factories.spec()) is None
    again = finished(started(of))
    assert [step.outcome for step in again.steps.all()] == ["unchanged"] * 3
    assert writes(paper_world) == {"cache": 1, "image": 1, "function": 1}


def test_a_revision_that_wants_no_cache_retires_it_after_the_function(paper_world: Path) -> None:
    of = deployment()
    finished(started(of))
    change_deployment(actor=factories.administrator(), deployment=of, spec=factories.spec(cache={"policy": "off"}))
    run = finished(started(of))
    assert run.state == RunState.SUCCEEDED
    assert set(writes(paper_world)) == {"image", "function"}
    steps = {step.key: step for step in run.steps.all()}
    assert steps["remove-cache"].started_at >= steps["function"].finished_at


def test_a_rollback_is_a_deploy_of_an_earlier_revision(paper_world: Path) -> None:
    of = deployment()
    finished(started(of))
    change_deployment(actor=factories.administrator(), deployment=of, spec=factories.spec(cache={"ttl_seconds": 5}))
    finished(started(of))
    assert of.fresh().live_revision.number == 2
    finished(started(of, revision=1))
    assert of.fresh().live_revision.number == 1
    assert writes(paper_world) == {"cache": 1, "image": 1, "function": 3}


def test_a_restart_touches_only_what_is_restarted(paper_world: Path) -> None:
    of = deployment()
    finished(started(of))
    run = finished(started(of.fresh(), RunKind.RESTART))
    assert run.state == RunState.SUCCEEDED
    assert writes(paper_world) == {"cache": 1, "image": 1, "function": 2}
    assert {step.key: step.outcome for step in run.steps.all()}["function"] == "changed"


def test_a_destroy_leaves_nothing_and_goes_in_reverse(paper_world: Path) -> None:
    of = deployment()
    finished(started(of))
    run = finished(started(of, RunKind.DESTROY))
    assert run.state == RunState.SUCCEEDED
    assert not list(paper_world.glob("*.json"))
    assert not of.resources.exists()
    steps = {step.key: step for step in run.steps.all()}
    assert steps["remove-cache"].started_at >= steps["remove-function"].finished_at
    assert of.fresh().status == DeploymentStatus.DESTROYED
    assert of.fresh().live_revision is None


def test_a_failed_step_is_named_and_a_retry_keeps_what_exists(paper_world: Path) -> None:
    of = deployment(tags={"paper-fault": "image=broken"})
    run = finished(started(of))
    assert run.state == RunState.FAILED
    states = {step.key: step.state for step in run.steps.all()}
    assert states == {"cache": StepState.SUCCEEDED, "image": StepState.FAILED, "function": StepState.CANCELLED}
    assert run.error["code"] == "paper_broken"
    assert run.error["action"]
    change_deployment(actor=factories.administrator(), deployment=of, spec=factories.spec())
    cured = finished(started(of))
    assert cured.state == RunState.SUCCEEDED
    assert writes(paper_world)["cache"] == 1


def test_a_retry_is_a_new_run_of_the_same_revision() -> None:
    of = deployment(tags={"paper-fault": "function=refused"})
    run = finished(started(of))
    assert run.state == RunState.FAILED
    again = retry_run(actor=factories.administrator(), run=run)
    assert (again.pk != run.pk, again.retry_of_id, again.revision_id) == (True, run.pk, run.revision_id)
    finished(again)
    with pytest.raises(Conflict):
        retry_run(actor=factories.administrator(), run=finished(started(deployment("ok"))))


def test_waiting_has_no_timeout_and_goes_on_by_itself(paper_world: Path) -> None:
    of = deployment(tags={"paper-fault": "cache=waiting"})
    run = started(of)
    for _ in range(30):
        Run.objects.filter(pk=run.pk).update(next_visit_at=run.created_at)
        runner.advance(run.pk)
        if of.fresh().status == DeploymentStatus.WAITING:
            break
    step = run.steps.get(key="cache")
    assert (step.state, step.waiting_for) == (StepState.WAITING, "an administrator")
    (paper_world / step.waiting_action.removeprefix("Create ")).touch()
    assert finished(run).state == RunState.SUCCEEDED


def test_cancel_ends_the_run_and_the_next_one_finds_what_exists(paper_world: Path) -> None:
    of = deployment()
    run = started(of)
    runner.advance(run.pk)
    cancel_run(actor=factories.administrator(), run=run)
    assert finished(run).state == RunState.CANCELLED
    assert finished(started(of)).state == RunState.SUCCEEDED
    assert writes(paper_world) == {"cache": 1, "image": 1, "function": 1}
    with pytest.raises(Conflict):
        cancel_run(actor=factories.administrator(), run=run)


def test_one_active_run_per_deployment_by_the_database() -> None:
    of = deployment()
    run = started(of)
    with pytest.raises(Conflict, match=f"Run {run.pk}"):
        start_run(actor=factories.administrator(), deployment=of, kind=RunKind.DEPLOY)
    with pytest.raises(IntegrityError), transaction.atomic():
        Run.objects.create(
            deployment=of, revision=run.revision, kind="deploy", next_visit_at=timezone.now(), created_at=timezone.now()
        )


def test_a_ring_that_is_not_due_or_comes_twice_does_nothing() -> None:
    run = started(deployment())
    assert runner.advance(run.pk) is not None
    run.refresh_from_db()
    Run.objects.filter(pk=run.pk).update(next_visit_at=timezone.now() + timedelta(seconds=60))
    assert runner.advance(run.pk) is None
    after = Run.objects.get(pk=run.pk)
    assert after.visits == run.visits


def test_a_worker_that_lost_its_lease_writes_nothing() -> None:
    run = started(deployment())
    stale = claim(run.pk)
    assert stale is not None
    assert claim(run.pk) is None
    Run.objects.filter(pk=run.pk).update(lease_expires_at=timezone.now() - timedelta(seconds=1))
    fresh = claim(run.pk)
    assert fresh is not None
    with pytest.raises(LeaseLost), stale.writing():
        raise AssertionError("never reached")


def test_events_are_numbered_without_gaps_and_hold_no_secret(paper_world: Path) -> None:
    run = finished(started(deployment()))
    numbers = list(run.events.values_list("seq", flat=True))
    assert numbers == list(range(1, len(numbers) + 1))
    assert not run.events.filter(message__contains="paper-secret").exists()


def test_what_cannot_be_changed_is_taken_away_and_made_again(paper_world: Path) -> None:
    fixed = {"tags": {"paper-fault": "cache=fixed"}}
    of = deployment(**fixed)
    finished(started(of))
    larger = factories.spec(cache={"max_memory_mb": 128}, **fixed)
    change_deployment(actor=factories.administrator(), deployment=of, spec=larger)
    run = finished(started(of))
    assert run.state == RunState.SUCCEEDED
    assert {step.key: step.outcome for step in run.steps.all()}["cache"] == "replaced"
    assert writes(paper_world)["cache"] == 1, "a new one, not the old one changed"


def test_a_cancel_during_a_visit_makes_the_next_one_due_at_once() -> None:
    run = started(deployment())
    lease = claim(run.pk)
    assert lease is not None
    cancel_run(actor=factories.administrator(), run=run)
    lease.release(next_visit_in=60.0)
    assert runner.advance(run.pk) is None
    run.refresh_from_db()
    assert run.state == RunState.CANCELLED


def test_a_visit_that_comes_late_says_by_how_much() -> None:
    run = started(deployment())
    Run.objects.filter(pk=run.pk).update(next_visit_at=timezone.now() - timedelta(seconds=7))
    runner.advance(run.pk)
    finished(run)
    assert Run.objects.get(pk=run.pk).lateness >= 7


def test_a_run_taken_over_is_late_from_when_its_lease_lapsed() -> None:
    run = started(deployment())
    Run.objects.filter(pk=run.pk).update(
        next_visit_at=timezone.now() - timedelta(seconds=30),
        lease_token="dead",
        lease_expires_at=timezone.now() - timedelta(seconds=1),
    )
    runner.advance(run.pk)
    assert 1 <= Run.objects.get(pk=run.pk).lateness < 20


def test_beat_rings_again_only_when_a_ring_must_be_lost() -> None:
    run = started(deployment())
    now = timezone.now()
    assert list(Run.objects.to_ring(now)) == [run]
    Run.objects.filter(pk=run.pk).update(rung_at=now)
    assert not Run.objects.to_ring(now + timedelta(seconds=1)).exists()
    assert list(Run.objects.to_ring(now + timedelta(seconds=3))) == [run]
    runner.advance(run.pk)
    assert list(Run.objects.to_ring(timezone.now() + timedelta(seconds=1))) == [run], "the next visit is another"
