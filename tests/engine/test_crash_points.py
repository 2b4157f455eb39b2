"""Killed at every point of a deploy and of a destroy, a run ends right and each resource exists once."""

import json
import time
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import pytest
from django.utils import timezone

from deployments.domain.states import RunKind, RunState
from deployments.engine import runner
from deployments.models import Run
from tests.engine.crashing import crashed_at
from tests.factories import deployment, finished, started

pytestmark = pytest.mark.django_db(transaction=True)


def until_over(run: Run) -> Callable[[], None]:
    def work() -> None:
        for _ in range(200):
            delay = runner.advance(run.pk)
            if delay is None:
                return
            time.sleep(delay)
            Run.objects.filter(pk=run.pk).update(next_visit_at=run.created_at)
        raise AssertionError("the run did not end by itself")

    return work


def lease_lapses(run: Run) -> None:
    Run.objects.filter(pk=run.pk).exclude(lease_token="").update(lease_expires_at=timezone.now() - timedelta(seconds=1))


def world_of(world: Path, uid: str) -> dict[str, int]:
    return {path.name.split(".")[1]: json.loads(path.read_text())["writes"] for path in world.glob(f"*{uid}.*.json")}


def test_deploy(paper_world: Path) -> None:
    point, died = 0, True
    while died:
        of = deployment(f"d{point}")
        run = started(of)
        died = crashed_at(point, paper_world, until_over(run))
        lease_lapses(run)
        run.refresh_from_db()
        assert run.is_over or died
        if not run.is_over:
            finished(run)
        assert run.state == RunState.SUCCEEDED, (point, run.error)
        assert world_of(paper_world, of.uid) == {"cache": 1, "image": 1, "function": 1}, point
        assert sorted(of.resources.values_list("key", flat=True)) == ["cache", "function", "image"]
        assert of.fresh().live_revision_id == run.revision_id
        numbers = list(run.events.values_list("seq", flat=True))
        assert numbers == list(range(1, len(numbers) + 1))
        point += 1
    assert point > 60, "the child must have passed the points of three steps"


def test_destroy(paper_world: Path) -> None:
    point, died = 0, True
    while died:
        of = deployment(f"d{point}")
        finished(started(of))
        run = started(of, RunKind.DESTROY)
        died = crashed_at(point, paper_world, until_over(run))
        lease_lapses(run)
        run.refresh_from_db()
        if not run.is_over:
            finished(run)
        assert run.state == RunState.SUCCEEDED, (point, run.error)
        assert world_of(paper_world, of.uid) == {}, point
        assert not of.resources.exists()
        assert of.fresh().live_revision_id is None
        point += 1
    assert point > 40
