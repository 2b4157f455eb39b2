"""The frame: sign-in, navigation, language, refusals, and nothing inline that the policy would block."""

import re

import pytest
from django.test import Client
from django.urls import reverse

from tests import factories
from tests.web.conftest import Browse

INLINE = re.compile(r"<script(?![^>]*\bsrc=)[^>]*>|<style|\sstyle=|\son[a-z]+=|javascript:", re.IGNORECASE)


@pytest.fixture
def everything(root: Client) -> list[str]:
    """Addresses of every page, with something on each."""
    failed = factories.finished(factories.started(factories.deployment("oak", tags={"paper-fault": "image=broken"})))
    live = factories.finished(factories.started(factories.deployment()))
    return [
        reverse("web:home"),
        reverse("web:search") + "?q=i",
        reverse("web:deployments"),
        reverse("web:deployment", args=["iris"]),
        reverse("web:deployment", args=["oak"]),
        reverse("web:deployment_destroy", args=["iris"]),
        reverse("web:runs"),
        reverse("web:run", args=[live.pk]),
        reverse("web:run", args=[failed.pk]),
        reverse("web:run_log", args=[failed.pk]),
        reverse("web:environments"),
        reverse("web:environment", args=["paper"]),
        reverse("web:environment_edit", args=["paper"]),
        reverse("web:environment_new"),
        reverse("web:tokens"),
        reverse("web:token_new"),
        reverse("web:audit"),
        reverse("web:traffic") + "?name=iris",
        reverse("password_change"),
        reverse("admin:index"),
        reverse("admin:deployments_run_changelist"),
        reverse("admin:deployments_run_change", args=[live.pk]),
    ]


def test_no_page_holds_what_the_content_security_policy_blocks(root: Client, everything: list[str]) -> None:
    for address in everything:
        answer = root.get(address)
        assert answer.status_code == 200, address
        found = [hit for hit in INLINE.findall(answer.content.decode()) if 'type="application/json"' not in hit]
        assert not found, f"{address} has {found}"
        assert "unsafe" not in answer["Content-Security-Policy"]


def test_whoever_is_not_signed_in_is_sent_to_the_sign_in_and_back(client: Client, db: None) -> None:
    answer = client.get(reverse("web:runs"))
    assert (answer.status_code, answer["Location"]) == (302, f"{reverse('login')}?next=/runs/")
    factories.administrator()
    form = {"username": "root", "password": factories.PASSWORD, "next": "/runs/"}
    assert client.post(reverse("login"), form)["Location"] == "/runs/"
    refused = client.post(reverse("login"), {**form, "password": "wrong"})
    assert "err-msg" in refused.content.decode()


def test_signing_out_takes_a_post(root: Client) -> None:
    assert root.post(reverse("logout"))["Location"] == reverse("login")
    assert root.get("/").status_code == 302


def test_the_navigation_marks_where_one_is_and_hides_what_is_not_for_one(root: Client, viewer: Client) -> None:
    page = root.get(reverse("web:audit")).content.decode()
    assert re.findall(r'href="([^"]+)" aria-current="page"', page) == [reverse("web:audit")]
    hidden = [f'href="{reverse(name)}"' for name in ("admin:index", "web:environment_new")]
    assert all(link in page for link in hidden)
    seen = viewer.get("/").content.decode()
    assert not any(link in seen for link in hidden)


def test_the_records_are_for_staff(viewer: Client, client: Client) -> None:
    refused = viewer.get(reverse("admin:index"), follow=True)
    assert refused.status_code == 403
    assert "staff accounts only" in refused.content.decode()
    assert client.get(reverse("admin:index"), follow=True).redirect_chain[-1][0].startswith(reverse("login"))


def test_a_role_that_is_missing_is_named(viewer: Client) -> None:
    factories.deployment()
    answer = viewer.get(reverse("web:deployment_destroy", args=["iris"]))
    assert answer.status_code == 403
    assert "needs the role deployer in paper; yours is viewer" in answer.content.decode()


def test_what_one_may_not_know_of_is_not_there(stranger: Client) -> None:
    run = factories.started(factories.deployment())
    for address in (reverse("web:deployment", args=["iris"]), reverse("web:run", args=[run.pk])):
        assert stranger.get(address).status_code == 404
    assert "iris" not in stranger.get(reverse("web:deployments")).content.decode()


def test_times_are_the_readers(root: Client) -> None:
    run = factories.finished(factories.started(factories.deployment()))
    address = reverse("web:run", args=[run.pk])
    utc = root.get(address).content.decode()
    root.cookies["timezone"] = "Asia%2FTokyo"
    assert root.get(address).content.decode() != utc
    root.cookies["timezone"] = "Nowhere%2FAtAll"
    assert root.get(address).status_code == 200


def test_search_opens_what_is_named_exactly(root: Client, browse: Browse) -> None:
    run = factories.finished(factories.started(factories.deployment()))
    search = reverse("web:search")
    assert root.get(search, {"q": "iris"})["Location"] == reverse("web:deployment", args=["iris"])
    by_key = root.get(search, {"q": "iris:0123456789abcdef:q:ff"})["Location"]
    assert by_key.startswith(reverse("web:cache", args=["iris"]))
    assert "match=iris%3A" in by_key
    assert f"Run {run.pk}" in root.get(search, {"q": str(run.pk)}).content.decode()
    assert "Nothing found" in root.get(search, {"q": "<b>"}).content.decode()
    assert "<b>&lt;" not in root.get(search, {"q": "<b>"}).content.decode()
