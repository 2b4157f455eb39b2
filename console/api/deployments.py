"""Deployments: defined, changed, read and forgotten."""

import re
from dataclasses import asdict
from http import HTTPStatus
from typing import Annotated, Any

from django.db.models import Max
from django.http import HttpRequest, HttpResponse
from django.urls import reverse
from ninja import Header, Query, Router, Status

from console.api.answers import IdempotencyKey, made, respond
from console.api.auth import actor_of
from console.api.listing import Paging, listed
from console.api.operations import refusals
from console.api.schemas import (
    DeploymentOut,
    DeploymentSummary,
    DeploymentWish,
    ExecutionOut,
    PlanOut,
    ResourceOut,
    RevisionOut,
)
from deployments.domain.errors import Conflict, SpecInvalid, Stale
from deployments.domain.states import DeploymentStatus
from deployments.models import Deployment, Environment, ManagedResource, Revision
from deployments.services import access, plans
from deployments.services.access import Actor, Verb
from deployments.services.deployments import change_deployment, create_deployment, forget_deployment
from deployments.services.health import execution_of
from deployments.services.idempotency import Answer

router = Router()

FUNCTION = "function"
IfMatch = Annotated[
    str | None,
    Header(alias="If-Match", description="The ETag that was read: refuses with 412 when it has changed since."),
]
_ETAG = re.compile(r'^(?:W/)?"r(\d{1,9})"$')


@router.get(
    "",
    operation_id="list_deployments",
    summary="List deployments",
    response={200: list[DeploymentSummary], **refusals(403, 422)},
)
def list_deployments(
    request: HttpRequest,
    response: HttpResponse,
    paging: Paging,
    environment: Annotated[str, Query(max_length=40, description="name of an environment")] = "",
    status: DeploymentStatus | None = None,
) -> list[DeploymentSummary]:
    """The deployments of the environments in which you have a role, by name."""
    rows = access.deployments(actor_of(request))
    if environment:
        rows = rows.filter(environment__name=environment)
    if status is not None:
        rows = rows.with_status(status)
    shown = rows.annotate(newest=Max("revisions__number")).order_by("name").prefetch_related("resources")
    return listed(request, response, shown, paging, lambda row: DeploymentSummary(**_summary(row, row.newest)))


@router.post(
    "",
    operation_id="create_deployment",
    summary="Define a deployment",
    response={201: DeploymentOut, **refusals(400, 403, 404, 409, 422)},
)
def create(request: HttpRequest, wish: DeploymentWish, key: IdempotencyKey = None) -> HttpResponse:
    """Its first revision; nothing outside changes before a run. In its smallest form a name, an environment and
    `{"model": {"artifact": id}}`: everything else has a sensible default.
    """
    actor = actor_of(request)

    def act() -> Answer:
        return _created(actor, wish.name, _environment(actor, wish), wish)

    return respond(request, key, act)


@router.get(
    "/{slug:name}",
    operation_id="get_deployment",
    url_name="get_deployment",
    summary="Show a deployment",
    response={200: DeploymentOut, **refusals(403, 404)},
)
def show(request: HttpRequest, response: HttpResponse, name: str) -> DeploymentOut:
    """Its newest Spec, its status, where it answers, and what exists because of it."""
    shown = _shown(access.deployment(actor_of(request), name))
    response["ETag"] = _etag(shown.revision)
    return shown


@router.put(
    "/{slug:name}",
    operation_id="put_deployment",
    summary="Define or change a deployment",
    response={200: DeploymentOut | PlanOut, 201: DeploymentOut, **refusals(400, 403, 404, 409, 412, 422)},
)
def put(
    request: HttpRequest,
    name: str,
    wish: DeploymentWish,
    if_match: IfMatch = None,
    dry_run: Annotated[bool, Query(description="answer the plan of a deploy and change nothing")] = False,
) -> HttpResponse:
    """An upsert: 201 for a new deployment, 200 for a new revision of a known one. A Spec that equals the newest
    revision's makes none. Start a run to bring it about.
    """
    actor = actor_of(request)
    if wish.name not in ("", name):
        raise SpecInvalid([("name", f"the address names {name}; a deployment cannot be renamed")])
    known = access.deployments(actor).filter(name=name).first()
    environment = _environment(actor, wish) if known is None or wish.environment else known.environment
    if known and known.environment_id != environment.pk:
        raise Conflict(
            f"{name} lives in {known.environment.name}",
            cause="A deployment cannot move to another environment.",
            action=f"Leave environment out, or make a new deployment in {environment.name}.",
            field="environment",
        )
    if dry_run:
        plan = plans.plan(actor=actor, environment=environment, spec=wish.spec(), name=name, deployment=known)
        return respond(request, None, lambda: made(HTTPStatus.OK, PlanOut(**asdict(plan)), {}))
    expected = _expected(if_match, known)
    if known is None:
        return respond(request, None, lambda: _created(actor, name, environment, wish))
    change_deployment(
        actor=actor,
        deployment=known,
        spec=wish.spec(),
        note=wish.note,
        description=wish.description,
        expected_revision=expected,
    )
    return respond(request, None, lambda: _made(HTTPStatus.OK, known))


@router.delete(
    "/{slug:name}",
    operation_id="forget_deployment",
    summary="Forget a destroyed deployment",
    response={204: None, **refusals(403, 404, 409)},
)
def forget(request: HttpRequest, name: str) -> Status[None]:
    """Deletes the records of a deployment of which nothing exists any more; a run of the kind `destroy` takes
    away what exists.
    """
    actor = actor_of(request)
    forget_deployment(actor=actor, deployment=access.deployment(actor, name, Verb.DEPLOY))
    return Status(HTTPStatus.NO_CONTENT, None)


@router.get(
    "/{slug:name}/revisions",
    operation_id="list_revisions",
    summary="List revisions",
    response={200: list[RevisionOut], **refusals(403, 404, 422)},
)
def revisions(request: HttpRequest, response: HttpResponse, name: str, paging: Paging) -> list[RevisionOut]:
    """Newest first; a deploy run of an earlier one is a rollback."""
    deployment = access.deployment(actor_of(request), name)
    rows = deployment.revisions.select_related("created_by").order_by("-number")
    return listed(request, response, rows, paging, lambda row: RevisionOut(**row.as_dict()))


def _environment(actor: Actor, wish: DeploymentWish) -> Environment:
    if not wish.environment:
        raise SpecInvalid([("environment", "this field is needed")])
    return access.environment(actor, wish.environment)


def _expected(if_match: str | None, known: Deployment | None) -> int | None:
    """The revision that If-Match names; None without the header. Raises Stale for what can never match."""
    if if_match is None or (if_match.strip() == "*" and known is not None):
        return None
    found = _ETAG.match(if_match.strip())
    if known is None or found is None:
        raise Stale(
            "If-Match names nothing that is there",
            action="Read the deployment, and send the ETag of the answer, or leave If-Match out.",
            field="If-Match",
        )
    return int(found[1])


def _created(actor: Actor, name: str, environment: Environment, wish: DeploymentWish) -> Answer:
    deployment = create_deployment(
        actor=actor,
        name=name,
        environment=environment,
        spec=wish.spec(),
        description=wish.description or "",
        note=wish.note,
    )
    return _made(HTTPStatus.CREATED, deployment)


def _made(status: HTTPStatus, deployment: Deployment) -> Answer:
    shown = _shown(deployment.fresh())
    location = reverse("api:get_deployment", args=[deployment.name])
    return made(status, shown, {"Location": location, "ETag": _etag(shown.revision)})


def _etag(revision: int) -> str:
    return f'"r{revision}"'


def _shown(deployment: Deployment) -> DeploymentOut:
    latest = deployment.latest_revision()
    active = deployment.active_run()
    live = deployment.live_revision
    return DeploymentOut(
        **_summary(deployment, latest.number),
        spec=latest.spec,
        data_epoch=deployment.data_epoch,
        keep_invocations_days=deployment.keep_invocations_days,
        model_version=live.model_version if live else "",
        execution=_execution(deployment),
        active_run=active.pk if active else None,
        resources=[_resource(row) for row in deployment.resources.all()],
    )


def _execution(deployment: Deployment) -> ExecutionOut | None:
    found = execution_of(deployment)
    return ExecutionOut(executes=found.form, reason=found.reason, gain=found.gain) if found else None


def _summary(deployment: Deployment, newest: int) -> dict[str, Any]:
    live: Revision | None = deployment.live_revision
    return {
        "name": deployment.name,
        "environment": deployment.environment.name,
        "description": deployment.description,
        "status": deployment.status,
        "url": _url(deployment),
        "revision": newest,
        "live_revision": live.number if live else None,
        "created_at": deployment.created_at,
    }


def _url(deployment: Deployment) -> str | None:
    for row in deployment.resources.all():
        if row.key == FUNCTION and row.ready_at and row.outputs.get("url"):
            return str(row.outputs["url"])
    return None


def _resource(row: ManagedResource) -> ResourceOut:
    return ResourceOut(
        key=row.key,
        title=row.title,
        kind=row.kind,
        name=row.name,
        stage=row.stage,
        owned=row.owned,
        ready=row.ready_at is not None,
        outputs=row.outputs,
    )
