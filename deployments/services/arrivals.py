"""Verbs of what blobs or messages call: put one there, see what became of it, and how many wait."""

from collections.abc import Mapping
from dataclasses import replace

from django.utils import timezone

from .. import audit
from ..domain.arrivals import Arrival, Fate, Inbox, Tally
from ..domain.errors import Conflict
from ..domain.resources import Context
from ..engine.binding import target_of
from ..models import Deployment, ManagedResource
from ..policy import Actor, Verb
from .access import may, require

_WITHHELD = "the function refused it; why is shown to those who may see inputs, its code is in the trigger's log"


def put(*, actor: Actor, deployment: Deployment, arrival: Arrival) -> str:
    """Put a blob or a message before the function, as whoever feeds it would; returns a ticket.

    Raises NotAllowed, Conflict where nothing feeds it, ConsoleError for what would never be taken, Unavailable.
    """
    require(actor, Verb.TEST, deployment.environment, subject=deployment.name)
    inbox, ctx, _row = _inbox(deployment)
    ticket = inbox.put(ctx, arrival)
    audit.record(actor, "put_arrival", deployment.name, environment=deployment.environment)
    return ticket


def fate(*, actor: Actor, deployment: Deployment, ticket: str) -> Fate:
    """What became of what was put. Raises as `put`, and NotFound for a ticket that is none.

    The reason why something failed may quote it, and is for those who may see inputs.
    """
    require(actor, Verb.TEST, deployment.environment, subject=deployment.name)
    inbox, ctx, _row = _inbox(deployment)
    found = inbox.fate(ctx, ticket)
    if not found.quotes_input or may(actor, Verb.VIEW_INPUTS, deployment.environment):
        return found
    return replace(found, reason=_WITHHELD, quotes_input=False)


def tally(*, actor: Actor, deployment: Deployment) -> tuple[Mapping[str, str], Tally | None]:
    """Where things arrive and answers go, by name, and how many there are. Raises as `put`."""
    require(actor, Verb.VIEW, deployment.environment, subject=deployment.name)
    inbox, ctx, row = _inbox(deployment)
    return {name: str(value) for name, value in row.outputs.items()}, inbox.tally(ctx)


def _inbox(deployment: Deployment) -> tuple[Inbox, Context, ManagedResource]:
    ref = deployment.ref()
    target = target_of(deployment.environment)
    for row in deployment.resources.exclude(ready_at=None):
        resource = target.recorded(row.recorded(), ref)
        if isinstance(resource, Inbox):
            return resource, Context(deployment=ref, now=timezone.now(), generation=row.generation), row
    raise Conflict(
        f"Nothing can be put before {deployment.name} from here.",
        code="no_inbox",
        cause="HTTP requests call it, it is not live, or its environment keeps blobs and queues elsewhere.",
        action="Send it a test call, or deploy it with a trigger of blobs or messages to a local environment.",
    )
