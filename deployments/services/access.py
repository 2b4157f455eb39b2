"""Asks the policy, tells the audit trail of refusals, and reads what an actor may see."""

from django.db.models import QuerySet

from .. import audit, policy
from ..domain.environments import Role
from ..domain.errors import NotAllowed, NotFound
from ..models import Deployment, Environment, Run
from ..models.deployments import DeploymentQuerySet
from ..policy import Actor, Verb


def require(actor: Actor, verb: Verb, environment: Environment | None = None, *, subject: str = "") -> None:
    """Raise NotAllowed, with where it can be changed, or NotFound where the actor may not even know.

    A refusal is written to the audit trail.
    """
    why = policy.refusal(actor, verb, environment)
    if why is None:
        return
    named = subject or (environment.name if environment else verb)
    audit.record(actor, verb, named, environment=environment, result="refused", reason=why.reason or "no member")
    if why.hidden:
        raise hidden(named)
    raise NotAllowed(why.reason, action=why.action)


def hidden(named: str) -> NotFound:
    """One answer for what is not there and for what the actor may not know of."""
    return NotFound(f"There is no {named} that you may see.", action="Check the name, or ask for a role.")


def environments(actor: Actor) -> QuerySet[Environment]:
    """What the actor may see."""
    return Environment.objects.filter(policy.visible_environments(actor)).distinct()


def environment(actor: Actor, name: str, verb: Verb = Verb.VIEW) -> Environment:
    """One environment by name. Raises NotFound or NotAllowed."""
    found = Environment.objects.filter(name=name).first()
    if found is None:
        raise hidden(name)
    require(actor, verb, found, subject=name)
    return found


def deployments(actor: Actor) -> DeploymentQuerySet:
    """What the actor may see, with the facts of their status."""
    require_scope(actor)
    return (
        Deployment.objects.with_facts()
        .filter(environment__in=environments(actor))
        .select_related("environment", "live_revision")
    )


def deployment(actor: Actor, name: str, verb: Verb = Verb.VIEW) -> Deployment:
    """One deployment by name. Raises NotFound or NotAllowed."""
    found = Deployment.objects.with_facts().select_related("environment", "live_revision").filter(name=name).first()
    if found is None:
        raise hidden(name)
    require(actor, verb, found.environment, subject=name)
    return found


def runs(actor: Actor) -> QuerySet[Run]:
    """What the actor may see, newest first."""
    require_scope(actor)
    return Run.objects.filter(deployment__environment__in=environments(actor)).select_related(
        "deployment__environment", "revision", "created_by"
    )


def run(actor: Actor, run_id: int, verb: Verb = Verb.VIEW) -> Run:
    """One run by number. Raises NotFound or NotAllowed."""
    found = Run.objects.select_related("deployment__environment", "revision", "created_by").filter(pk=run_id).first()
    if found is None:
        raise hidden(f"run {run_id}")
    require(actor, verb, found.deployment.environment, subject=f"run {run_id}")
    return found


def require_scope(actor: Actor, verb: Verb = Verb.VIEW) -> None:
    """Refuse a token without the verb's scope, before rows are filtered by membership."""
    needed = policy.NEEDED_SCOPE[verb]
    if actor.scopes is not None and needed not in actor.scopes:
        require(actor, verb)


def may(actor: Actor, verb: Verb, environment: Environment | None = None) -> bool:
    """Whether `require` would let it pass, for a page that hides what it cannot do; asks without a trace."""
    return policy.may(actor, verb, environment)


def role(actor: Actor, environment: Environment) -> Role | None:
    """The actor's role in an environment; None without one."""
    return policy.role_in(actor.user, environment)
