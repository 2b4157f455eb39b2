"""Environments: listed, made and changed."""

from http import HTTPStatus

from django.http import HttpRequest, HttpResponse
from django.urls import reverse
from ninja import Router, Status

from console.api.auth import actor_of
from console.api.listing import Paging, listed
from console.api.operations import refusals
from console.api.schemas import EnvironmentChange, EnvironmentOut, EnvironmentWish, MemberOut
from deployments.domain.errors import Conflict
from deployments.models import Environment
from deployments.services import access
from deployments.services.access import Actor, Verb
from deployments.services.environments import save_environment

router = Router()


@router.get(
    "",
    operation_id="list_environments",
    summary="List environments",
    response={200: list[EnvironmentOut], **refusals(403, 422)},
)
def list_environments(request: HttpRequest, response: HttpResponse, paging: Paging) -> list[EnvironmentOut]:
    """The environments in which you have a role, by name."""
    actor = actor_of(request)
    access.require_scope(actor)
    rows = access.environments(actor).order_by("name").prefetch_related("memberships__user")
    return listed(request, response, rows, paging, lambda row: _shown(actor, row))


@router.post(
    "",
    operation_id="create_environment",
    summary="Make an environment",
    response={201: EnvironmentOut, **refusals(400, 403, 409, 422)},
)
def create_environment(request: HttpRequest, response: HttpResponse, wish: EnvironmentWish) -> Status[EnvironmentOut]:
    """Only administrators of the site make environments."""
    actor = actor_of(request)
    access.require(actor, Verb.CREATE_ENVIRONMENT, subject=wish.name)
    if Environment.objects.filter(name=wish.name).exists():
        raise Conflict(
            f"The name {wish.name} is taken", action=f"PUT /environments/{wish.name} changes it.", field="name"
        )
    environment = save_environment(actor=actor, **wish.model_dump(mode="json"))
    response["Location"] = reverse("api:get_environment", args=[environment.name])
    return Status(HTTPStatus.CREATED, _shown(actor, environment))


@router.get(
    "/{slug:name}",
    operation_id="get_environment",
    url_name="get_environment",
    summary="Show an environment",
    response={200: EnvironmentOut, **refusals(403, 404)},
)
def get_environment(request: HttpRequest, name: str) -> EnvironmentOut:
    """Its target, its rules, your role and, for its administrators, its members."""
    actor = actor_of(request)
    return _shown(actor, access.environment(actor, name))


@router.put(
    "/{slug:name}",
    operation_id="put_environment",
    summary="Make or change an environment",
    response={200: EnvironmentOut, 201: EnvironmentOut, **refusals(400, 403, 404, 409, 422)},
)
def put_environment(
    request: HttpRequest, response: HttpResponse, name: str, wish: EnvironmentChange
) -> Status[EnvironmentOut]:
    """What is left out stays as it is; `members` replaces all that are there.

    Administrators of an environment change it; administrators of the site also make one that is not there yet.
    """
    actor = actor_of(request)
    known = Environment.objects.filter(name=name).exists()
    environment = save_environment(actor=actor, name=name, **wish.model_dump(mode="json"))
    response["Location"] = reverse("api:get_environment", args=[name])
    return Status(HTTPStatus.OK if known else HTTPStatus.CREATED, _shown(actor, environment))


def _shown(actor: Actor, environment: Environment) -> EnvironmentOut:
    manages = access.may(actor, Verb.MANAGE, environment)
    members = [MemberOut(**row.as_dict()) for row in environment.memberships.all()] if manages else None
    return EnvironmentOut(
        name=environment.name,
        title=environment.title,
        target=environment.target,
        tone=environment.tone,
        rules=environment.rules,
        role=access.role(actor, environment),
        sees_inputs=access.may(actor, Verb.VIEW_INPUTS, environment),
        members=members,
    )
