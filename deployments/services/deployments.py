"""Deployments and revisions: defined, changed, forgotten."""

from typing import Any

from django.conf import settings
from django.db import IntegrityError, transaction

from .. import audit
from ..domain.errors import Conflict, SpecInvalid, Stale
from ..domain.names import SLUG_RULE, is_slug
from ..domain.spec import Spec
from ..domain.states import DeploymentStatus
from ..engine.rules import check_rules
from ..models import Deployment, Environment, Revision
from ..packaging.scoring import scoring_version
from ..policy import Actor, Verb
from .access import require
from .artifacts import usable_artifacts


def create_deployment(
    *, actor: Actor, name: str, environment: Environment, spec: Spec, description: str = "", note: str = ""
) -> Deployment:
    """Define a deployment and its first revision; nothing outside changes before a run.

    Raises NotAllowed, SpecInvalid, SecretUnavailable, or Conflict for a name that is taken.
    """
    require(actor, Verb.DEPLOY, environment, subject=name)
    if not is_slug(name):
        raise SpecInvalid([("name", SLUG_RULE)])
    check(spec, environment, actor=actor)
    try:
        with transaction.atomic():
            deployment = Deployment.objects.create(
                name=name, environment=environment, description=description, created_by=actor.user
            )
            _add_revision(deployment, spec, number=1, actor=actor, note=note)
            audit.record(actor, "create_deployment", name, environment=environment, reason=note)
    except IntegrityError:
        raise Conflict(
            f"The name {name} is taken",
            cause="Names are unique in the whole console, also in environments that you do not see.",
            action="Choose another name, or change the deployment that has it.",
            field="name",
        ) from None
    return deployment


def change_deployment(
    *,
    actor: Actor,
    deployment: Deployment,
    spec: Spec,
    note: str = "",
    description: str | None = None,
    expected_revision: int | None = None,
) -> Revision | None:
    """Add a revision; None when the Spec equals the newest one's. The description has no revisions.

    Raises NotAllowed, SpecInvalid, SecretUnavailable, or Stale when the newest revision is not the expected one.
    """
    require(actor, Verb.DEPLOY, deployment.environment, subject=deployment.name)
    check(spec, deployment.environment, actor=actor)
    with transaction.atomic():
        locked = Deployment.objects.select_for_update().get(pk=deployment.pk)
        latest = locked.latest_revision()
        if expected_revision is not None and latest.number != expected_revision:
            raise Stale(
                f"{locked.name} is at revision {latest.number}, not {expected_revision}",
                cause="Somebody changed it after you read it.",
                action="Read it again, and make your change to what it is now.",
            )
        if description is not None and description != locked.description:
            locked.description = description
            locked.save(update_fields=["description"])
            audit.record(actor, "describe", locked.name, environment=deployment.environment)
        if latest.spec.digest() == spec.digest() and latest.scoring_version == scoring_version(
            settings.SCORING_IMAGE_ROOT
        ):
            return None
        revision = _add_revision(locked, spec, number=latest.number + 1, actor=actor, note=note)
        audit.record(
            actor,
            "change",
            f"{locked.name} revision {revision.number}",
            environment=deployment.environment,
            reason=note,
        )
    return revision


def forget_deployment(*, actor: Actor, deployment: Deployment) -> None:
    """Delete the records of a deployment of which nothing exists any more. Raises Conflict otherwise."""
    require(actor, Verb.DEPLOY, deployment.environment, subject=deployment.name)
    with transaction.atomic():
        # A run that starts meanwhile waits for this lock, and then finds nothing to run.
        Deployment.objects.select_for_update().get(pk=deployment.pk)
        if deployment.resources.exists() or deployment.active_run():
            raise Conflict(
                f"{deployment.name} still has resources",
                cause="Forgetting it would leave them behind without an owner.",
                action="Destroy it first; then it can be forgotten.",
            )
        audit.record(actor, "forget", deployment.name, environment=deployment.environment)
        deployment.delete()


def check(spec: Spec, environment: Environment, *, actor: Actor) -> None:
    """Hold a Spec against the environment, the target and the files that the actor may use.

    Raises SpecInvalid or SecretUnavailable.
    """
    check_rules(spec, environment)
    usable = set(usable_artifacts(actor).filter(pk__in=spec.artifact_ids()).values_list("pk", flat=True))
    missing = [digest for digest in spec.artifact_ids() if digest not in usable]
    if missing:
        raise SpecInvalid(
            [(_path_of(spec, missing[0]), "no file with this id that you may use was uploaded; upload it first")]
        )


def may_forget(deployment: Deployment) -> bool:
    return deployment.status in (DeploymentStatus.DESTROYED, DeploymentStatus.NEW) and not deployment.resources.exists()


def _path_of(spec: Spec, digest: str) -> str:
    if spec.model.artifact == digest:
        return "model.artifact"
    return "code.artifact" if spec.code and spec.code.artifact == digest else "runtime.wheels"


def _add_revision(deployment: Deployment, spec: Spec, *, number: int, actor: Actor, note: str) -> Revision:
    data: dict[str, Any] = spec.dump()
    return Revision.objects.create(
        deployment=deployment,
        number=number,
        spec_data=data,
        spec_digest=spec.digest(),
        scoring_version=scoring_version(settings.SCORING_IMAGE_ROOT),
        note=note,
        created_by=actor.user,
    )
