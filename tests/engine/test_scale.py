"""Two real workers: two hundred runs at once, rings that come often or never, and workers killed under them."""

import json
from collections import Counter
from pathlib import Path

import pytest
from django.db.models import Max

from deployments.domain.states import RunKind, RunState, StepState
from deployments.models import Deployment, Run, StepRecord
from deployments.services.runs import start_run
from tests import factories
from tests.engine.workers import NAMES, Workers, eventually

pytestmark = pytest.mark.django_db(transaction=True)

RUNS = 200
LATEST = 5.0  # seconds
STILL_WAITING = 10
SLOW = {"create_seconds": {"cache": 3.0, "image": 3.0, "function": 3.0}, "settle": 1.0, "poll": 6.0}

LOOKED_AT_OFTEN = {"create_seconds": {"cache": 8.0, "image": 4.0, "function": 2.0}, "poll": 0.1}


def deployments(count: int, **parts: object) -> list[Deployment]:
    actor, environment, spec = factories.administrator(), factories.environment(), factories.spec(**parts)
    return [
        factories.create_deployment(actor=actor, name=f"d{number}", environment=environment, spec=spec)
        for number in range(count)
    ]


def start(workers: Workers, of: Deployment, *, rings: int) -> None:
    run = start_run(actor=factories.administrator(), deployment=of, kind=RunKind.DEPLOY)
    workers.ring([run.pk], times=rings)


def states() -> Counter[str]:
    return Counter(Run.objects.values_list("state", flat=True))


def held() -> set[str]:
    """The tokens of visits that have begun and not ended."""
    return set(Run.objects.exclude(lease_token="").values_list("lease_token", flat=True))


def waiting() -> list[str]:
    """The files that a person has to make, for the steps that wait for one."""
    found = StepRecord.objects.filter(state=StepState.WAITING).order_by("pk")
    return [text.removeprefix("Create ") for text in found.values_list("waiting_action", flat=True)]


def writes(world: Path) -> Counter[int]:
    return Counter(json.loads(path.read_text())["writes"] for path in world.glob("*.json"))


@pytest.mark.alone
def test_two_hundred_runs_at_once(redis_server: str, tmp_path: Path, paper_world: Path) -> None:
    made = deployments(RUNS, tags={"paper-fault": "cache=waiting"})
    with Workers(broker=redis_server, home=tmp_path, paper=SLOW) as workers:

        def told() -> str:
            return f"{states()}, {len(waiting())} wait\n{workers.log()}"

        for number, of in enumerate(made):
            start(workers, of, rings=5)
            if number == RUNS // 2:
                workers.lose_all_rings()
        # All of them are under way and wait for a person, and two processes still have time for each.
        eventually(lambda: len(waiting()) == RUNS, seconds=60, why=told)
        assert states() == {RunState.RUNNING: RUNS}
        workers.lose_all_rings()
        for name in waiting()[:-STILL_WAITING]:
            (paper_world / name).touch()
        over = {RunState.SUCCEEDED: RUNS - STILL_WAITING, RunState.RUNNING: STILL_WAITING}
        eventually(lambda: states() == over, seconds=60, why=told)
        for name in waiting():
            (paper_world / name).touch()
        eventually(lambda: states() == {RunState.SUCCEEDED: RUNS}, seconds=60, why=told)
    assert writes(paper_world) == {1: 3 * RUNS}, "each resource is written exactly once"
    latest = Run.objects.aggregate(latest=Max("lateness"))["latest"]
    assert latest < LATEST


def test_workers_killed_three_times_in_a_row(redis_server: str, tmp_path: Path, paper_world: Path) -> None:
    made = deployments(10)
    with Workers(broker=redis_server, home=tmp_path, paper=LOOKED_AT_OFTEN) as workers:
        for of in made:
            start(workers, of, rings=1)
        cut_short: set[str] = set()
        for _ in range(3):
            workers.stop_in(lambda: bool(held() - cut_short))
            for name in NAMES:
                workers.kill_and_start(name)
            cut_short.update(held())
        assert len(cut_short) >= 3, "they have to be killed in the middle of visits"
        eventually(lambda: states() == {RunState.SUCCEEDED: 10}, seconds=120, why=workers.log)
    assert writes(paper_world) == {1: 30}, "each resource is written exactly once"
