"""Environments through the API: who sees, makes and changes them."""

from deployments.models import Environment, Membership
from tests import factories
from tests.api.conftest import Api, api_of


def test_an_administrator_of_the_site_makes_one(api: Api) -> None:
    factories.member("ada", factories.environment(), "viewer")
    wish = {"name": "prod", "target": "paper", "tone": "prod", "rules": {"max_cache_mb": 128}}
    made = api("POST", "/environments", {**wish, "members": {"ada": "deployer"}})
    assert (made.status_code, made["Location"]) == (201, "/api/v1/environments/prod")
    shown = api("GET", "/environments/prod").json()
    assert shown == made.json()
    assert (shown["rules"]["max_cache_mb"], shown["rules"]["allow_code"], shown["role"]) == (128, True, "admin")
    assert shown["members"] == [{"user": "ada", "role": "deployer", "inputs": "role", "sees_inputs": True}]
    assert api("POST", "/environments", wish).status_code == 409


def test_what_is_left_out_stays(api: Api) -> None:
    factories.environment(max_cache_mb=99)
    factories.member("ada", factories.environment(), "viewer")
    changed = api("PUT", "/environments/paper", {"title": "On paper"})
    assert (changed.status_code, changed.json()["title"]) == (200, "On paper")
    assert changed.json()["members"] == [{"user": "ada", "role": "viewer", "inputs": "role", "sees_inputs": False}]
    assert api("PUT", "/environments/paper", {"members": {}}).json()["members"] == []
    assert not Membership.objects.exists()
    assert api("PUT", "/environments/new", {"target": "paper"}).status_code == 201


def test_faults_are_told_with_their_fields(api: Api) -> None:
    faults = {
        "target": {"target": "moon"},
        "tone": {"tone": "loud"},
        "rules.max_cache_mb": {"rules": {"max_cache_mb": 1}},
        "rules.max_cash_mb": {"rules": {"max_cash_mb": 99}},
        "members.nobody": {"members": {"nobody": "viewer"}},
        "members.root": {"members": {"root": "emperor"}},
        "title": {"title": "x" * 121},
    }
    for field, wish in faults.items():
        refused = api("PUT", "/environments/paper", wish)
        assert (refused.status_code, refused.json()["field"]) == (422, field)
    assert api("PUT", "/environments/No--Slug", {}).json()["field"] == "name"


def test_the_target_stays_while_there_are_deployments(api: Api) -> None:
    factories.deployment()
    assert api("PUT", "/environments/paper", {"target": "local"}).json()["field"] == "target"


def test_roles_decide_what_is_seen_and_changed(api: Api) -> None:
    environment = factories.environment()
    viewer = api_of(factories.member("ada", environment, "viewer"))
    owner = api_of(factories.member("bob", environment, "admin"))
    stranger = api_of(factories.member("eve", factories.environment("other"), "admin"))
    assert viewer("GET", "/environments/paper").json()["members"] is None
    assert viewer("PUT", "/environments/paper", {"title": "x"}).status_code == 403
    assert owner("PUT", "/environments/paper", {"title": "x"}).status_code == 200
    assert owner("PUT", "/environments/new", {"target": "paper"}).status_code == 403
    assert owner("POST", "/environments", {"name": "new"}).status_code == 403
    assert stranger("GET", "/environments/paper").status_code == 404
    # Told the same as of one that is not there.
    refused = [stranger("PUT", f"/environments/{name}", {"title": "y"}).status_code for name in ("paper", "nowhere")]
    assert refused == [403, 403]
    assert [row["name"] for row in stranger("GET", "/environments").json()] == ["other"]
    assert [row["name"] for row in api("GET", "/environments").json()] == ["other", "paper"]
    assert Environment.objects.get(name="paper").title == "x"
