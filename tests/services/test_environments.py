"""Environments: made, changed, and who is in them, with every step in the audit trail and the history."""

import pytest

from deployments.domain.errors import Conflict, NotAllowed, NotFound, SpecInvalid
from deployments.models import AuditEntry, Environment, Membership
from deployments.services.environments import remove_member, save_environment, set_member
from tests import factories
from tests.engine.conftest import paper_world

__all__ = ["paper_world"]

pytestmark = pytest.mark.django_db


def test_made_then_changed() -> None:
    root = factories.administrator()
    made = save_environment(actor=root, name="prod", target="paper", tone="prod", rules={"max_processes": 2})
    changed = save_environment(actor=root, name="prod", title="Production")
    assert made.pk == changed.pk
    assert (changed.target, changed.tone, changed.title, changed.rules.max_processes) == (
        "paper",
        "prod",
        "Production",
        2,
    )
    assert [entry.action for entry in AuditEntry.objects.order_by("pk")] == ["create_environment", "change_environment"]
    assert changed.history.count() == 2


def test_every_fault_is_named_at_once() -> None:
    with pytest.raises(SpecInvalid) as caught:
        save_environment(
            actor=factories.administrator(), name="Prod", target="moon", tone="x", rules={"max_cache_mb": "many"}
        )
    assert [path for path, _sentence in caught.value.problems] == ["name", "target", "tone", "rules.max_cache_mb"]
    assert not Environment.objects.exists()


def test_who_may() -> None:
    paper = factories.environment()
    deployer, owner = factories.member("ada", paper, "deployer"), factories.member("bob", paper, "admin")
    with pytest.raises(NotAllowed):
        save_environment(actor=deployer, name="paper", title="x")
    with pytest.raises(NotAllowed):
        set_member(actor=deployer, environment=paper, username="ada", role="admin")
    with pytest.raises(NotAllowed):
        save_environment(actor=owner, name="new", target="paper")
    save_environment(actor=owner, name="paper", title="x")
    assert AuditEntry.objects.filter(result="refused").count() == 3


def test_members_are_set_and_removed() -> None:
    paper, root = factories.environment(), factories.administrator()
    factories.member("ada", paper, "viewer")
    assert set_member(actor=root, environment=paper, username="ada", role="deployer").role == "deployer"
    with pytest.raises(SpecInvalid):
        set_member(actor=root, environment=paper, username="ada", role="emperor")
    with pytest.raises(SpecInvalid):
        set_member(actor=root, environment=paper, username="nobody", role="viewer")
    save_environment(actor=root, name="paper", members={"root": "tester"})
    assert [(row.user.username, row.role) for row in Membership.objects.all()] == [("root", "tester")]
    remove_member(actor=root, environment=paper, username="root")
    with pytest.raises(NotFound):
        remove_member(actor=root, environment=paper, username="root")


def test_whether_a_member_sees_inputs_is_set_beside_the_role_and_outlives_it() -> None:
    paper, root = factories.environment(), factories.administrator()
    factories.member("ada", paper, "tester")
    assert set_member(actor=root, environment=paper, username="ada", role="tester", inputs="withheld").inputs
    assert set_member(actor=root, environment=paper, username="ada", role="deployer").inputs == "withheld"
    save_environment(actor=root, name="paper", members={"ada": "admin"})
    assert not Membership.objects.get().sees_inputs
    save_environment(actor=root, name="paper", members={"ada": {"role": "viewer", "inputs": "granted"}})
    assert Membership.objects.get().as_dict() == {
        "user": "ada",
        "role": "viewer",
        "inputs": "granted",
        "sees_inputs": True,
    }
    assert "ada tester, inputs withheld" in AuditEntry.objects.values_list("subject", flat=True)
    with pytest.raises(SpecInvalid, match="inputs"):
        set_member(actor=root, environment=paper, username="ada", role="viewer", inputs="perhaps")


def test_the_target_of_what_is_in_use_stays() -> None:
    factories.deployment()
    with pytest.raises(Conflict):
        save_environment(actor=factories.administrator(), name="paper", target="local")
