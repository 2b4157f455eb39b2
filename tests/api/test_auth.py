"""Who may call: tokens, their scopes and roles, and the session of a browser."""

from datetime import timedelta

import pytest
from django.test import Client
from django.utils import timezone

from deployments.models import ApiToken, AuditEntry, Run
from tests import factories
from tests.api.conftest import Api, api_of


def test_without_a_token_nothing_is_told(api: Api) -> None:
    for token in ("", "sc_00000000_nonsense", api.token[:-1], api.token + "x"):
        refused = Api(token)("GET", "/deployments")
        assert refused.status_code == 401
        assert refused["WWW-Authenticate"].startswith("Bearer")
        assert refused.json()["code"] == "unauthenticated"


def test_a_token_ends(api: Api) -> None:
    ApiToken.objects.update(expires_at=timezone.now() - timedelta(seconds=1))
    assert api("GET", "/deployments").status_code == 401
    ApiToken.objects.update(expires_at=None, revoked_at=timezone.now())
    assert api("GET", "/deployments").status_code == 401
    ApiToken.objects.update(revoked_at=None)
    assert api("GET", "/deployments").status_code == 200


def test_a_token_ends_with_its_user(api: Api) -> None:
    actor = factories.administrator()
    actor.user.is_active = False
    actor.user.save()
    assert api("GET", "/deployments").status_code == 401


@pytest.mark.parametrize(("scopes", "status"), [(["read"], 403), (["read", "test"], 403), (["read", "deploy"], 202)])
def test_scopes_narrow_down_what_the_role_allows(api: Api, scopes: list[str], status: int) -> None:
    factories.deployment()
    narrowed = api_of(factories.administrator(), *scopes)
    assert narrowed("GET", "/deployments/iris").status_code == 200
    answer = narrowed("POST", "/deployments/iris/runs", {"kind": "deploy"})
    assert answer.status_code == status
    assert Run.objects.count() == (status == 202)


def test_a_scope_gives_no_role(api: Api) -> None:
    factories.deployment()
    viewer = api_of(factories.member("ada", factories.environment(), "viewer"))
    refused = viewer("POST", "/deployments/iris/runs", {"kind": "deploy"})
    assert refused.status_code == 403
    assert "deployer" in refused.json()["detail"]
    assert "administrator of paper" in refused.json()["action"]
    assert AuditEntry.objects.filter(actor="ada", result="refused").exists()


def test_a_missing_scope_says_which(api: Api) -> None:
    refused = api_of(factories.administrator(), "deploy")("GET", "/deployments")
    assert refused.status_code == 403
    assert "scope read" in refused.json()["detail"]


def test_a_browser_reads_with_its_session_and_writes_with_its_csrf_token(api: Api) -> None:
    factories.deployment()
    browser = Client(enforce_csrf_checks=True)
    browser.force_login(factories.administrator().user)
    assert browser.get("/api/v1/deployments/iris").status_code == 200
    path, body = "/api/v1/deployments/iris/runs", {"kind": "deploy"}
    refused = browser.post(path, body, content_type="application/json")
    assert (refused.status_code, refused["Content-Type"]) == (403, "application/problem+json")
    assert not Run.objects.exists()
    token = browser.get("/accounts/password/").cookies["csrftoken"].value
    accepted = browser.post(path, body, content_type="application/json", headers={"X-CSRFToken": token})
    assert accepted.status_code == 202


def test_a_wrong_token_is_not_made_good_by_a_session(api: Api) -> None:
    browser = Client()
    browser.force_login(factories.administrator().user)
    assert browser.get("/api/v1/deployments", headers={"Authorization": "Bearer nonsense"}).status_code == 401
