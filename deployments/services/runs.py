"""Runs: started, cancelled, tried again."""

import logging
from datetime import timedelta

from django.db import transaction
from django.utils import timezone
from kombu.exceptions import OperationalError

from .. import audit
from ..domain.errors import Conflict, NotFound
from ..domain.states import RunKind, RunState
from ..engine.opening import open_run
from ..engine.rules import check_rules
from ..models import Deployment, Revision, Run, WorkerSeen
from ..models.runs import append_events
from ..policy import Actor, Verb
from ..tasks import ring
from .access import require

log = logging.getLogger(__name__)


def start_run(
    *,
    actor: Actor,
    deployment: Deployment,
    kind: RunKind,
    revision: int | None = None,
    confirm: str = "",
    reason: str = "",
    retry_of: Run | None = None,
    approved_plan: str = "",
) -> Run:
    """Start a run and ring for it once committed.

    `revision` is the newest for a deploy and the live one for a restart or destroy, when left out.
    `confirm` must be the deployment's name for a destroy. Raises NotAllowed, NotFound for a revision that
    is not there, SpecInvalid or SecretUnavailable where the environment's rules no longer allow it, Conflict
    while another run is under way or without the confirmation.
    """
    require(actor, Verb.DEPLOY, deployment.environment, subject=deployment.name)
    if kind == RunKind.DESTROY and confirm != deployment.name:
        raise Conflict(
            "The confirmation does not match",
            cause="A destroy cannot be undone, so it asks for the deployment's name.",
            action=f"Send confirm: {deployment.name}.",
            field="confirm",
        )
    chosen = revision_of(deployment, kind, revision)
    if kind != RunKind.DESTROY:
        check_rules(chosen.spec, deployment.environment)
    with transaction.atomic():
        run = open_run(
            actor=actor,
            deployment=deployment,
            revision=chosen,
            kind=kind,
            reason=reason,
            retry_of=retry_of,
            approved_plan=approved_plan,
        )
        transaction.on_commit(lambda: _ring(run.pk))
    return run


def cancel_run(*, actor: Actor, run: Run) -> Run:
    """Ask a run to stop; it does so on its next visit. Raises Conflict when it is over."""
    require(actor, Verb.DEPLOY, run.deployment.environment, subject=str(run))
    now = timezone.now()
    with transaction.atomic():
        asked = Run.objects.active().filter(pk=run.pk, cancel_requested_at=None)
        if asked.update(cancel_requested_at=now, cancel_requested_by=actor.user, next_visit_at=now):
            append_events(run.pk, [("", "state", f"{actor.name} asked to cancel")], now=now)
            audit.record(actor, "cancel", f"{run.deployment.name} run {run.pk}", environment=run.deployment.environment)
            transaction.on_commit(lambda: _ring(run.pk))
    run.refresh_from_db()
    if run.is_over:
        raise Conflict(f"{run} is over: {run.state}", action="There is nothing to cancel.")
    return run


def retry_run(*, actor: Actor, run: Run) -> Run:
    """Try the same again as a new run, which finds and keeps what exists. Raises Conflict or NotAllowed."""
    if run.state not in (RunState.FAILED, RunState.CANCELLED):
        raise Conflict(f"{run} is {run.state}", action="Only a failed or cancelled run can be tried again.")
    return start_run(
        actor=actor,
        deployment=run.deployment,
        kind=RunKind(run.kind),
        revision=run.revision.number,
        confirm=run.deployment.name,
        reason=f"retry of run {run.pk}",
        retry_of=run,
    )


def worker_seen(*, within: timedelta) -> bool:
    """Whether a worker has answered the doorbell lately; without one nothing moves."""
    return WorkerSeen.objects.filter(at__gte=timezone.now() - within).exists()


def revision_of(deployment: Deployment, kind: RunKind, number: int | None) -> Revision:
    """The revision that a run of this kind is about. Raises NotFound, or Conflict for a restart of nothing."""
    if number is not None:
        found = deployment.revisions.filter(number=number).first()
        if found is None:
            raise NotFound(
                f"{deployment.name} has no revision {number}", action="List its revisions.", field="revision"
            )
        return found
    if kind == RunKind.DEPLOY:
        return deployment.latest_revision()
    live = deployment.live_revision
    if kind == RunKind.RESTART and live is None:
        raise Conflict(f"{deployment.name} is not live", action="Deploy it: there is nothing to restart.")
    return live or deployment.latest_revision()


def _ring(run_id: int) -> None:
    """Ring at once; if the broker is away the beat finds the run later, so that nothing is lost."""
    try:
        ring.apply_async((run_id,), retry=False)
    except OperationalError as error:
        log.warning("the broker did not take the ring for run %s: %s", run_id, error)
