"""The records in the admin: shown to staff, changed by nobody, without a secret."""

from typing import Any

import pytest
from django.apps import apps
from django.contrib import admin
from django.contrib.auth import get_user_model
from django.contrib.auth.models import Permission
from django.db.models import Model
from django.test import Client
from django.urls import reverse

from deployments.models import (
    ApiToken,
    Deployment,
    Draft,
    IdempotentAnswer,
    Invocation,
    Run,
    Sample,
    Sighting,
    WorkerSeen,
)
from deployments.services.tokens import create_token
from tests import factories
from tests.engine.conftest import paper_world

__all__ = ["paper_world"]

# Histories are seen from their own model's page.
RECORDS = [model for model in apps.get_app_config("deployments").get_models() if "Historical" not in model.__name__]


@pytest.fixture
def browser(db: None) -> Client:
    """The superuser's, with a row of every kind."""
    root = factories.administrator()
    run = factories.finished(factories.started(factories.deployment()))
    factories.member("ada", factories.environment(), "viewer")
    create_token(user=root.user, name="mine", scopes=["read"])
    Draft.objects.create(owner=root.user)
    Invocation.objects.create(deployment=run.deployment)
    Sample.objects.create(deployment=run.deployment, name="one", body={})
    Sighting.objects.create(deployment=run.deployment, revision=run.revision, at=run.created_at)
    WorkerSeen.objects.create(name="worker:1", at=run.created_at)
    IdempotentAnswer.objects.create(user=root.user, operation="POST /x", key="k", created_at=run.created_at)
    client = Client()
    client.force_login(root.user)
    return client


def address(model: type[Model], page: str, *args: Any) -> str:
    return reverse(f"admin:deployments_{model._meta.model_name}_{page}", args=args)


def test_every_record_is_there() -> None:
    assert {model for model in RECORDS if model not in admin.site._registry} == set()


@pytest.mark.parametrize("model", RECORDS, ids=lambda model: model.__name__)
def test_a_record_is_shown_and_cannot_be_changed(browser: Client, model: type[Model]) -> None:
    row = model._default_manager.first()
    assert row is not None
    count = model._default_manager.count()
    listed = browser.get(address(model, "changelist"), {"q": "x"})
    assert listed.status_code == 200
    shown = browser.get(address(model, "change", row.pk))
    assert shown.status_code == 200
    assert b'name="_save"' not in shown.content
    assert browser.post(address(model, "change", row.pk), {}).status_code == 403
    for page, args in (("add", ()), ("delete", (row.pk,))):
        assert browser.get(address(model, page, *args)).status_code == 403
        assert browser.post(address(model, page, *args), {"post": "yes"}).status_code == 403
    deletion = {"action": "delete_selected", "_selected_action": [row.pk], "post": "yes"}
    browser.post(address(model, "changelist"), deletion)
    assert model._default_manager.count() == count


def test_an_earlier_state_is_shown_and_cannot_be_brought_back(browser: Client) -> None:
    deployment = Deployment.objects.get()
    deployment.description = "new"
    deployment.save()
    first = deployment.history.order_by("history_id").first()
    path = address(Deployment, "simple_history", deployment.pk, first.pk)
    assert browser.get(address(Deployment, "history", deployment.pk)).status_code == 200
    assert browser.get(path).status_code == 200
    assert browser.post(path, {}).status_code == 403
    deployment.refresh_from_db()
    assert deployment.description == "new"


def test_digests_of_tokens_and_leases_are_not_shown(browser: Client) -> None:
    token, run = ApiToken.objects.get(), Run.objects.get()
    Run.objects.update(lease_token="the-lease-of-a-worker")
    page = browser.get(address(ApiToken, "change", token.pk)).content.decode()
    assert token.prefix in page
    assert token.digest not in page
    assert "the-lease-of-a-worker" not in browser.get(address(Run, "change", run.pk)).content.decode()


def test_staff_without_a_permission_see_no_record(db: None) -> None:
    user = get_user_model().objects.create_user("staff", password=factories.PASSWORD, is_staff=True)
    client = Client()
    client.force_login(user)
    assert client.get(reverse("admin:index")).status_code == 200
    assert client.get(address(Run, "changelist")).status_code == 403
    user.user_permissions.add(Permission.objects.get(codename="view_run"))
    assert client.get(address(Run, "changelist")).status_code == 200
