"""Looks after what is live: drift is recorded, and what died on this machine is started again."""

from datetime import timedelta

from django.db import transaction
from django.utils import timezone

from ..domain.errors import Conflict, ConsoleError
from ..domain.states import DeploymentStatus, RunKind
from ..models import Deployment, Revision, Run, Sighting
from ..models.environments import Environment
from ..policy import SYSTEM
from .opening import open_run
from .plan import Change, Plan, plan_deploy

SURE_AFTER = timedelta(seconds=10)  # a single bad look may be a slow answer
TRIES = 3  # automatic restarts within PATIENCE; after that a person has to look
PATIENCE = timedelta(minutes=15)
FOUND_DEAD = "restart: found not working"


def due_for_a_look() -> list[int]:
    """Deployments that serve and have no run under way."""
    live = Deployment.objects.with_facts().exclude(live_revision=None)
    return [found.pk for found in live if found.status in (DeploymentStatus.LIVE, DeploymentStatus.DEGRADED)]


def look_at(deployment_id: int) -> Run | None:
    """Compare one live deployment with its revision; returns the run that was opened to mend it, if one was."""
    deployment = (
        Deployment.objects.with_facts().select_related("environment", "live_revision").filter(pk=deployment_id).first()
    )
    if deployment is None or deployment.live_revision is None or deployment.active_run():
        return None
    revision, newest = deployment.live_revision, _newest_run(deployment)
    try:
        found = plan_deploy(
            environment=deployment.environment,
            spec=revision.spec,
            name=deployment.name,
            deployment=deployment,
        )
    except (ConsoleError, OSError) as error:
        _record(deployment, revision, [], error=str(error))
        return None
    sighting = _record(deployment, revision, _differences(found), error="")
    return _mend(deployment, sighting, found, seen_after=newest)


def _differences(plan: Plan) -> list[dict[str, str]]:
    return [
        {"key": change.key, "title": change.title, "action": change.action, "why": change.why}
        for change in plan.changes
        if change.action not in (Change.UNCHANGED, Change.KEEP)
    ]


def _record(deployment: Deployment, revision: Revision, differences: list[dict[str, str]], *, error: str) -> Sighting:
    now = timezone.now()
    before = Sighting.objects.filter(deployment=deployment, revision=revision).first()
    since = (before.differs_since if before else None) or now
    sighting, _ = Sighting.objects.update_or_create(
        deployment=deployment,
        defaults={
            "revision": revision,
            "at": now,
            "differences": differences,
            "error": error[:400],
            "differs_since": since if differences else None,
        },
    )
    return sighting


def _newest_run(deployment: Deployment) -> int | None:
    return deployment.runs.order_by("-pk").values_list("pk", flat=True).first()


def _mend(deployment: Deployment, sighting: Sighting, plan: Plan, *, seen_after: int | None) -> Run | None:
    """Start again what died. Only on this machine: elsewhere the provider restarts, and a person decides."""
    down = any(change.down for change in plan.changes)
    if deployment.environment.target != Environment.Kind.LOCAL or not down or sighting.differs_since is None:
        return None
    if sighting.at - sighting.differs_since < SURE_AFTER or deployment.last_kind == RunKind.DESTROY:
        return None
    lately = Run.objects.filter(
        deployment=deployment, reason=FOUND_DEAD, created_at__gte=timezone.now() - PATIENCE
    ).count()
    if lately >= TRIES:
        return None
    try:
        with transaction.atomic():
            Deployment.objects.select_for_update().get(pk=deployment.pk)
            if _newest_run(deployment) != seen_after:
                return None  # somebody acted while we looked
            return open_run(
                actor=SYSTEM,
                deployment=deployment,
                revision=sighting.revision,
                kind=RunKind.RESTART,
                reason=FOUND_DEAD,
            )
    except Conflict:
        return None  # somebody was quicker
