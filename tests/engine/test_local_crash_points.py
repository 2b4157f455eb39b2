"""On this machine too: a worker killed at every point of a deploy and of a destroy leaves one of each, then nothing."""

import os
import pickle
import sys
import time
from datetime import timedelta
from functools import partial
from pathlib import Path
from types import ModuleType

import psutil
import pytest
from django.conf import settings
from django.utils import timezone

from deployments.domain.states import RunKind, RunState
from deployments.engine import runner
from deployments.models import Deployment, Run
from deployments.services.deployments import create_deployment
from deployments.targets.local import stop_all
from tests import factories
from tests.engine.crashing import crashed_at
from tests.factories import started

pytestmark = pytest.mark.django_db(transaction=True)

# Real servers take their time: all points are minutes of work, so a test run takes some of them,
# and `CRASH_POINTS=all bin/test tests/engine/test_local_crash_points.py` takes every one.
EVERY = 1 if os.environ.get("CRASH_POINTS") == "all" else 13

# A model without scikit-learn: what is tried here is processes, not predictions.
TINY = b"""
class Tiny:
    n_features_in_ = 4

    def predict(self, X):
        return [float(sum(row)) for row in X]
"""


def test_deploy_and_destroy() -> None:
    root = Path(settings.LOCAL_TARGET_ROOT)
    environment = factories.environment("local", target="local")
    code = factories.artifact(TINY, "tiny.py")
    model = factories.artifact(a_tiny_model(), "tiny.pkl")
    spec = factories.spec(
        model={"artifact": model.pk},
        code={"artifact": code.pk},
        cache={"max_memory_mb": 16},
        hosting={"processes": 1},
        execution="original",  # what a builder does in between is no point of the engine's
    )
    point, deploy_died, destroy_died = 0, True, True
    try:
        while deploy_died or destroy_died:
            of = create_deployment(
                actor=factories.administrator(), name=f"d{point}", environment=environment, spec=spec
            )
            deploy_died = killed_and_carried_on(started(of), point, root)
            assert programs(root, of) == ["cache", "function"], point
            destroy_died = killed_and_carried_on(started(of.fresh(), RunKind.DESTROY), point, root)
            assert programs(root, of) == [], point
            assert not (root / of.base_name).exists(), point
            assert not of.resources.exists(), point
            point += EVERY
    finally:
        stop_all(root)
    assert point > 30, "the child must have passed the points of three steps"


def killed_and_carried_on(run: Run, point: int, root: Path) -> bool:
    """Kill the worker at its `point`-th point and let another one end the run; False if it has fewer points."""
    died = crashed_at(point, root, partial(carry_on, run))
    Run.objects.exclude(lease_token="").update(lease_expires_at=timezone.now() - timedelta(seconds=1))
    carry_on(run)
    run = Run.objects.get(pk=run.pk)
    assert run.state == RunState.SUCCEEDED, (point, run.kind, run.error)
    return died


def carry_on(run: Run) -> None:
    end = time.monotonic() + 90
    while time.monotonic() < end:
        Run.objects.filter(pk=run.pk).update(next_visit_at=run.created_at)
        delay = runner.advance(run.pk)
        if delay is None:
            return
        time.sleep(min(delay, 0.1))
    raise AssertionError("the run did not end by itself")


def programs(root: Path, of: Deployment) -> list[str]:
    """Which of a deployment's programs run, one name for each: the Redis server, and whoever listens for requests."""
    folder = str(root / of.base_name)
    found = []
    for process in psutil.process_iter(["cmdline", "cwd"]):
        told = " ".join([*(process.info["cmdline"] or []), process.info["cwd"] or ""])
        if folder not in told:
            continue
        if "redis-server" in told or "valkey-server" in told:
            found.append("cache")
        elif "targets.local.serve" in told or "local/serve" in told:
            found.append("function")
    return sorted(found)


def a_tiny_model() -> bytes:
    module = ModuleType("tiny")
    exec(TINY.replace(b"class Tiny:", b"__name__ = 'tiny'\nclass Tiny:"), module.__dict__)
    sys.modules["tiny"] = module
    try:
        return pickle.dumps(module.Tiny())
    finally:
        del sys.modules["tiny"]
