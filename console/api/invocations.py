"""Test calls to a function."""

from dataclasses import asdict

from django.http import HttpRequest, HttpResponse
from ninja import Router

from console.api.auth import actor_of
from console.api.listing import Paging, listed
from console.api.operations import refusals
from console.api.schemas import InvocationOut, InvocationWish, KeptInvocationOut, RetentionOut, RetentionWish
from deployments.models import Invocation
from deployments.services import access
from deployments.services.access import Verb
from deployments.services.invocations import history, invoke
from deployments.services.retention import keep_invocations

router = Router()


@router.post(
    "/{slug:name}/invocations",
    operation_id="invoke",
    summary="Call the function",
    response={200: InvocationOut, **refusals(400, 403, 404, 409, 422, 502, 503)},
)
def call(request: HttpRequest, name: str, wish: InvocationWish) -> InvocationOut:
    """Sends the body to the deployment's own function, with its key, and answers what came back. A refusal by
    the function is a 200 here, with the function's status inside; `502` and `503` mean that it did not answer.
    """
    actor = actor_of(request)
    _row, answer = invoke(
        actor=actor,
        deployment=access.deployment(actor, name, Verb.TEST),
        body=wish.body,
        method=wish.method,
        headers=wish.headers,
        query=wish.query,
        cache=wish.cache,
        label=wish.label,
    )
    return InvocationOut.model_validate({**asdict(answer), "key": answer.key or None})


@router.get(
    "/{slug:name}/invocations",
    operation_id="list_invocations",
    summary="List kept test calls",
    response={200: list[KeptInvocationOut], **refusals(403, 404, 422)},
)
def kept(request: HttpRequest, response: HttpResponse, name: str, paging: Paging) -> list[KeptInvocationOut]:
    """What was sent from the console and through its API, by whomever, as long as the deployment keeps it; newest
    first.
    """
    actor = actor_of(request)
    deployment = access.deployment(actor, name, Verb.VIEW_INPUTS)
    rows = history(actor=actor, deployment=deployment, everyone=True)
    return listed(request, response, rows, paging, _shown)


@router.put(
    "/{slug:name}/retention",
    operation_id="put_retention",
    summary="Say how long test calls are kept",
    response={200: RetentionOut, **refusals(400, 403, 404, 422)},
)
def retention(request: HttpRequest, name: str, wish: RetentionWish) -> RetentionOut:
    """Holds at once: what is older is deleted. 0 keeps none, and lets go of what is pinned as well."""
    actor = actor_of(request)
    deployment = access.deployment(actor, name, Verb.DEPLOY)
    deleted = keep_invocations(actor=actor, deployment=deployment, days=wish.keep_invocations_days)
    return RetentionOut(keep_invocations_days=deployment.keep_invocations_days, deleted=deleted)


def _shown(row: Invocation) -> KeptInvocationOut:
    return KeptInvocationOut(
        id=row.pk,
        at=row.at,
        user=row.user.get_username() if row.user else None,
        label=row.label,
        request=row.request,
        response=row.response,
        status=row.status,
        cache=row.cache,
        key=row.key,
        duration_ms=row.duration_ms,
        timings=row.timings,
        pinned=row.pinned,
    )
