"""Answers that are made once: with an Idempotency-Key, a request sent twice is done once."""

import hashlib
from collections.abc import Callable, Mapping
from typing import Annotated

from django.http import HttpRequest, HttpResponse, JsonResponse
from ninja import Header, Schema

from console.api.auth import actor_of
from deployments.services.idempotency import Answer, once

IdempotencyKey = Annotated[
    str | None,
    Header(
        alias="Idempotency-Key",
        description="Any text of your own. Sent again with the same body within 24 hours, the first answer comes"
        " back with `Idempotency-Replayed: true` and nothing is done twice.",
    ),
]


def made(status: int, body: Schema, headers: Mapping[str, str]) -> Answer:
    return Answer(status=status, body=body.model_dump(mode="json"), headers=headers)


def respond(request: HttpRequest, key: str | None, act: Callable[[], Answer]) -> HttpResponse:
    """Do it and answer. Raises what `act` raises, or KeyReused."""
    answer = act() if key is None else _once(request, key, act)
    response = JsonResponse(answer.body, status=answer.status, safe=False, headers=dict(answer.headers))
    if answer.replayed:
        response["Idempotency-Replayed"] = "true"
    return response


def _once(request: HttpRequest, key: str, act: Callable[[], Answer]) -> Answer:
    return once(
        actor=actor_of(request),
        operation=f"{request.method} {request.path}"[:200],
        key=key,
        body_digest=hashlib.sha256(request.body).hexdigest(),
        act=act,
    )
