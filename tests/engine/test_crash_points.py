"""Killed at every point of a deploy, a destroy and a restart, a run ends right and each resource exists once."""

import json
import time
from collections.abc import Iterator
from datetime import timedelta
from functools import partial
from pathlib import Path

import pytest
from django.utils import timezone

from deployments.domain.states import RunKind, RunState
from deployments.engine import runner
from deployments.models import Deployment, Run
from tests.engine.crashing import Snapshot, crashed_at
from tests.factories import deployment, finished, started

pytestmark = pytest.mark.django_db(transaction=True)


def survivors(run: Run, world: Path) -> Iterator[tuple[int, Run]]:
    """The run, carried to its end after a kill at each of its points, and at last without one."""
    snapshot = Snapshot(world)
    point, died = 0, True
    while died:
        snapshot.restore()
        died = crashed_at(point, world, partial(carry_on, run))
        run = Run.objects.get(pk=run.pk)
        assert run.is_over or died
        # The dead child's lease would lapse by itself in half a minute.
        Run.objects.exclude(lease_token="").update(lease_expires_at=timezone.now() - timedelta(seconds=1))
        carry_on(run)
        yield point, Run.objects.get(pk=run.pk)
        point += 1


def carry_on(run: Run) -> None:
    for _ in range(200):
        Run.objects.filter(pk=run.pk).update(next_visit_at=run.created_at)
        delay = runner.advance(run.pk)
        if delay is None:
            return
        time.sleep(0.01)  # about as long as the pretended world takes for anything
    raise AssertionError("the run did not end by itself")


def writes(world: Path) -> dict[str, int]:
    return {path.name.split(".")[1]: json.loads(path.read_text())["writes"] for path in world.glob("*.json")}


def assert_told_in_order(run: Run) -> None:
    numbers = list(run.events.values_list("seq", flat=True))
    assert numbers == list(range(1, len(numbers) + 1))


def test_deploy(paper_world: Path) -> None:
    of = deployment()
    for point, run in survivors(started(of), paper_world):
        assert run.state == RunState.SUCCEEDED, (point, run.error)
        assert writes(paper_world) == {"cache": 1, "image": 1, "function": 1}, point
        assert sorted(of.resources.values_list("key", flat=True)) == ["cache", "function", "image"]
        assert Deployment.objects.get().live_revision_id == run.revision_id
        assert_told_in_order(run)
    assert point > 40, "the child must have passed the points of three steps"


def test_destroy(paper_world: Path) -> None:
    of = deployment()
    finished(started(of))
    for point, run in survivors(started(of, RunKind.DESTROY), paper_world):
        assert run.state == RunState.SUCCEEDED, (point, run.error)
        assert writes(paper_world) == {}, point
        assert not of.resources.exists()
        assert Deployment.objects.get().live_revision_id is None
        assert_told_in_order(run)
    assert point > 30


def test_restart(paper_world: Path) -> None:
    of = deployment()
    finished(started(of))
    for point, run in survivors(started(of.fresh(), RunKind.RESTART), paper_world):
        assert run.state == RunState.SUCCEEDED, (point, run.error)
        assert writes(paper_world) == {"cache": 1, "image": 1, "function": 2}, point
        assert of.resources.get(key="function").generation == 1, point
        assert_told_in_order(run)
    assert point > 20
