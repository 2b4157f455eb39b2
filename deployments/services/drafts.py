"""The wizard's drafts: kept for their owner alone, and deployed in one go when their plan is approved."""

from collections.abc import Iterable
from typing import Any

from django.db import transaction
from django.db.models import Q, QuerySet

from .. import policy
from ..domain.errors import Conflict, NotFound
from ..domain.spec import Spec
from ..domain.states import RunKind
from ..engine.plan import Plan
from ..models import Artifact, Deployment, Draft, Environment, Run
from ..policy import Actor, Verb
from . import plans
from .access import environments, require
from .artifacts import usable_artifacts
from .deployments import change_deployment, create_deployment
from .runs import start_run

OFFERED_UPLOADS = 50


class LossNotAccepted(Conflict):
    """The plan loses something for good, and nobody has said that they know."""

    code = "loss_not_accepted"

    def __init__(self, plan: Plan) -> None:
        super().__init__(
            "The plan loses something for good",
            cause=" ".join(plan.irreversible),
            action="Say that you know it, or change the definition.",
            field="accepted",
        )


def drafts(actor: Actor) -> QuerySet[Draft]:
    """The actor's own drafts, newest first; nobody else sees them, administrators neither."""
    return Draft.objects.filter(owner_id=actor.user.pk).select_related("deployment")


def draft(actor: Actor, draft_id: int) -> Draft:
    """One draft of the actor's own. Raises NotFound."""
    found = drafts(actor).select_related("deployment__environment").filter(pk=draft_id).first()
    if found is None:
        raise NotFound(
            f"There is no draft {draft_id} of yours.", action="It may have been deployed or discarded already."
        )
    return found


def create_draft(*, actor: Actor, data: dict[str, Any]) -> Draft:
    """Begin a draft of a new deployment. Raises NotAllowed for who is a deployer nowhere."""
    require_deployer(actor)
    return Draft.objects.create(owner=actor.user, data=data)


def change_draft(*, actor: Actor, deployment: Deployment, data: dict[str, Any]) -> tuple[Draft, bool]:
    """The actor's draft of a change, begun with the data where there is none yet; and whether it is new.

    Raises NotAllowed.
    """
    require(actor, Verb.DEPLOY, deployment.environment, subject=deployment.name)
    with transaction.atomic():
        found = drafts(actor).filter(deployment=deployment).first()
        if found is not None:
            return found, False
        return Draft.objects.create(owner=actor.user, deployment=deployment, data=data), True


def save_draft(*, actor: Actor, draft: Draft, data: dict[str, Any]) -> None:
    """Keep what was filled in, valid or not. Raises NotFound for somebody else's."""
    _own(actor, draft)
    draft.data = data
    draft.save(update_fields=["data", "updated_at"])


def discard_draft(*, actor: Actor, draft: Draft) -> None:
    """Forget a draft; uploaded files stay. Raises NotFound for somebody else's."""
    _own(actor, draft)
    draft.delete()


def deploy_draft(
    *,
    actor: Actor,
    draft: Draft,
    name: str,
    environment: Environment,
    spec: Spec,
    approved_plan: str,
    loss_accepted: bool = False,
    description: str = "",
    note: str = "",
) -> Run:
    """Create or change the deployment and start its deploy run; all of it or nothing, and the draft is gone.

    Raises PlanChanged when the plan's digest is not the approved one, LossNotAccepted when it loses something
    for good, and what `create_deployment`, `change_deployment` and `start_run` raise.
    """
    _own(actor, draft)
    deployment = draft.deployment
    # Observing takes its time and reaches outside, so it has no place in the transaction.
    plan = plans.plan(actor=actor, environment=environment, spec=spec, name=name, deployment=deployment)
    if plan.digest != approved_plan:
        raise plans.PlanChanged(plan)
    if plan.irreversible and not loss_accepted:
        raise LossNotAccepted(plan)
    with transaction.atomic():
        if deployment is None:
            deployment = create_deployment(
                actor=actor, name=name, environment=environment, spec=spec, description=description, note=note
            )
        else:
            change_deployment(actor=actor, deployment=deployment, spec=spec, note=note)
            if description != deployment.description:
                deployment.description = description
                deployment.save(update_fields=["description"])
        run = start_run(
            actor=actor, deployment=deployment, kind=RunKind.DEPLOY, reason=note, approved_plan=approved_plan
        )
        draft.delete()
    return run


def require_deployer(actor: Actor) -> None:
    """Raise NotAllowed for who may deploy nowhere."""
    require(actor, Verb.UPLOAD, subject="a new deployment")


def deployable_environments(actor: Actor) -> list[Environment]:
    """Where the actor may deploy."""
    return [found for found in environments(actor) if policy.may(actor, Verb.DEPLOY, found)]


def own_uploads(actor: Actor, *, also: Iterable[str] = ()) -> list[Artifact]:
    """The newest files that the actor uploaded, and those named by their digests."""
    own = Artifact.objects.filter(uploads__user_id=actor.user.pk).values_list("pk", flat=True)[:OFFERED_UPLOADS]
    return list(usable_artifacts(actor).filter(Q(pk__in=list(own)) | Q(pk__in=list(also))))


def _own(actor: Actor, draft: Draft) -> None:
    if draft.owner_id != actor.user.pk:
        raise NotFound(f"There is no draft {draft.pk} of yours.")
