"""Every address of the site with every role and with none; an address that is not listed here fails."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from enum import IntEnum
from typing import Any

import pytest
from django.db import transaction
from django.http import HttpResponse
from django.test import Client
from django.urls import URLPattern, get_resolver

from console.api.api import api
from deployments.models import AuditEntry, Draft, Invocation, Membership, Sample
from deployments.policy import Actor, Scope
from deployments.services.deployments import change_deployment
from deployments.services.tokens import create_token
from tests import factories
from tests.engine.conftest import paper_world

__all__ = ["paper_world"]


class Who(IntEnum):
    """Whom a door lets in: these and all that come after them."""

    NOBODY_SIGNED_IN = 0
    STRANGER = 1  # signed in, with a role in another environment only
    VIEWER = 2
    TESTER = 3
    DEPLOYER = 4
    ADMIN = 5
    SITE = 6  # a superuser


ANYBODY, SIGNED_IN = Who.NOBODY_SIGNED_IN, Who.STRANGER
VIEWER, TESTER, DEPLOYER, ADMIN, SITE = Who.VIEWER, Who.TESTER, Who.DEPLOYER, Who.ADMIN, Who.SITE


@dataclass(frozen=True)
class Door:
    """Who comes in with which method, and what is sent; `elsewhere`: a role in any environment is enough."""

    methods: dict[str, Who]
    scope: str = Scope.READ
    scopes: dict[str, str] = field(default_factory=dict)
    body: dict[str, Any] = field(default_factory=dict)
    elsewhere: bool = False
    query: str = ""
    also: str = ""  # a second scope that is needed
    inputs: bool = False  # only for who may see inputs, whatever their role
    makes: bool = False  # it may also make the thing, so a stranger is refused as if there were nothing: 403


def look(who: Who) -> Door:
    return Door({"GET": who})


def act(who: Who, **body: Any) -> Door:
    return Door({"POST": who}, body=body)


def form(who: Who, **body: Any) -> Door:
    return Door({"GET": who, "POST": who}, body=body)


PAGES: dict[str, Door] = {
    "": look(SIGNED_IN),
    "sample/": act(SITE),  # it goes to the environment local, of which nobody here is a member
    "search/": look(SIGNED_IN),
    "traffic/": look(SIGNED_IN),
    "test/": look(SIGNED_IN),
    "cache/": look(SIGNED_IN),
    "runs/": look(SIGNED_IN),
    "deployments/": look(SIGNED_IN),
    "environments/": look(SIGNED_IN),
    "audit/": look(SIGNED_IN),
    "tokens/": look(SIGNED_IN),
    "tokens/new/": form(SIGNED_IN),
    "tokens/<int:token_id>/revoke/": act(SITE),  # another user's
    "deploy/": Door({"GET": DEPLOYER, "POST": DEPLOYER}, elsewhere=True),
    "deploy/import/": Door({"GET": DEPLOYER, "POST": DEPLOYER}, elsewhere=True),
    "deploy/name/": Door({"GET": DEPLOYER}, elsewhere=True),
    # A draft is its owner's alone; here it is the superuser's.
    "deploy/<int:draft_id>/discard/": act(SITE),
    "deploy/<int:draft_id>/definition.yaml": look(SITE),
    "deploy/<int:draft_id>/<slug:step>/": form(SITE),
    "deployments/<slug:name>/": look(VIEWER),
    "deployments/<slug:name>/health/": look(VIEWER),
    "deployments/<slug:name>/arrivals/": look(VIEWER),
    "deployments/<slug:name>/diff/": Door({"GET": VIEWER}, query="?from=1&to=2"),
    "deployments/<slug:name>/runs/": act(DEPLOYER, kind="deploy"),
    "deployments/<slug:name>/change/": look(DEPLOYER),
    "deployments/<slug:name>/destroy/": form(DEPLOYER),
    "deployments/<slug:name>/forget/": act(DEPLOYER),
    "deployments/<slug:name>/test/": form(TESTER),
    # The call is somebody else's.
    "deployments/<slug:name>/test/<int:number>/again/": Door({"POST": TESTER}, inputs=True),
    "deployments/<slug:name>/test/<int:number>/pin/": Door({"POST": TESTER}, inputs=True),
    "deployments/<slug:name>/samples/<int:number>/delete/": act(TESTER),
    "deployments/<slug:name>/cache/": look(VIEWER),
    "deployments/<slug:name>/cache/find/": Door({"GET": TESTER, "POST": TESTER}, body={"body": "[[1]]"}, inputs=True),
    "deployments/<slug:name>/cache/erase/": Door({"POST": DEPLOYER}, body={"body": "[[1]]"}, inputs=True),
    "deployments/<slug:name>/cache/compare/": Door({"POST": TESTER}, inputs=True),
    "deployments/<slug:name>/cache/delete/": act(DEPLOYER, match="*"),
    "deployments/<slug:name>/cache/epoch/": form(DEPLOYER),
    "deployments/<slug:name>/cache/kept/": Door({"GET": VIEWER, "POST": DEPLOYER}, body={"days": 7}),
    "runs/<int:run_id>/": look(VIEWER),
    "runs/<int:run_id>/log/": look(VIEWER),
    "runs/<int:run_id>/log.txt": look(VIEWER),
    "runs/<int:run_id>/cancel/": act(DEPLOYER),
    "environments/new/": form(SITE),
    "environments/<slug:name>/": look(VIEWER),
    "environments/<slug:name>/edit/": form(ADMIN),
    "environments/<slug:name>/members/": act(ADMIN, user="viewer", role="tester"),
    "environments/<slug:name>/members/remove/": act(ADMIN, user="viewer"),
    "accounts/login/": look(ANYBODY),
    "accounts/logout/": act(ANYBODY),
    "accounts/password/": look(SIGNED_IN),
    "accounts/password/done/": look(SIGNED_IN),
    "i18n/setlang/": act(ANYBODY, language="pt"),
    "healthz": look(ANYBODY),
    "api/v1/docs": look(SIGNED_IN),
}

# Of a run that has failed.
PAGES_OF_A_FAILED_RUN: dict[str, Door] = {
    "runs/<int:run_id>/retry/": act(DEPLOYER),
    "runs/<int:run_id>/fix/": act(DEPLOYER),
}

CACHE_WRITE = Scope.CACHE_WRITE
ENDPOINTS: dict[str, Door] = {
    "openapi.json": look(SIGNED_IN),
    "artifacts": Door({"POST": DEPLOYER}, scope=Scope.DEPLOY, elsewhere=True),
    "environments": Door(
        {"GET": SIGNED_IN, "POST": SITE}, scopes={"POST": Scope.ADMIN}, body={"name": "new", "target": "paper"}
    ),
    "environments/<slug:name>": Door({"GET": VIEWER, "PUT": ADMIN}, scopes={"PUT": Scope.ADMIN}, makes=True),
    "deployments": Door(
        {"GET": SIGNED_IN, "POST": DEPLOYER},
        scopes={"POST": Scope.DEPLOY},
        body={"name": "new", "environment": "paper", "model": {"artifact": "0" * 64}},
    ),
    "deployments/<slug:name>": Door(
        {"GET": VIEWER, "PUT": DEPLOYER, "DELETE": DEPLOYER},
        scopes={"PUT": Scope.DEPLOY, "DELETE": Scope.DEPLOY},
        body={"environment": "paper", "model": {"artifact": "0" * 64}},
    ),
    "deployments/<slug:name>/revisions": look(VIEWER),
    "deployments/<slug:name>/runs": Door(
        {"GET": VIEWER, "POST": DEPLOYER}, scopes={"POST": Scope.DEPLOY}, body={"kind": "deploy"}
    ),
    "deployments/<slug:name>/invocations": Door(
        {"GET": TESTER, "POST": TESTER},
        scopes={"GET": Scope.INPUTS, "POST": Scope.TEST},
        body={"body": {"data": [[1]]}},
    ),
    "deployments/<slug:name>/arrivals": Door(
        {"GET": VIEWER, "POST": TESTER}, scopes={"POST": Scope.TEST}, body={"text": "1,2,3,4"}
    ),
    "deployments/<slug:name>/arrivals/<slug:ticket>": Door({"GET": TESTER}, scope=Scope.TEST),
    "deployments/<slug:name>/retention": Door({"PUT": DEPLOYER}, scope=Scope.DEPLOY, body={"keep_invocations_days": 7}),
    "deployments/<slug:name>/cache": look(VIEWER),
    "deployments/<slug:name>/cache/entries": Door(
        {"GET": VIEWER, "DELETE": DEPLOYER}, scopes={"DELETE": CACHE_WRITE}, body={"match": "*"}
    ),
    "deployments/<slug:name>/cache/entries/<path:key>": look(VIEWER),
    "deployments/<slug:name>/cache/find": Door(
        {"POST": TESTER}, scope=Scope.INPUTS, body={"body": {"data": [[1]]}}, inputs=True
    ),
    "deployments/<slug:name>/cache/erase": Door(
        {"POST": DEPLOYER}, scope=CACHE_WRITE, also=Scope.INPUTS, body={"body": {"data": [[1]]}}, inputs=True
    ),
    "deployments/<slug:name>/cache/epoch": Door({"POST": DEPLOYER}, scope=CACHE_WRITE, body={"reason": "new data"}),
    "runs": look(SIGNED_IN),
    "runs/<int:run_id>": look(VIEWER),
    "runs/<int:run_id>/events": look(VIEWER),
    "runs/<int:run_id>/cancel": Door({"POST": DEPLOYER}, scope=Scope.DEPLOY),
    "runs/<int:run_id>/retry": Door({"POST": DEPLOYER}, scope=Scope.DEPLOY),
    "healthz": look(ANYBODY),
    "readyz": look(ANYBODY),
}

# Answers 503 without a worker, and has tests of its own; the other is never an address of anything.
TRIED_ELSEWHERE = {"readyz", "api/v1/"}
# A function that does not answer is not a closed door.
MAY_BE_UNAVAILABLE = {"deployments/<slug:name>/invocations", "readyz"}


@dataclass
class Site:
    """What the doors lead to, and whoever knocks."""

    actors: dict[Who, Actor | None]
    parameters: dict[str, str]
    failed_run: str

    def path(self, route: str, **more: str) -> str:
        found = dict(self.parameters, **more)
        found["name"] = "paper" if route.startswith("environments/") else "iris"
        found["number"] = found["sample"] if "/samples/" in route else found["invocation"]
        path = route
        for converter, name in (
            ("slug", "name"),
            ("slug", "step"),
            ("int", "number"),
            ("int", "run_id"),
            ("int", "draft_id"),
            ("int", "token_id"),
            ("path", "key"),
            ("slug", "ticket"),
        ):
            path = path.replace(f"<{converter}:{name}>", found[name])
        return path


@pytest.fixture
def site(db: None) -> Site:
    paper, elsewhere, root = factories.environment(), factories.environment("elsewhere"), factories.administrator()
    failed = factories.finished(
        factories.started(factories.deployment("oak", tags={"paper-fault": "function=refused"}))
    )
    offered = {"code": "missing", "message": "", "fix": {"field": "runtime.requirements", "add": "xgboost"}}
    failed.steps.filter(state="failed").update(error=offered)
    deployment = factories.deployment()
    change_deployment(actor=root, deployment=deployment, spec=factories.spec(cache={"ttl_seconds": 60}))
    run = factories.started(deployment)
    create_token(user=root.user, name="mine", scopes=["read"])
    factories.environment("local")
    factories.artifact(b"\x80\x04digits", name="digits.joblib")
    return Site(
        actors={
            Who.NOBODY_SIGNED_IN: None,
            Who.STRANGER: factories.member("stranger", elsewhere, "viewer"),
            **{Who[role.upper()]: factories.member(role, paper, role) for role in ("viewer", "tester")},
            **{Who[role.upper()]: factories.member(role, paper, role) for role in ("deployer", "admin")},
            Who.SITE: root,
        },
        parameters={
            "run_id": str(run.pk),
            "draft_id": str(Draft.objects.create(owner=root.user, data={}).pk),
            "token_id": str(root.user.api_tokens.get().pk),
            "step": "model",
            "invocation": str(Invocation.objects.create(deployment=deployment, request={"body": [[1]]}).pk),
            "sample": str(Sample.objects.create(deployment=deployment, name="one", body=[[1]]).pk),
            "key": "iris:0:q:0",
            "ticket": "MHgxOmE",
        },
        failed_run=str(failed.pk),
    )


def addresses(patterns: list[Any], prefix: str = "") -> Iterator[str]:
    for pattern in patterns:
        route = prefix + str(pattern.pattern)
        if isinstance(pattern, URLPattern):
            yield route
        else:
            yield from addresses(pattern.url_patterns, route)


def test_every_address_is_listed() -> None:
    found = {route for route in addresses(get_resolver().url_patterns) if not route.startswith("admin/")}
    listed = {*PAGES, *PAGES_OF_A_FAILED_RUN, *(f"api/v1/{route}" for route in ENDPOINTS), *TRIED_ELSEWHERE}
    assert sorted(found - listed) == [], "an address without a rule of who may come in"
    assert sorted(listed - found) == [], "a rule for an address that is not there"


def test_every_method_of_the_api_is_listed() -> None:
    served = {
        f"{path.removeprefix('/api/v1/')} {method.upper()}"
        for path, methods in api.get_openapi_schema()["paths"].items()
        for method in methods
    }
    listed = {
        f"{route.replace('<slug:', '{').replace('<int:', '{').replace('<path:', '{').replace('>', '}')} {method}"
        for route, door in ENDPOINTS.items()
        for method in door.methods
        if route != "openapi.json"
    }
    assert served == listed


@pytest.mark.parametrize("who", Who, ids=lambda who: who.name.lower())
def test_pages_let_in_whom_they_should(site: Site, who: Who) -> None:
    browser, actor = Client(), site.actors[who]
    wrong = []
    for route, door in {**PAGES, **PAGES_OF_A_FAILED_RUN}.items():
        run = {"run_id": site.failed_run} if route in PAGES_OF_A_FAILED_RUN else {}
        for method, least in door.methods.items():
            with rolled_back():
                if actor:
                    browser.force_login(actor.user)
                answer, told = knock(browser, method, f"/{site.path(route, **run)}{door.query}", door.body)
            if (said := verdict(answer, told)) != ("in" if who >= least else "out"):
                wrong.append(f"{method} /{route}: {said} ({answer.status_code})")
    assert wrong == []


@pytest.mark.parametrize("who", Who, ids=lambda who: who.name.lower())
def test_endpoints_let_in_whom_they_should(site: Site, who: Who) -> None:
    actor = site.actors[who]
    token = create_token(user=actor.user, name="all", scopes=list(Scope)) if actor else ""
    wrong = []
    for route, door in ENDPOINTS.items():
        for method, least in door.methods.items():
            with rolled_back():
                answer = call(method, f"/api/v1/{site.path(route)}", door.body, token)
            if answer.status_code == 503 and route in MAY_BE_UNAVAILABLE:
                continue
            if answer.status_code not in expected(who, least, route, door, method):
                wrong.append(f"{method} {route}: {answer.status_code} {answer.content[:200]!r}")
    assert wrong == []


def test_a_token_without_the_scope_stays_out(site: Site) -> None:
    root = site.actors[Who.SITE]
    assert root is not None
    wrong = []
    for route, door in ENDPOINTS.items():
        for method, least in door.methods.items():
            if least == ANYBODY or route == "openapi.json":
                continue
            for needed in filter(None, (door.scopes.get(method, door.scope), door.also)):
                token = create_token(user=root.user, name="other", scopes=[scope for scope in Scope if scope != needed])
                with rolled_back():
                    answer = call(method, f"/api/v1/{site.path(route)}", door.body, token)
                if answer.status_code != 403 or f"scope {needed}" not in answer.json()["detail"]:
                    wrong.append(f"{method} {route}: {answer.status_code} {answer.content[:200]!r}")
    assert wrong == []


def test_an_administrator_from_whom_inputs_are_withheld_stays_out_of_them_alone(site: Site) -> None:
    """The list of kept calls is the one address of which only a method shows inputs."""
    browser, actor = Client(), site.actors[Who.ADMIN]
    assert actor is not None
    Membership.objects.filter(user=actor.user).update(inputs="withheld")
    token = create_token(user=actor.user, name="all", scopes=list(Scope))
    wrong = []
    for route, door in PAGES.items():
        for method, least in door.methods.items():
            with rolled_back():
                browser.force_login(actor.user)
                answer, told = knock(browser, method, f"/{site.path(route)}{door.query}", door.body)
            if (verdict(answer, told) == "in") != (least <= ADMIN and not door.inputs):
                wrong.append(f"{method} /{route}: {answer.status_code}")
            if door.inputs and b"is not shown to you" not in answer.content:
                wrong.append(f"{method} /{route}: says no reason")
    for route, door in ENDPOINTS.items():
        for method in door.methods:
            with rolled_back():
                answer = call(method, f"/api/v1/{site.path(route)}", door.body, token)
            shows = door.inputs or (method == "GET" and route.endswith("/invocations"))
            if shows and (answer.status_code != 403 or "not shown to you" not in answer.json()["detail"]):
                wrong.append(f"{method} {route}: {answer.status_code} {answer.content[:200]!r}")
    assert wrong == []


def test_a_viewer_to_whom_inputs_are_granted_sees_them_and_nothing_more(site: Site) -> None:
    browser, actor = Client(), site.actors[Who.VIEWER]
    assert actor is not None
    Membership.objects.filter(user=actor.user).update(inputs="granted")
    browser.force_login(actor.user)
    token = create_token(user=actor.user, name="all", scopes=list(Scope))
    base = "deployments/iris"
    assert browser.get(f"/{base}/cache/find/").status_code == 200
    assert b"Recent invocations" in browser.get(f"/{base}/").content
    assert call("GET", f"/api/v1/{base}/invocations", {}, token).status_code == 200
    assert call("POST", f"/api/v1/{base}/cache/find", {"body": [[1]]}, token).status_code == 200
    assert call("POST", f"/api/v1/{base}/cache/erase", {"body": [[1]]}, token).status_code == 403
    assert browser.get(f"/{base}/test/").status_code == 403
    assert browser.post(f"/{base}/cache/compare/").status_code == 403


@pytest.mark.parametrize("who", [who for who in Who if who != SITE], ids=lambda who: who.name.lower())
def test_the_records_are_open_to_staff_alone(site: Site, who: Who) -> None:
    browser, actor = Client(), site.actors[who]
    if actor:
        browser.force_login(actor.user)
    routes = [route for route in addresses(get_resolver().url_patterns) if route.startswith("admin/")]
    assert len(routes) > 50
    wrong = []
    for route in routes:
        path = "/" + route.replace("<path:object_id>", "1").replace("^", "").replace("$", "")
        path = path.replace("(?P<url>.*)", "x").replace("([^/]+)", "1")
        for method in ("GET", "POST"):
            with rolled_back():
                answer, told = knock(browser, method, path, {})
            # Signing out is the one thing that asks for nothing.
            if verdict(answer, told) == "in" and not path.startswith("/admin/logout"):
                wrong.append(f"{method} {path}: {answer.status_code}")
    assert wrong == []


def knock(browser: Client, method: str, path: str, body: dict[str, Any]) -> tuple[HttpResponse, bool]:
    """The answer, and whether the audit trail was told of a refusal."""
    before = AuditEntry.objects.filter(result="refused").count()
    answer = browser.get(path) if method == "GET" else browser.post(path, body)
    return answer, AuditEntry.objects.filter(result="refused").count() > before


def verdict(answer: HttpResponse, told: bool) -> str:
    if answer.status_code >= 500:
        return "broken"
    to_login = answer.status_code == 302 and answer["Location"].startswith(("/accounts/login/?next=", "/admin/login/"))
    return "out" if told or to_login or answer.status_code in (401, 403, 404) else "in"


def call(method: str, path: str, body: dict[str, Any], token: str) -> HttpResponse:
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    content = b"" if method == "GET" else json.dumps(body).encode()
    return Client().generic(method, path, content, content_type="application/json", headers=headers)


def expected(who: Who, least: Who, route: str, door: Door, method: str) -> set[int]:
    """The statuses that fit: 404 hides what a stranger may not know of, 403 tells a member which role it takes."""
    if who >= least:
        return {200, 201, 202, 204, 400, 409, 422}
    if who == Who.NOBODY_SIGNED_IN:
        return {401}
    if who == Who.STRANGER and not door.elsewhere and least != SITE:
        return {403} if door.makes and method == "PUT" else {404}
    return {403}


@contextmanager
def rolled_back() -> Iterator[None]:
    """What a call changes is undone, so that the next one meets the same site."""
    with transaction.atomic():
        yield
        transaction.set_rollback(True)
