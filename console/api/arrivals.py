"""Blobs and messages put before a function that they call."""

import base64
import binascii
import json
from typing import Any, Literal

from django.http import HttpRequest
from ninja import Router, Schema, Status
from pydantic import Field

from console.api.auth import actor_of
from console.api.operations import refusals
from console.api.schemas import Wish
from deployments.domain.arrivals import Arrival
from deployments.domain.errors import ConsoleError
from deployments.services import access, arrivals
from deployments.services.access import Verb

router = Router()


class ArrivalWish(Wish):
    """A blob or a message: one of `body` (any JSON), `text` and `base64`."""

    body: Any = Field(None, examples=[{"data": [[5.1, 3.5, 1.4, 0.2]]}])
    text: str | None = Field(None, description="such as the lines of a CSV")
    base64: str | None = Field(None, description="bytes, such as an npy file")
    name: str = Field("", max_length=300, description="a blob's path in its container; made up where it is left out")
    content_type: str = Field("", max_length=100, description="of a message; a blob's form is told by its name")
    properties: dict[str, str] = Field({}, description="a message's application properties, such as Cache-Control")


class TicketOut(Schema):
    """What to ask for the outcome with."""

    ticket: str


class FateOut(Schema):
    """What became of it: `output` is JSON where the answer is, else text."""

    state: Literal["waiting", "done", "poisoned"]
    output: Any
    reason: str


class TallyOut(Schema):
    """Where things arrive and answers go, and how many wait, are done, were given up; null before they are counted."""

    places: dict[str, str]
    waiting: int | None
    done: int | None
    poisoned: int | None


@router.get(
    "/{slug:name}/arrivals",
    operation_id="count_arrivals",
    summary="Where blobs or messages arrive, and how many wait",
    response={200: TallyOut, **refusals(403, 404, 409, 503)},
)
def count(request: HttpRequest, name: str) -> TallyOut:
    """Of a deployment on the local target that blobs or messages call."""
    actor = actor_of(request)
    places, tally = arrivals.tally(actor=actor, deployment=access.deployment(actor, name))
    if tally is None:
        return TallyOut(places=dict(places), waiting=None, done=None, poisoned=None)
    return TallyOut(places=dict(places), waiting=tally.waiting, done=tally.done, poisoned=tally.poisoned)


@router.post(
    "/{slug:name}/arrivals",
    operation_id="put_arrival",
    summary="Put a blob or send a message",
    response={202: TicketOut, **refusals(400, 403, 404, 409, 422, 503)},
)
def put(request: HttpRequest, name: str, wish: ArrivalWish) -> Status[TicketOut]:
    """As whoever feeds the function would: its trigger takes it from there, and the ticket tells what became of it."""
    actor = actor_of(request)
    arrival = Arrival(_content(wish), wish.name, wish.content_type, wish.properties)
    found = access.deployment(actor, name, Verb.TEST)
    ticket = arrivals.put(actor=actor, deployment=found, arrival=arrival)
    return Status(202, TicketOut(ticket=_sealed(ticket)))


@router.get(
    "/{slug:name}/arrivals/{slug:ticket}",
    operation_id="get_arrival",
    summary="What became of a blob or a message",
    response={200: FateOut, **refusals(403, 404, 409, 503)},
)
def fate(request: HttpRequest, name: str, ticket: str) -> FateOut:
    """`waiting` until it is scored, and while it is tried again; `poisoned` when it was given up, with the reason."""
    actor = actor_of(request)
    found = access.deployment(actor, name, Verb.TEST)
    told = arrivals.fate(actor=actor, deployment=found, ticket=_opened(ticket))
    return FateOut(state=told.state.value, output=_shown(told.output), reason=told.reason)


def _content(wish: ArrivalWish) -> bytes:
    given = [value for value in (wish.body, wish.text, wish.base64) if value is not None]
    if len(given) != 1:
        raise ConsoleError("Give one of body, text and base64.", action="Leave the others out.", field="body")
    if wish.text is not None:
        return wish.text.encode(errors="replace")
    if wish.base64 is None:
        return json.dumps(wish.body, ensure_ascii=False).encode(errors="replace")
    try:
        return base64.b64decode(wish.base64, validate=True)
    except (binascii.Error, ValueError):
        raise ConsoleError("This is not base64.", action="Encode the bytes as RFC 4648 says.", field="base64") from None


def _shown(output: bytes | None) -> Any:
    if output is None:
        return None
    try:
        return json.loads(output)
    except (ValueError, RecursionError):
        return output.decode(errors="replace")


def _sealed(ticket: str) -> str:
    """As one part of an address, whatever the blob's name."""
    return base64.urlsafe_b64encode(ticket.encode()).decode().rstrip("=")


def _opened(ticket: str) -> str:
    """Empty, which is no ticket, for what was never sealed."""
    try:
        return base64.urlsafe_b64decode(ticket + "=" * (-len(ticket) % 4)).decode()
    except (binascii.Error, ValueError):
        return ""
