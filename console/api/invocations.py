"""Test calls to a function."""

from dataclasses import asdict

from django.http import HttpRequest
from ninja import Router

from console.api.auth import actor_of
from console.api.operations import refusals
from console.api.schemas import InvocationOut, InvocationWish
from deployments.services import access
from deployments.services.access import Verb
from deployments.services.invocations import invoke

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
