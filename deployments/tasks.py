"""Celery tasks: the doorbell. Ids only; a ring that comes twice or too late does nothing."""

import os
import socket

from celery import shared_task
from django.utils import timezone

from .engine import runner, watch
from .models import Invocation, Run, WorkerSeen

SOON = 2.0  # seconds: a later visit is left to the beat


@shared_task(name="deployments.tasks.ring", ignore_result=True, expires=30)
def ring(run_id: int) -> None:
    """Visit one run, and ring again soon if it wants that."""
    delay = runner.advance(run_id)
    if delay is not None and delay < SOON:
        ring.apply_async((run_id,), countdown=delay, expires=delay + 30)


@shared_task(name="deployments.tasks.ring_due", ignore_result=True, expires=5)
def ring_due() -> None:
    """Ring every run that is due: what makes lost rings, dead workers and restarts harmless."""
    now = timezone.now()
    name = f"{socket.gethostname()}:{os.getpid()}"
    WorkerSeen.objects.update_or_create(name=name, defaults={"at": now})
    run_ids = list(Run.objects.to_ring(now).values_list("pk", flat=True))
    Run.objects.filter(pk__in=run_ids).update(rung_at=now)
    for run_id in run_ids:
        ring.apply_async((run_id,))


@shared_task(name="deployments.tasks.look_around", ignore_result=True, expires=10)
def look_around() -> None:
    """Have every live deployment looked at."""
    for deployment_id in watch.due_for_a_look():
        look_at.apply_async((deployment_id,))


@shared_task(name="deployments.tasks.look_at", ignore_result=True, expires=10)
def look_at(deployment_id: int) -> None:
    """Look at one live deployment, and ring for the run that mends it, if it needs one."""
    run = watch.look_at(deployment_id)
    if run is not None:
        ring.apply_async((run.pk,))


@shared_task(name="deployments.tasks.forget_calls", ignore_result=True, expires=600)
def forget_calls() -> None:
    """Delete the test calls that were kept as long as their deployment wants."""
    Invocation.objects.overdue(timezone.now()).delete()
