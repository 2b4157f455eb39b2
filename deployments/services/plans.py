"""Plans: what a run would do, for whoever may start it."""

from ..domain.errors import Conflict
from ..domain.spec import Spec
from ..domain.states import RunKind
from ..engine.plan import Change, Plan, PlannedChange, plan_deploy
from ..engine.plan import plan_destroy as _plan_destroy
from ..models import Deployment, Environment
from ..policy import Actor, Verb
from . import deployments
from .access import require
from .runs import revision_of

__all__ = ["Change", "Plan", "PlannedChange", "plan", "plan_destroy"]


class PlanChanged(Conflict):
    """What a deploy would do is not what was approved; `plan` is what it would do now."""

    code = "plan_changed"

    def __init__(self, plan: Plan) -> None:
        super().__init__(
            "The plan has changed since it was shown",
            cause="The definition, or something in the environment, is different now.",
            action="Read the new plan and approve it.",
        )
        self.plan = plan


def plan(
    *, actor: Actor, environment: Environment, spec: Spec, name: str, deployment: Deployment | None = None
) -> Plan:
    """What deploying this Spec would do now. Raises NotAllowed, SpecInvalid or SecretUnavailable."""
    require(actor, Verb.DEPLOY, environment, subject=name)
    deployments.check(spec, environment, actor=actor)
    return plan_deploy(environment=environment, spec=spec, name=name, deployment=deployment)


def plan_destroy(*, actor: Actor, deployment: Deployment) -> Plan:
    """What a destroy would take away now. Raises NotAllowed."""
    require(actor, Verb.DEPLOY, deployment.environment, subject=deployment.name)
    return _plan_destroy(deployment)


def require_plan(*, actor: Actor, deployment: Deployment, kind: RunKind, revision: int | None, digest: str) -> None:
    """Hold what a run would do now against the plan that was approved. Raises PlanChanged, NotFound or NotAllowed."""
    require(actor, Verb.DEPLOY, deployment.environment, subject=deployment.name)
    if kind == RunKind.DESTROY:
        found = _plan_destroy(deployment)
    else:
        chosen = revision_of(deployment, kind, revision)
        found = plan_deploy(
            environment=deployment.environment, spec=chosen.spec, name=deployment.name, deployment=deployment
        )
    if found.digest != digest:
        raise PlanChanged(found)
