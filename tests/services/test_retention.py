"""How long test calls are kept: by each deployment's own days, from the moment they are lowered."""

from datetime import timedelta
from importlib import import_module
from types import SimpleNamespace

import pytest
from django.apps import apps
from django.utils import timezone

from deployments.domain.errors import ConsoleError, NotAllowed, NotFound
from deployments.models import ApiToken, AuditEntry, Deployment, Invocation
from deployments.services.invocations import history, invocation
from deployments.services.retention import keep_invocations
from deployments.services.tokens import create_token
from deployments.tasks import forget_calls
from tests import factories

pytestmark = pytest.mark.django_db


def called(deployment: Deployment, *, days_ago: float, pinned: bool = False) -> int:
    row = Invocation.objects.create(
        deployment=deployment, user=factories.administrator().user, pinned=pinned, request={"body": [[1]]}
    )
    Invocation.objects.filter(pk=row.pk).update(at=timezone.now() - timedelta(days=days_ago))
    return int(row.pk)


def test_each_deployment_keeps_its_own_days_and_what_is_pinned() -> None:
    month, week, none = factories.deployment("month"), factories.deployment("week"), factories.deployment("none")
    Deployment.objects.filter(pk=week.pk).update(keep_invocations_days=7)
    Deployment.objects.filter(pk=none.pk).update(keep_invocations_days=0)
    kept = {
        called(month, days_ago=29.9),
        called(month, days_ago=31, pinned=True),
        called(week, days_ago=6.9),
        called(week, days_ago=8, pinned=True),
    }
    for old in (called(month, days_ago=30.1), called(week, days_ago=7.1), called(none, days_ago=0, pinned=True)):
        assert old not in kept
    root = factories.administrator()
    assert {row.pk for of in (month, week, none) for row in history(actor=root, deployment=of)} == kept
    forget_calls()
    assert set(Invocation.objects.values_list("pk", flat=True)) == kept


def test_lowering_the_days_holds_at_once_and_is_audited() -> None:
    iris, root = factories.deployment(), factories.administrator()
    old, fresh = called(iris, days_ago=3), called(iris, days_ago=1)
    assert keep_invocations(actor=root, deployment=iris, days=2) == 1
    assert list(Invocation.objects.values_list("pk", flat=True)) == [fresh]
    with pytest.raises(NotFound, match="no such call"):
        invocation(actor=root, deployment=iris, number=old)
    assert keep_invocations(actor=root, deployment=iris, days=366) == 0
    assert keep_invocations(actor=root, deployment=iris, days=0) == 1
    assert AuditEntry.objects.filter(action="keep_invocations", result="done").count() == 3
    assert iris.history.count() == 4


@pytest.mark.parametrize("days", [-1, 367])
def test_only_so_many_days(days: int) -> None:
    iris = factories.deployment()
    with pytest.raises(ConsoleError, match="0 to 366"):
        keep_invocations(actor=factories.administrator(), deployment=iris, days=days)
    assert Deployment.objects.get().keep_invocations_days == 30


def test_a_tester_may_not_say_how_long() -> None:
    iris = factories.deployment()
    with pytest.raises(NotAllowed, match="deployer"):
        keep_invocations(actor=factories.member("tom", iris.environment, "tester"), deployment=iris, days=1)


def test_ones_own_calls_are_no_secret_but_those_of_others_may_be() -> None:
    iris = factories.deployment()
    tom = factories.member("tom", iris.environment, "tester")
    iris.environment.memberships.update(inputs="withheld")
    foreign = called(iris, days_ago=0)
    own = Invocation.objects.create(deployment=iris, user=tom.user, request={"body": [[2]]})
    assert list(history(actor=tom, deployment=iris)) == [own]
    assert invocation(actor=tom, deployment=iris, number=own.pk) == own
    with pytest.raises(NotAllowed, match="not shown to you"):
        history(actor=tom, deployment=iris, everyone=True)
    with pytest.raises(NotAllowed, match="not shown to you"):
        invocation(actor=tom, deployment=iris, number=foreign)


def test_tokens_that_read_before_inputs_had_a_scope_go_on_showing_them() -> None:
    user = factories.administrator().user
    create_token(user=user, name="old", scopes=["read", "deploy"])
    create_token(user=user, name="none", scopes=["deploy"])
    migration = import_module("deployments.migrations.0002_what_is_kept")
    for step, expected in ((migration.keep_what_tokens_show, True), (migration.forget_the_scope, False)):
        step(apps, SimpleNamespace())
        assert ("inputs" in ApiToken.objects.get(name="old").scopes) is expected
        assert ApiToken.objects.get(name="none").scopes == ["deploy"]
