"""Rows for tests, made through the services where there is one."""

import hashlib
from typing import Any

from django.contrib.auth import get_user_model
from django.db import transaction

from deployments.domain.spec import Spec
from deployments.domain.states import RunKind
from deployments.engine import runner
from deployments.models import Artifact, Deployment, Environment, Run
from deployments.policy import Actor
from deployments.services.artifacts import upload_artifact
from deployments.services.deployments import create_deployment
from deployments.services.runs import start_run

PASSWORD = "correct horse battery"


def administrator(name: str = "root") -> Actor:
    user = get_user_model().objects.filter(username=name).first()
    if user is None:
        user = get_user_model().objects.create_superuser(name, password=PASSWORD)
    return Actor(user, via="test")


def member(name: str, environment: Environment, role: str) -> Actor:
    user, _ = get_user_model().objects.get_or_create(username=name)
    user.set_password(PASSWORD)
    user.save()
    environment.memberships.update_or_create(user=user, defaults={"role": role})
    return Actor(user, via="test")


def environment(name: str = "paper", target: str = "paper", **rules: Any) -> Environment:
    found, _ = Environment.objects.get_or_create(name=name, defaults={"target": target, "config": rules})
    return found


def artifact(content: bytes = b"\x80\x04a model", name: str = "model.joblib") -> Artifact:
    """An uploaded file; its bytes are what they are, nothing of the console opens them."""
    known = Artifact.objects.filter(pk=hashlib.sha256(content).hexdigest()).first()
    return known or upload_artifact(actor=administrator(), name=name, chunks=[content])[0]


def spec(**parts: Any) -> Spec:
    return Spec.load({"model": {"artifact": artifact().pk}, **parts})


def deployment(name: str = "iris", **parts: Any) -> Deployment:
    return create_deployment(actor=administrator(), name=name, environment=environment(), spec=spec(**parts))


def started(of: Deployment, kind: RunKind = RunKind.DEPLOY, **more: Any) -> Run:
    """A run that is committed and due; nobody has visited it."""
    with transaction.atomic():
        return start_run(actor=administrator(), deployment=of, kind=kind, confirm=of.name, **more)


def finished(run: Run, *, visits: int = 200) -> Run:
    """Visit a run, without waiting for its clock, until it is over."""
    for _ in range(visits):
        Run.objects.filter(pk=run.pk).update(next_visit_at=run.created_at)
        runner.advance(run.pk)
        run.refresh_from_db()
        if run.is_over:
            return run
    steps = list(run.steps.values("key", "state", "detail"))
    raise AssertionError(f"{run} is {run.state} after {visits} visits: {steps}")
