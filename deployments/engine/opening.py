"""Opens runs: the row, its first event and its place in the audit trail, in one transaction."""

from typing import Any

from django.db import IntegrityError, transaction
from django.utils import timezone

from .. import audit
from ..domain.errors import Conflict
from ..domain.states import RunKind
from ..models import Deployment, Revision, Run
from ..models.runs import append_events
from ..policy import Actor


def open_run(
    *, actor: Actor, deployment: Deployment, revision: Revision, kind: RunKind, reason: str = "", **more: Any
) -> Run:
    """Create a run that is due now. Raises Conflict while another one of the deployment is under way."""
    now = timezone.now()
    try:
        with transaction.atomic():
            Deployment.objects.select_for_update().get(pk=deployment.pk)
            run = Run.objects.create(
                deployment=deployment,
                revision=revision,
                kind=kind,
                reason=reason[:200],
                next_visit_at=now,
                created_at=now,
                created_by=actor.row,
                **more,
            )
            text = f"{kind.capitalize()} of revision {revision.number} asked for by {actor.name}"
            append_events(run.pk, [("", "state", f"{text}: {reason}" if reason else text)], now=now)
            audit.record(
                actor,
                kind,
                f"{deployment.name} revision {revision.number}",
                environment=deployment.environment,
                reason=reason,
            )
    except IntegrityError:
        active = deployment.active_run()
        raise Conflict(
            f"{active or 'Another run'} of {deployment.name} is under way",
            cause="A deployment has one run at a time.",
            action="Wait for it, or cancel it.",
        ) from None
    return run
