"""A state moves only where its table allows, together with its event, and only under the lease."""

import itertools

import pytest

from deployments.domain.errors import IllegalMove
from deployments.domain.states import RUN_MOVES, STEP_MOVES, RunState, StepState
from deployments.engine.lease import Lease, LeaseLost, claim
from deployments.engine.moves import move_run, move_step
from deployments.models import Run, StepRecord
from tests.factories import deployment, started

pytestmark = pytest.mark.django_db


@pytest.fixture
def lease() -> Lease:
    found = claim(started(deployment()).pk)
    assert found is not None
    return found


def test_runs(lease: Lease) -> None:
    for before, to in itertools.product(RunState, RunState):
        Run.objects.filter(pk=lease.run_id).update(state=before)
        run = Run.objects.get(pk=lease.run_id)
        if to in RUN_MOVES[before]:
            move_run(lease, run, to, lines=[("", "state", f"{before} to {to}")])
            assert run.events.order_by("-seq")[0].message == f"{before} to {to}"
        else:
            with pytest.raises(IllegalMove):
                move_run(lease, run, to, lines=[("", "state", "never told")])
        run.refresh_from_db()
        assert run.state == (to if to in RUN_MOVES[before] else before)
    assert not run.events.filter(message="never told").exists()


def test_steps(lease: Lease) -> None:
    made = StepRecord.objects.create(run_id=lease.run_id, key="cache", resource_key="cache", kind="k", name="n")
    for before, to in itertools.product(StepState, StepState):
        StepRecord.objects.filter(pk=made.pk).update(state=before)
        step = StepRecord.objects.get(pk=made.pk)
        if to in STEP_MOVES[before]:
            move_step(lease, step, to, lines=[])
        else:
            with pytest.raises(IllegalMove):
                move_step(lease, step, to, lines=[])
        step.refresh_from_db()
        assert step.state == (to if to in STEP_MOVES[before] else before)


def test_of_two_who_move_the_same_one_is_refused(lease: Lease) -> None:
    first, second = (Run.objects.get(pk=lease.run_id) for _ in range(2))
    move_run(lease, first, RunState.RUNNING, lines=[])
    with pytest.raises(IllegalMove, match="no longer"):
        move_run(lease, second, RunState.CANCELLED, lines=[])


def test_what_follows_a_lost_lease_is_not_written(lease: Lease) -> None:
    run = Run.objects.get(pk=lease.run_id)
    with pytest.raises(LeaseLost), Lease(run.pk, "another").writing():
        move_run(lease, run, RunState.RUNNING, lines=[])
    run.refresh_from_db()
    assert run.state == RunState.QUEUED
