"""Environments and their members, API tokens and the audit trail."""

import re
from datetime import timedelta

import pytest
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from deployments.models import ApiToken, AuditEntry, Environment
from deployments.services.tokens import actor_of_token
from tests import factories
from tests.web.conftest import Browse

RULES = {
    "title": "Production, Europe",
    "target": "paper",
    "tone": "prod",
    "max_cache_mb": "128",
    "max_memory_mb": "1024",
    "max_processes": "2",
    "required_tags": "owner, cost-centre",
    "allowed_secrets": "",
    "allowed_vaults": "",
    "allowed_indexes": "",
    "execution": "",
    "allow_code": "on",
}


@pytest.fixture
def head(paper: Environment, browse: Browse) -> Client:
    return browse(factories.member("ada", paper, "admin"))


def test_an_environment_is_made_by_the_sites_administrators(root: Client, head: Client) -> None:
    new = reverse("web:environment_new")
    assert head.get(new).status_code == 403
    assert root.post(new, {**RULES, "name": "prod-eu"})["Location"] == reverse("web:environment", args=["prod-eu"])
    made = Environment.objects.get(name="prod-eu")
    assert (made.tone, made.rules.max_cache_mb, made.rules.required_tags) == ("prod", 128, ("owner", "cost-centre"))
    taken = root.post(new, {**RULES, "name": "prod-eu"})
    assert taken.status_code == 422
    assert "This name is taken." in taken.content.decode()


def test_its_administrators_change_the_rules_and_nobody_else(
    head: Client, deployer: Client, paper: Environment
) -> None:
    edit = reverse("web:environment_edit", args=["paper"])
    assert deployer.get(edit).status_code == 403
    assert 'value="1024"' in head.get(edit).content.decode()
    head.post(edit, RULES)
    paper.refresh_from_db()
    assert paper.rules.max_processes == 2
    assert paper.rules.execution is None


def test_what_the_services_refuse_is_told_beside_its_field(head: Client) -> None:
    factories.deployment()
    edit = reverse("web:environment_edit", args=["paper"])
    moved = head.post(edit, {**RULES, "target": "local"}).content.decode()
    assert "The target of paper cannot change: it has deployments" in moved
    secret = head.post(edit, {**RULES, "max_memory_mb": "999999"}).content.decode()
    assert re.search(r'id="id_max_memory_mb_error">.*err-msg', secret, re.DOTALL)


def test_members_are_set_and_removed(head: Client, paper: Environment, viewer: Client) -> None:
    members, remove = (reverse(f"web:{name}", args=["paper"]) for name in ("member_set", "member_remove"))
    seen = head.post(members, {"user": "vera", "role": "tester"}, follow=True).content.decode()
    assert "vera is now tester." in seen
    assert paper.memberships.get(user__username="vera").role == "tester"
    unknown = head.post(members, {"user": "nobody", "role": "tester"}, follow=True).content.decode()
    assert "there is no such user" in unknown
    head.post(remove, {"user": "vera"})
    assert not paper.memberships.filter(user__username="vera").exists()
    assert viewer.get(reverse("web:environment", args=["paper"])).status_code == 404


def test_a_viewer_sees_members_and_rules_without_controls(viewer: Client) -> None:
    seen = viewer.get(reverse("web:environment", args=["paper"])).content.decode()
    assert "vera" in seen
    assert reverse("web:member_set", args=["paper"]) not in seen


def test_a_token_is_shown_once_and_works_until_it_is_revoked(deployer: Client) -> None:
    made = deployer.post(reverse("web:token_new"), {"name": "ci", "scopes": ["read", "deploy"], "days": "30"})
    assert "no-store" in made["Cache-Control"]
    text = re.search(r'id="token">([^<]+)<', made.content.decode())[1]  # type: ignore[index]
    actor = actor_of_token(text)
    assert actor is not None
    assert (actor.name, actor.scopes) == ("dora", {"read", "deploy"})
    token = ApiToken.objects.get()
    assert token.expires_at is not None
    assert timedelta(days=29) < token.expires_at - timezone.now() < timedelta(days=31)
    listed = deployer.get(reverse("web:tokens")).content.decode()
    assert token.prefix in listed
    assert text not in listed
    deployer.post(reverse("web:token_revoke", args=[token.pk]))
    assert actor_of_token(text) is None


def test_a_token_needs_a_name_and_a_scope(deployer: Client) -> None:
    answer = deployer.post(reverse("web:token_new"), {"name": "", "days": "30"})
    assert answer.status_code == 422
    assert answer.content.decode().count("err-msg") == 2
    assert not ApiToken.objects.exists()


def test_tokens_of_others_are_out_of_reach(deployer: Client, viewer: Client, root: Client) -> None:
    deployer.post(reverse("web:token_new"), {"name": "ci", "scopes": ["read"], "days": "0"})
    token = ApiToken.objects.get()
    assert token.prefix not in viewer.get(reverse("web:tokens")).content.decode()
    assert viewer.post(reverse("web:token_revoke", args=[token.pk])).status_code == 404
    assert token.prefix in root.get(reverse("web:tokens")).content.decode()


def test_the_trail_shows_what_is_of_ones_environments_and_is_narrowed(
    root: Client, viewer: Client, stranger: Client
) -> None:
    factories.deployment()
    viewer.post(reverse("web:deployment_run", args=["iris"]), {"kind": "deploy"})
    address = reverse("web:audit")

    def subjects(client: Client, **query: str) -> str:
        return client.get(address, query).content.decode()

    assert "Refused" in subjects(viewer, result="refused")
    assert "needs the role deployer" in subjects(viewer, q="vera")
    assert "No entry matches." in subjects(viewer, result="refused", action="create_deployment")
    assert "iris" in subjects(root, environment="paper", action="create_deployment")
    assert "iris" not in subjects(stranger)
    assert AuditEntry.objects.filter(result="refused").count() == 1
