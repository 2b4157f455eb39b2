"""Plans: what a run would do, for whoever may start it."""

from ..domain.spec import Spec
from ..engine.plan import Change, Plan, PlannedChange, plan_deploy
from ..engine.plan import plan_destroy as _plan_destroy
from ..models import Deployment, Environment
from ..policy import Actor, Verb
from . import deployments
from .access import require

__all__ = ["Change", "Plan", "PlannedChange", "plan", "plan_destroy"]


def plan(
    *, actor: Actor, environment: Environment, spec: Spec, name: str, deployment: Deployment | None = None
) -> Plan:
    """What deploying this Spec would do now. Raises NotAllowed, SpecInvalid or SecretUnavailable."""
    require(actor, Verb.DEPLOY, environment, subject=name)
    deployments.check(spec, environment)
    return plan_deploy(environment=environment, spec=spec, name=name, deployment=deployment)


def plan_destroy(*, actor: Actor, deployment: Deployment) -> Plan:
    """What a destroy would take away now. Raises NotAllowed."""
    require(actor, Verb.DEPLOY, deployment.environment, subject=deployment.name)
    return _plan_destroy(deployment)
