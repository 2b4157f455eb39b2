"""Looks after what is live: drift is recorded, and a function of this machine that died is started again."""

from datetime import timedelta

from django.utils import timezone

from ..domain.errors import Conflict, ConsoleError
from ..domain.states import DeploymentStatus, RunKind
from ..models import Deployment, Revision, Run, Sighting
from ..models.environments import Environment
from ..policy import SYSTEM
from .binding import target_of
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
    revision = deployment.live_revision
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
    return _mend(deployment, sighting, found)


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


def _mend(deployment: Deployment, sighting: Sighting, plan: Plan) -> Run | None:
    """Start a dead function again. Only on this machine: elsewhere the provider restarts, and a person decides."""
    function = target_of(deployment.environment).function_key()
    dead = any(change.key == function and change.down for change in plan.changes)
    if deployment.environment.target != Environment.Kind.LOCAL or not dead or sighting.differs_since is None:
        return None
    if sighting.at - sighting.differs_since < SURE_AFTER or deployment.status != DeploymentStatus.LIVE:
        return None
    lately = Run.objects.filter(
        deployment=deployment, reason=FOUND_DEAD, created_at__gte=timezone.now() - PATIENCE
    ).count()
    if lately >= TRIES:
        return None
    try:
        return open_run(
            actor=SYSTEM,
            deployment=deployment,
            revision=sighting.revision,
            kind=RunKind.RESTART,
            reason=FOUND_DEAD,
        )
    except Conflict:
        return None  # somebody was quicker
