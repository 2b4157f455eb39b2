"""One visit of a run, from claim to release."""

import logging
from collections.abc import Iterable

from django.db.models import F

from ..domain.errors import ConsoleError, ErrorDetail, LeaseLost
from ..domain.resources import Target
from ..domain.states import ACTIVE_RUNS, UNFINISHED_STEPS, RunKind, RunState, StepState
from ..models import Deployment, ManagedResource, Run, StepRecord
from .binding import target_of
from .graph import turns, write_steps
from .lease import Lease, claim, kept
from .moves import move_run, move_step
from .rules import check_rules
from .visit import Visit

log = logging.getLogger(__name__)

AT_LEAST = 0.05  # seconds between two visits of one run, whatever a resource asks for
AFTER_FAULT = 5.0  # seconds until a visit that raised is tried again
FAULTS_BORNE = 5


def advance(run_id: int) -> float | None:
    """Make one visit. Returns seconds until the next is due, or None: over, not due, or held by another."""
    lease = claim(run_id)
    if lease is None:
        return None
    try:
        with kept(lease):
            delay = _visit(lease)
        lease.release(next_visit_in=delay)
    except LeaseLost:
        log.warning("run %s was taken over by another worker", run_id)
        return None
    return delay


def _visit(lease: Lease) -> float | None:
    run = Run.objects.select_related("deployment__environment", "revision").get(pk=lease.run_id)
    try:
        delay = _advance(lease, run)
    except LeaseLost:
        raise
    except ConsoleError as error:
        _finish(lease, run, run.steps.all(), RunState.FAILED, error=error.detail)
        return None
    except Exception as error:
        # A fault of ours must not leave a run that nobody ends: it is tried again, then ended and named.
        log.exception("visit of run %s raised", run.pk)
        return _after_fault(lease, run, error)
    if run.faults:
        Run.objects.filter(pk=run.pk, lease_token=lease.token).update(faults=0)
    return delay


def _advance(lease: Lease, run: Run) -> float | None:
    if run.cancel_requested_at and run.state == RunState.QUEUED:
        _finish(lease, run, [], RunState.CANCELLED)
        return None
    target = target_of(run.deployment.environment)
    if run.state == RunState.QUEUED:
        _begin(lease, run, target)
    visit = Visit(lease, run, target)
    if run.cancel_requested_at:
        _cancel(lease, run, visit)
        return None
    visit.work()
    steps = visit.steps
    failed = next((step for step in steps if step.state == StepState.FAILED), None)
    busy = [step for step in steps if step.state == StepState.RUNNING]
    waiting = [step for step in steps if step.state == StepState.WAITING]
    if busy or (waiting and not failed):
        return max(min(visit.again, default=1.0), AT_LEAST)
    if failed:
        _finish(lease, run, steps, RunState.FAILED, error=failed.error_detail)
        return None
    if all(step.state == StepState.SUCCEEDED for step in steps):
        _finish(lease, run, steps, RunState.SUCCEEDED)
        return None
    return AT_LEAST


def _begin(lease: Lease, run: Run, target: Target) -> None:
    """Write the steps and start, in one transaction: a run is never half begun."""
    if run.kind != RunKind.DESTROY:
        check_rules(run.revision.spec, run.deployment.environment)
    graph = turns(kind=run.kind, target=target, run=run)
    with lease.writing():
        write_steps(run, graph)
        if run.kind == RunKind.RESTART:
            again = [turn.resource for turn in graph if turn.resource.restartable]
            for resource in again:
                ManagedResource.objects.filter(deployment=run.deployment, key=resource.key, name=resource.name).update(
                    generation=F("generation") + 1
                )
        text = f"{run.kind.capitalize()} of revision {run.revision.number} started"
        move_run(lease, run, RunState.RUNNING, lines=[("", "state", text)])


def _cancel(lease: Lease, run: Run, visit: Visit) -> None:
    """Stop what can be stopped; what exists stays, and the next run finds it."""
    for step in visit.steps:
        if step.state in (StepState.RUNNING, StepState.WAITING):
            here = visit.open(step)
            if here is not None:
                try:
                    here.resource.cancel(here.ctx)
                except ConsoleError as error:
                    visit.note(here, [(step.key, "error", str(error))])
    _finish(lease, run, visit.steps, RunState.CANCELLED)


def _finish(
    lease: Lease, run: Run, steps: Iterable[StepRecord], state: RunState, *, error: ErrorDetail | None = None
) -> None:
    """End the run and every step that is not over; a success sets what is live in the same transaction."""
    with lease.writing():
        for step in steps:
            if step.state in UNFINISHED_STEPS:
                move_step(lease, step, StepState.CANCELLED, lines=[])
        if state == RunState.SUCCEEDED:
            live = None if run.kind == RunKind.DESTROY else run.revision
            Deployment.objects.filter(pk=run.deployment_id).update(live_revision=live)
        text = f"{run.kind.capitalize()} of revision {run.revision.number} {state}"
        lines = [
            (
                "",
                "error" if state == RunState.FAILED else "state",
                f"{text}: {error.message}" if error else text,
            )
        ]
        move_run(lease, run, state, lines=lines, **({"error": error.as_dict()} if error else {}))


def _after_fault(lease: Lease, run: Run, error: Exception) -> float | None:
    run.refresh_from_db()
    if run.state not in ACTIVE_RUNS:
        return None
    if run.faults + 1 < FAULTS_BORNE:
        with lease.writing():
            Run.objects.filter(pk=run.pk).update(faults=F("faults") + 1)
        return AFTER_FAULT
    detail = ErrorDetail(
        code="console_fault",
        message=f"The console itself failed {FAULTS_BORNE} times in this run",
        cause=f"{type(error).__name__} in the worker; its log has the whole trace.",
        action="Send the worker's log to whoever runs the console, then retry.",
    )
    _finish(lease, run, run.steps.all(), RunState.FAILED, error=detail)
    return None
