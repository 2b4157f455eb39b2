"""What is live is looked after: drift is recorded, a dead function of this machine is started again."""

from datetime import timedelta
from pathlib import Path

import pytest
from django.utils import timezone

from deployments.domain.states import RunKind, RunState
from deployments.engine import watch
from deployments.models import Deployment, Sighting
from tests.factories import deployment, finished, started

pytestmark = pytest.mark.django_db(transaction=True)


def live() -> Deployment:
    of = deployment()
    finished(started(of))
    return of.fresh()


def test_nothing_differs_and_nothing_happens(paper_world: Path) -> None:
    of = live()
    assert watch.due_for_a_look() == [of.pk]
    assert watch.look_at(of.pk) is None
    assert of.sighting.differences == []
    assert of.sighting.differs_since is None


def test_drift_is_recorded_with_its_beginning_and_ends_by_itself(paper_world: Path) -> None:
    of = live()
    file = next(paper_world.glob("*.cache.json"))
    kept = file.read_text()
    file.unlink()
    assert watch.look_at(of.pk) is None
    first = Sighting.objects.get(deployment=of)
    assert (first.differences[0]["key"], first.differences[0]["action"]) == ("cache", "create")
    watch.look_at(of.pk)
    assert Sighting.objects.get(deployment=of).differs_since == first.differs_since
    file.write_text(kept)
    watch.look_at(of.pk)
    assert Sighting.objects.get(deployment=of).differs_since is None


def test_elsewhere_a_dead_function_waits_for_a_person(paper_world: Path) -> None:
    of = live()
    next(paper_world.glob("*.function.json")).unlink()
    watch.look_at(of.pk)
    Sighting.objects.update(differs_since=timezone.now() - timedelta(minutes=1))
    assert watch.look_at(of.pk) is None


def test_a_run_under_way_is_not_disturbed(paper_world: Path) -> None:
    of = live()
    run = started(of, RunKind.RESTART)
    assert watch.due_for_a_look() == []
    assert watch.look_at(of.pk) is None
    assert finished(run).state == RunState.SUCCEEDED
