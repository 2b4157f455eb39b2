"""The one way a state changes: legal by its table, under the lease, with its event in the same transaction."""

from typing import Any

from django.utils import timezone

from ..domain.errors import IllegalMove
from ..domain.states import FINISHED_RUNS, RUN_MOVES, STEP_MOVES, UNFINISHED_STEPS, RunState, StepState
from ..models import Run, StepRecord
from ..models.runs import append_events
from .lease import Lease

Line = tuple[str, str, str]
"""An event to be: step key, level, message."""


def move_run(lease: Lease, run: Run, to: RunState, *, lines: list[Line], **changes: Any) -> None:
    """Move a run and write its events; inside `lease.writing()` of the caller. Raises IllegalMove."""
    before = RunState(run.state)
    if to not in RUN_MOVES[before]:
        raise IllegalMove(f"run {run.pk}: {before} to {to}")
    now = timezone.now()
    if before == RunState.QUEUED:
        changes.setdefault("started_at", now)
    if to in FINISHED_RUNS:
        changes.setdefault("finished_at", now)
    _compare_and_set(run, before, to, changes)
    append_events(lease.run_id, lines, now=now)


def move_step(lease: Lease, step: StepRecord, to: StepState, *, lines: list[Line], **changes: Any) -> None:
    """Move a step and write its events; inside `lease.writing()` of the caller. Raises IllegalMove."""
    before = StepState(step.state)
    if to not in STEP_MOVES[before]:
        raise IllegalMove(f"step {step.key} of run {lease.run_id}: {before} to {to}")
    now = timezone.now()
    if before == StepState.QUEUED and to == StepState.RUNNING:
        changes.setdefault("started_at", now)
    if to not in UNFINISHED_STEPS and (step.started_at or "started_at" in changes):
        changes.setdefault("finished_at", now)
    _compare_and_set(step, before, to, changes)
    append_events(lease.run_id, lines, now=now)


def _compare_and_set(row: Run | StepRecord, before: str, to: str, changes: dict[str, Any]) -> None:
    moved = type(row)._default_manager.filter(pk=row.pk, state=before).update(state=to, **changes)
    if not moved:
        raise IllegalMove(f"{row!r} is no longer {before}")
    row.state = to
    for name, value in changes.items():
        setattr(row, name, value)
