"""Environments: made, changed, and who has which role in them."""

from collections.abc import Mapping
from typing import Any

from django.contrib.auth import get_user_model
from django.db import IntegrityError, transaction
from pydantic import ValidationError

from .. import audit, policy
from ..domain.environments import EnvironmentSettings, Role
from ..domain.errors import Conflict, NotFound, SpecInvalid
from ..domain.names import SLUG_RULE, is_slug
from ..domain.spec import problem_of
from ..models import Environment, Membership
from ..policy import Actor, Verb
from .access import require


def save_environment(
    *,
    actor: Actor,
    name: str,
    target: str | None = None,
    title: str | None = None,
    tone: str | None = None,
    rules: Mapping[str, Any] | None = None,
    members: Mapping[str, str | Mapping[str, str | None]] | None = None,
) -> Environment:
    """Create the environment, or change it; what is None stays as it is.

    `members` maps user names to roles, or to a role and whether they see inputs, and replaces all that are there;
    who stays and is given a role alone keeps the rest. Only administrators of the site make an environment.
    Raises NotAllowed, NotFound where the actor may not know of it, SpecInvalid with each field at fault, or
    Conflict when the target of an environment with deployments would change.
    """
    found = Environment.objects.filter(name=name).first()
    if found is None:
        require(actor, Verb.CREATE_ENVIRONMENT, subject=name)
        environment = Environment(name=name)
    else:
        # Who may not know of it is told what they would be told if it were not there.
        known = policy.may(actor, Verb.VIEW, found)
        require(actor, Verb.MANAGE if known else Verb.CREATE_ENVIRONMENT, found if known else None, subject=name)
        environment = found
    wish = {"target": target, "title": title, "tone": tone, "config": None if rules is None else dict(rules)}
    changed = {field: value for field, value in wish.items() if value is not None}
    if rules is not None and not actor.is_site_admin:
        _refuse_wider_secrets(actor, environment, rules)
    problems = [] if found or is_slug(name) else [("name", SLUG_RULE)]
    problems += _problems(changed)
    if problems:
        raise SpecInvalid(problems)
    chosen = None if members is None else _members(members)
    if found and "target" in changed and target != found.target and found.deployments.exists():
        raise Conflict(
            f"The target of {name} cannot change: it has deployments",
            cause="What was made on one target cannot be found on another.",
            action="Make another environment, or destroy and forget its deployments first.",
            field="target",
        )
    for field, value in changed.items():
        setattr(environment, field, value)
    try:
        with transaction.atomic():
            environment.save()
            if chosen is not None:
                _replace_members(environment, chosen)
            audit.record(actor, "change_environment" if found else "create_environment", name, environment=environment)
    except IntegrityError:
        raise Conflict(f"The name {name} is taken", action="Choose another name.", field="name") from None
    return environment


def set_member(
    *, actor: Actor, environment: Environment, username: str, role: str, inputs: str | None = None
) -> Membership:
    """Give a user a role, in place of the one they had, and say whether they see inputs; None leaves that as it is.

    `inputs` is role, granted or withheld. Raises NotAllowed, NotFound or SpecInvalid.
    """
    require(actor, Verb.MANAGE, environment)
    ((user, chosen),) = _members({username: role if inputs is None else {"role": role, "inputs": inputs}}).items()
    with transaction.atomic():
        membership, _created = Membership.objects.update_or_create(environment=environment, user=user, defaults=chosen)
        told = role if inputs is None else f"{role}, inputs {inputs}"
        audit.record(actor, "set_member", f"{username} {told}", environment=environment)
    return membership


def remove_member(*, actor: Actor, environment: Environment, username: str) -> None:
    """Take a user's role away. Raises NotAllowed, or NotFound for who has none."""
    require(actor, Verb.MANAGE, environment)
    with transaction.atomic():
        membership = environment.memberships.filter(user__username=username).first()
        if membership is None:
            raise NotFound(f"{username} is no member of {environment.name}", field="user")
        membership.delete()
        audit.record(actor, "remove_member", username, environment=environment)


def _refuse_wider_secrets(actor: Actor, environment: Environment, rules: Mapping[str, Any]) -> None:
    """Which secrets an environment may use is the site's to say: its own administrators could name another team's."""
    for field in ("allowed_secrets", "allowed_vaults", "allowed_indexes"):
        added = {str(item) for item in rules.get(field, ())} - set(getattr(environment.rules, field))
        if added:
            require(actor, Verb.CREATE_ENVIRONMENT, subject=f"{field} of {environment.name}")


def _problems(changed: Mapping[str, Any]) -> list[tuple[str, str]]:
    problems = []
    for field, choices in (("target", Environment.Kind), ("tone", Environment.Tone)):
        if field in changed and changed[field] not in choices.values:
            problems.append((field, f"choose one of {', '.join(choices.values)}"))
    longest = Environment._meta.get_field("title").max_length
    if longest and len(changed.get("title", "")) > longest:
        problems.append(("title", f"at most {longest} characters"))
    if "config" in changed:
        try:
            EnvironmentSettings.model_validate(changed["config"])
        except ValidationError as error:
            problems += [
                problem_of({**item, "loc": ("rules", *item["loc"])}) for item in error.errors(include_url=False)
            ]
    return problems


def _members(members: Mapping[str, str | Mapping[str, str | None]]) -> dict[Any, dict[str, str]]:
    """Users and the fields of their memberships. Raises SpecInvalid for a user or a choice that is not there."""
    users = {user.get_username(): user for user in get_user_model().objects.filter(username__in=list(members))}
    problems, found = [], {}
    for username, wish in members.items():
        fields = {"role": wish} if isinstance(wish, str) else {name: value for name, value in wish.items() if value}
        if username not in users:
            problems.append((f"members.{username}", "there is no such user"))
        elif fields.get("role") not in list(Role):
            problems.append((f"members.{username}", f"choose one of {', '.join(Role)}"))
        elif fields.get("inputs", Membership.Inputs.ROLE) not in Membership.Inputs.values:
            choices = ", ".join(Membership.Inputs.values)
            problems.append((f"members.{username}.inputs", f"choose one of {choices}"))
        else:
            found[users[username]] = fields
    if problems:
        raise SpecInvalid(problems)
    return found


def _replace_members(environment: Environment, chosen: Mapping[Any, Mapping[str, str]]) -> None:
    """Row by row, so that the history tells each change."""
    for membership in environment.memberships.exclude(user__in=list(chosen)):
        membership.delete()
    for user, fields in chosen.items():
        Membership.objects.update_or_create(environment=environment, user=user, defaults=fields)
