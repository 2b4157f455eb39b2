"""Who may do what: the one module that every verb of every door asks."""

from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from django.contrib.auth.models import AbstractBaseUser, AnonymousUser
from django.db.models import Q

from .domain.environments import Role
from .models import Environment, Membership


class Verb(StrEnum):
    VIEW = "view"  # see deployments, runs, logs, statistics, keys of a cache
    VIEW_INPUTS = "view_inputs"  # see what was sent: invocations and inputs kept in the cache
    TEST = "test"  # send inputs to a function, keep samples
    DEPLOY = "deploy"  # define, change, run, cancel, destroy
    WRITE_CACHE = "write_cache"  # delete entries, raise the data epoch
    MANAGE = "manage"  # change an environment's rules and members
    CREATE_ENVIRONMENT = "create_environment"  # only for the site's administrators
    UPLOAD = "upload"  # put a file into the store: for whoever may deploy somewhere


class Scope(StrEnum):
    READ = "read"
    INPUTS = "inputs"
    TEST = "test"
    DEPLOY = "deploy"
    CACHE_WRITE = "cache:write"
    ADMIN = "admin"


# Seeing inputs is a permission of its own, see `Membership.sees_inputs`.
NEEDED_ROLE: dict[Verb, Role] = {
    Verb.VIEW: Role.VIEWER,
    Verb.TEST: Role.TESTER,
    Verb.DEPLOY: Role.DEPLOYER,
    Verb.WRITE_CACHE: Role.DEPLOYER,
    Verb.UPLOAD: Role.DEPLOYER,
    Verb.MANAGE: Role.ADMIN,
}

NEEDED_SCOPE: dict[Verb, Scope] = {
    Verb.VIEW: Scope.READ,
    Verb.VIEW_INPUTS: Scope.INPUTS,
    Verb.TEST: Scope.TEST,
    Verb.DEPLOY: Scope.DEPLOY,
    Verb.UPLOAD: Scope.DEPLOY,
    Verb.WRITE_CACHE: Scope.CACHE_WRITE,
    Verb.MANAGE: Scope.ADMIN,
    Verb.CREATE_ENVIRONMENT: Scope.ADMIN,
}


@dataclass(frozen=True, slots=True)
class Actor:
    """A user and the door they came through; `scopes` is None in the browser, where the role alone decides."""

    user: Any
    via: str = "page"
    scopes: frozenset[str] | None = None

    @property
    def name(self) -> str:
        return str(self.user.get_username()) or "anonymous"

    @property
    def row(self) -> Any:
        """The user for a foreign key; None for the console itself."""
        return self.user if self.user.pk else None

    @property
    def is_site_admin(self) -> bool:
        return bool(self.user.is_active and self.user.is_superuser)


class _Console:
    """The console itself, where it acts by itself: no user, no session, and refused by every verb."""

    pk = None
    is_active = is_authenticated = is_superuser = False

    def get_username(self) -> str:
        return "console"


SYSTEM = Actor(_Console(), via="watch")


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why a verb is refused, and where that can be changed; `hidden` when the actor may not even know."""

    reason: str
    action: str
    hidden: bool = False


def role_in(user: AbstractBaseUser | AnonymousUser, environment: Environment) -> Role | None:
    """The user's role in an environment; administrators of the site are administrators everywhere."""
    if not user.is_active or not user.is_authenticated:
        return None
    if getattr(user, "is_superuser", False):
        return Role.ADMIN
    found = _membership(user, environment)
    return Role(found.role) if found else None


def refusal(actor: Actor, verb: Verb, environment: Environment | None = None) -> Refusal | None:
    """None when the actor may; otherwise why not. Without an environment: whether it may anywhere."""
    scope = NEEDED_SCOPE[verb]
    if actor.scopes is not None and scope not in actor.scopes:
        return Refusal(f"The token has not the scope {scope}.", f"Use a token that was made with the scope {scope}.")
    if actor.is_site_admin:
        return None
    if verb == Verb.CREATE_ENVIRONMENT:
        return Refusal("Only administrators of the site make environments and say which secrets they use.", "Ask one.")
    if verb == Verb.VIEW_INPUTS:
        return _inputs_refusal(actor, environment)
    needed = NEEDED_ROLE[verb]
    if environment is None:
        held = Membership.objects.filter(user_id=actor.user.pk).values_list("role", flat=True)
        if actor.user.is_active and any(Role(role).includes(needed) for role in held):
            return None
        return Refusal(f"This needs the role {needed} in an environment.", "Ask an administrator of an environment.")
    role = role_in(actor.user, environment)
    if role is None:
        return Refusal("", "", hidden=True)
    if role.includes(needed):
        return None
    return Refusal(
        f"This needs the role {needed} in {environment.name}; yours is {role}.",
        f"Ask an administrator of {environment.name} for the role.",
    )


def _inputs_refusal(actor: Actor, environment: Environment | None) -> Refusal | None:
    """Whether an administrator lets the actor see inputs, whatever else their role allows."""
    if environment is None:
        held = Membership.objects.filter(user_id=actor.user.pk) if actor.user.is_active else ()
        if any(member.sees_inputs for member in held):
            return None
        return Refusal("No environment lets you see inputs.", "Ask an administrator of an environment.")
    member = _membership(actor.user, environment) if actor.user.is_active else None
    if member is None:
        return Refusal("", "", hidden=True)
    if member.sees_inputs:
        return None
    withheld = member.inputs == Membership.Inputs.WITHHELD
    return Refusal(
        f"What was sent to functions in {environment.name} is not shown to you"
        + ("." if withheld else f": the role {member.role} does not include it."),
        f"Ask an administrator of {environment.name} to let you see inputs; it is set beside your role.",
    )


def _membership(user: Any, environment: Environment) -> Membership | None:
    return Membership.objects.filter(user_id=user.pk, environment=environment).first()


def may(actor: Actor, verb: Verb, environment: Environment | None = None) -> bool:
    return refusal(actor, verb, environment) is None


def visible_environments(actor: Actor) -> Q:
    """Filter on Environment for what the actor may see."""
    if actor.is_site_admin:
        return Q()
    if not actor.user.is_active or not actor.user.is_authenticated:
        return Q(pk__in=[])
    return Q(memberships__user_id=actor.user.pk)
