"""`manage.py create_token`: prints the token and nothing else."""

from datetime import timedelta
from io import StringIO

import pytest
from django.core.management import CommandError, call_command
from django.utils import timezone

from deployments.models import ApiToken, AuditEntry
from deployments.services.tokens import actor_of_token
from tests import factories


def made(*arguments: str) -> str:
    out = StringIO()
    call_command("create_token", *arguments, stdout=out)
    return out.getvalue()


@pytest.mark.django_db
@pytest.mark.parametrize("scopes", [["read", "deploy"], ["read,deploy"]])
def test_only_the_token_is_printed(scopes: list[str]) -> None:
    factories.administrator()
    text = made("root", "--scopes", *scopes)
    assert text.count("\n") == 1
    actor = actor_of_token(text.strip())
    assert actor is not None
    assert (actor.name, actor.scopes) == ("root", {"read", "deploy"})
    assert AuditEntry.objects.filter(action="create_token", via="command").exists()
    ends = ApiToken.objects.get().expires_at
    assert ends is not None
    assert ends - timezone.now() > timedelta(days=89)


@pytest.mark.django_db
def test_one_that_may_do_everything_and_never_ends() -> None:
    factories.administrator()
    made("root", "--scopes", "all", "--days", "0", "--name", "pipeline")
    token = ApiToken.objects.get()
    assert (token.name, token.expires_at, len(token.scopes)) == ("pipeline", None, 6)


@pytest.mark.django_db
@pytest.mark.parametrize("arguments", [["nobody", "--scopes", "read"], ["root", "--scopes", "fly"], ["root"]])
def test_what_is_wrong_is_said(arguments: list[str]) -> None:
    factories.administrator()
    with pytest.raises(CommandError):
        made(*arguments)
    assert not ApiToken.objects.exists()
