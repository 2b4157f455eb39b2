"""API tokens: shown once, kept as a keyed digest, and good only while they are meant to be."""

from datetime import timedelta
from typing import Any

import pytest
from django.db import connection
from django.utils import timezone

from deployments.domain.errors import ConsoleError, NotFound
from deployments.models import ApiToken, AuditEntry
from deployments.policy import Actor
from deployments.services.tokens import actor_of_token, create_token, revoke_token
from tests import factories

pytestmark = pytest.mark.django_db


@pytest.fixture
def user() -> Any:
    return factories.member("someone", factories.environment(), "deployer").user


def test_a_token_speaks_for_its_user_with_its_scopes(user: Any) -> None:
    text = create_token(user=user, name="ci", scopes=["read", "deploy", "read"])
    actor = actor_of_token(text)
    assert actor is not None
    assert (actor.user, actor.scopes, actor.is_site_admin) == (user, {"read", "deploy"}, False)
    assert actor.via == f"token {ApiToken.objects.get().prefix}"


def test_its_text_is_nowhere_in_the_database(user: Any) -> None:
    text = create_token(user=user, name="ci", scopes=["read"])
    secret = text.split("_", 2)[2]
    with connection.cursor() as cursor:
        for table in connection.introspection.table_names(cursor):
            cursor.execute(f"SELECT * FROM {connection.ops.quote_name(table)}")
            assert secret not in repr(cursor.fetchall()), table


def test_its_digest_depends_on_the_consoles_key(user: Any, settings: Any) -> None:
    text = create_token(user=user, name="ci", scopes=["read"])
    assert actor_of_token(text) is not None
    settings.SECRET_KEY = "another console's"
    assert actor_of_token(text) is None


def test_two_tokens_are_never_alike(user: Any) -> None:
    first, second = (create_token(user=user, name="ci", scopes=["read"]) for _ in range(2))
    mixed = second[:11] + first[11:]
    assert first[:11] != second[:11]
    assert actor_of_token(mixed) is None


@pytest.mark.parametrize("text", ["", "sc_", "Bearer x", "sc_00000000_x", "ü" * 50])
def test_what_is_no_token_is_nobody(text: str, user: Any) -> None:
    create_token(user=user, name="ci", scopes=["read"])
    assert actor_of_token(text) is None


def test_an_expired_one_is_nobody(user: Any) -> None:
    now = timezone.now()
    past, coming = (
        create_token(user=user, name="ci", scopes=["read"], expires_at=now + timedelta(seconds=seconds))
        for seconds in (-1, 60)
    )
    assert actor_of_token(past) is None
    assert actor_of_token(coming) is not None


def test_one_of_a_user_who_has_left_is_nobody(user: Any) -> None:
    text = create_token(user=user, name="ci", scopes=["read"])
    user.is_active = False
    user.save()
    assert actor_of_token(text) is None


def test_a_revoked_one_is_nobody(user: Any) -> None:
    text = create_token(user=user, name="ci", scopes=["read"])
    revoke_token(actor=Actor(user), token_id=ApiToken.objects.get().pk)
    assert actor_of_token(text) is None
    assert [entry.action for entry in AuditEntry.objects.order_by("pk")] == ["create_token", "revoke_token"]


def test_only_the_owner_and_the_sites_administrators_revoke(user: Any) -> None:
    text = create_token(user=user, name="ci", scopes=["read"])
    token = ApiToken.objects.get().pk
    colleague = factories.member("colleague", factories.environment(), "admin")
    with pytest.raises(NotFound):
        revoke_token(actor=colleague, token_id=token)
    assert actor_of_token(text) is not None
    revoke_token(actor=factories.administrator(), token_id=token)
    assert actor_of_token(text) is None


@pytest.mark.parametrize("scopes", [[], ["everything"], ["read", "root"]])
def test_scopes_are_those_that_there_are(user: Any, scopes: list[str]) -> None:
    with pytest.raises(ConsoleError) as caught:
        create_token(user=user, name="ci", scopes=scopes)
    assert caught.value.field == "scopes"
    assert "cache:write" in caught.value.detail.action
    assert not ApiToken.objects.exists()


def test_its_use_is_noted_once_a_minute(user: Any) -> None:
    text = create_token(user=user, name="ci", scopes=["read"])
    actor_of_token(text)
    first = ApiToken.objects.get().last_used_at
    actor_of_token(text)
    assert first is not None
    assert ApiToken.objects.get().last_used_at == first
