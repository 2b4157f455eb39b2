"""Runs: started, cancelled and tried again, by whom, and with what is asked for before."""

from datetime import timedelta

import pytest
from django.utils import timezone

from deployments.domain.errors import Conflict, NotAllowed, NotFound
from deployments.domain.states import RunKind, RunState
from deployments.models import AuditEntry, Run, WorkerSeen
from deployments.policy import Actor
from deployments.services import access
from deployments.services.deployments import change_deployment
from deployments.services.runs import cancel_run, retry_run, start_run, worker_seen
from tests import factories
from tests.factories import deployment, finished, spec, started

pytestmark = pytest.mark.django_db


@pytest.fixture
def root() -> Actor:
    return factories.administrator()


def test_a_run_is_due_at_once_and_tells_who_asked(root: Actor) -> None:
    run = start_run(actor=root, deployment=deployment(), kind=RunKind.DEPLOY, reason="first of all")
    assert (run.state, run.kind, run.revision.number, run.created_by) == ("queued", "deploy", 1, root.user)
    assert list(Run.objects.due(timezone.now())) == [run]
    assert run.events.get().message == "Deploy of revision 1 asked for by root: first of all"
    assert AuditEntry.objects.filter(action="deploy", subject="iris revision 1", reason="first of all").exists()


@pytest.mark.parametrize("confirm", ["", "Iris", "iris "])
def test_a_destroy_asks_for_the_name(root: Actor, confirm: str) -> None:
    with pytest.raises(Conflict, match="confirmation") as caught:
        start_run(actor=root, deployment=deployment(), kind=RunKind.DESTROY, confirm=confirm)
    assert caught.value.field == "confirm"
    assert not Run.objects.exists()


def test_the_revision_is_the_newest_or_the_live_one_or_the_one_named(root: Actor) -> None:
    of = deployment()
    with pytest.raises(Conflict, match="not live"):
        start_run(actor=root, deployment=of, kind=RunKind.RESTART)
    finished(started(of))
    change_deployment(actor=root, deployment=of, spec=spec(cache={"ttl_seconds": 5}))
    of = of.fresh()
    chosen = []
    for kind, revision in ((RunKind.DEPLOY, None), (RunKind.RESTART, None), (RunKind.DESTROY, None), ("deploy", 1)):
        run = start_run(actor=root, deployment=of, kind=RunKind(kind), revision=revision, confirm=of.name)
        chosen.append(run.revision.number)
        Run.objects.filter(pk=run.pk).update(state=RunState.CANCELLED)
    assert chosen == [2, 1, 1, 1]
    with pytest.raises(NotFound, match="no revision 7"):
        start_run(actor=root, deployment=of, kind=RunKind.DEPLOY, revision=7)


def test_one_run_at_a_time(root: Actor) -> None:
    of = deployment()
    run = started(of)
    with pytest.raises(Conflict, match=f"Run {run.pk} of iris is under way"):
        start_run(actor=root, deployment=of, kind=RunKind.DEPLOY)
    started(deployment("another"))


def test_a_cancel_is_asked_for_once_and_is_no_state(root: Actor) -> None:
    run = started(deployment())
    cancel_run(actor=root, run=run)
    cancel_run(actor=root, run=run)
    assert (run.state, run.cancel_requested_by) == ("queued", root.user)
    assert run.events.filter(message="root asked to cancel").count() == 1
    assert finished(run).state == RunState.CANCELLED
    with pytest.raises(Conflict, match="is over"):
        cancel_run(actor=root, run=run)


def test_only_what_went_wrong_is_tried_again(root: Actor) -> None:
    of = deployment()
    run = started(of)
    with pytest.raises(Conflict, match="queued"):
        retry_run(actor=root, run=run)
    cancel_run(actor=root, run=run)
    finished(run)
    again = retry_run(actor=root, run=run)
    assert (again.retry_of, again.reason, again.revision) == (run, f"retry of run {run.pk}", run.revision)
    with pytest.raises(Conflict, match="succeeded"):
        retry_run(actor=root, run=finished(again))


@pytest.mark.parametrize("role", ["viewer", "tester"])
def test_who_may_not_deploy_moves_nothing_and_is_on_record(root: Actor, role: str) -> None:
    of, failing = deployment(), deployment("failing", tags={"paper-fault": "cache=refused"})
    actor = factories.member("someone", of.environment, role)
    run, failed = started(of), finished(started(failing))
    for attempt in (
        lambda: start_run(actor=actor, deployment=of, kind=RunKind.DESTROY, confirm="iris"),
        lambda: cancel_run(actor=actor, run=run),
        lambda: retry_run(actor=actor, run=failed),
    ):
        with pytest.raises(NotAllowed):
            attempt()
    run.refresh_from_db()
    assert (Run.objects.count(), run.cancel_requested_at) == (2, None)
    assert AuditEntry.objects.filter(actor="someone", result="refused").count() == 3
    assert access.run(actor, run.pk) == run


def test_who_has_no_role_sees_no_run() -> None:
    run = started(deployment())
    stranger = factories.member("stranger", factories.environment("other"), "admin")
    with pytest.raises(NotFound):
        access.run(stranger, run.pk)
    assert not access.runs(stranger).exists()


def test_a_worker_is_seen_for_a_while() -> None:
    assert not worker_seen(within=timedelta(seconds=20))
    WorkerSeen.objects.create(name="first", at=timezone.now() - timedelta(seconds=30))
    assert not worker_seen(within=timedelta(seconds=20))
    assert worker_seen(within=timedelta(seconds=60))
