"""Who may do what: every role, and none, with every verb and every scope of a token."""

import pytest
from django.contrib.auth import get_user_model
from django.contrib.auth.models import AnonymousUser

from deployments.models import Environment, Membership
from deployments.policy import NEEDED_ROLE, NEEDED_SCOPE, Actor, Scope, Verb, may, refusal, visible_environments
from tests import factories

pytestmark = pytest.mark.django_db

ALLOWED = {
    "viewer": {Verb.VIEW},
    "tester": {Verb.VIEW, Verb.VIEW_INPUTS, Verb.TEST},
    "deployer": {Verb.VIEW, Verb.VIEW_INPUTS, Verb.TEST, Verb.DEPLOY, Verb.UPLOAD, Verb.WRITE_CACHE},
    "admin": set(Verb) - {Verb.CREATE_ENVIRONMENT},
}
SCOPES = {
    Scope.READ: {Verb.VIEW},
    Scope.INPUTS: {Verb.VIEW_INPUTS},
    Scope.TEST: {Verb.TEST},
    Scope.DEPLOY: {Verb.DEPLOY, Verb.UPLOAD},
    Scope.CACHE_WRITE: {Verb.WRITE_CACHE},
    Scope.ADMIN: {Verb.MANAGE, Verb.CREATE_ENVIRONMENT},
}


def with_token(actor: Actor, *scopes: Scope) -> Actor:
    return Actor(actor.user, via="token sc_1", scopes=frozenset(scopes))


def test_the_tables_speak_of_every_verb() -> None:
    assert set(NEEDED_SCOPE) == set(Verb)
    assert set(NEEDED_ROLE) == set(Verb) - {Verb.CREATE_ENVIRONMENT, Verb.VIEW_INPUTS}
    assert set().union(*SCOPES.values()) == set(Verb)


@pytest.mark.parametrize("verb", Verb)
@pytest.mark.parametrize("role", ALLOWED)
def test_each_role_in_its_environment_and_nowhere_else(role: str, verb: Verb) -> None:
    mine, other = factories.environment(), factories.environment("other")
    actor = factories.member("someone", mine, role)
    assert may(actor, verb, mine) == (verb in ALLOWED[role])
    assert not may(actor, verb, other)
    assert may(actor, verb) == (verb in ALLOWED[role]), "somewhere"


@pytest.mark.parametrize("verb", Verb)
@pytest.mark.parametrize("scope", Scope)
def test_a_token_never_adds_to_a_role(scope: Scope, verb: Verb) -> None:
    environment = factories.environment()
    for role, allowed in ALLOWED.items():
        actor = with_token(factories.member(role, environment, role), scope)
        assert may(actor, verb, environment) == (verb in allowed & SCOPES[scope]), role
    root = with_token(factories.administrator(), scope)
    assert may(root, verb, environment) == (verb in SCOPES[scope])


@pytest.mark.parametrize("role", ALLOWED)
def test_inputs_are_granted_and_withheld_whatever_the_role(role: str) -> None:
    environment = factories.environment()
    actor = factories.member("someone", environment, role)
    for inputs in Membership.Inputs:
        environment.memberships.update(inputs=inputs)
        sees = {"granted": True, "withheld": False}.get(inputs, role != "viewer")
        assert may(actor, Verb.VIEW_INPUTS, environment) == sees
        assert may(actor, Verb.VIEW_INPUTS) == sees, "somewhere"
        others = {verb for verb in Verb if may(actor, verb, environment)} - {Verb.VIEW_INPUTS}
        assert others == ALLOWED[role] - {Verb.VIEW_INPUTS}
    why = refusal(actor, Verb.VIEW_INPUTS, environment)
    assert why is not None
    assert "not shown to you" in why.reason
    assert "administrator of paper" in why.action


@pytest.mark.parametrize("verb", Verb)
def test_the_sites_administrators_may_all_and_nobodies_nothing(verb: Verb) -> None:
    environment = factories.environment()
    assert may(factories.administrator(), verb, environment)
    assert may(factories.administrator(), verb)
    stranger = get_user_model().objects.create_user("stranger")
    left = factories.member("left", environment, "admin").user
    left.is_active = False
    gone = factories.administrator("gone").user
    gone.is_active = False
    for user in (stranger, left, gone, AnonymousUser()):
        assert not may(Actor(user), verb, environment), user
        assert not may(Actor(user), verb), user


def test_a_refusal_says_what_is_needed_and_who_can_give_it() -> None:
    environment = factories.environment()
    why = refusal(factories.member("v", environment, "viewer"), Verb.DEPLOY, environment)
    assert why is not None
    assert "role deployer in paper; yours is viewer" in why.reason
    assert "administrator of paper" in why.action
    token = refusal(with_token(factories.administrator(), Scope.READ), Verb.DEPLOY, environment)
    assert token is not None
    assert "scope deploy" in token.reason


def test_who_has_no_role_may_not_even_know() -> None:
    environment = factories.environment()
    stranger = Actor(get_user_model().objects.create_user("stranger"))
    why = refusal(stranger, Verb.VIEW, environment)
    assert why is not None
    assert why.hidden
    assert not why.reason


def test_only_environments_with_a_role_are_seen() -> None:
    mine, other = factories.environment(), factories.environment("other")
    member = factories.member("someone", mine, "viewer")
    for actor, seen in (
        (member, [mine]),
        (factories.administrator(), [other, mine]),
        (Actor(AnonymousUser()), []),
        (Actor(get_user_model().objects.create_user("stranger")), []),
    ):
        assert list(Environment.objects.filter(visible_environments(actor))) == seen
