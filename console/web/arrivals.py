"""Where blobs or messages arrive for a function, how many wait, and what became of one."""

from typing import Any

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_GET

from console.web.pages import page
from deployments.domain.arrivals import FateState
from deployments.domain.errors import ConsoleError, NotAllowed
from deployments.services import access, arrivals
from deployments.services.access import Actor

MOST_TICKET = 2_000


@page
@require_GET
def deployment_arrivals(request: HttpRequest, actor: Actor, name: str) -> HttpResponse:
    """A part of a page that has loaded already; it comes again while something waits."""
    found = access.deployment(actor, name)
    ticket = request.GET.get("ticket", "")[:MOST_TICKET]
    context: dict[str, Any] = {"deployment": found, "ticket": ticket}
    try:
        places, tally = arrivals.tally(actor=actor, deployment=found)
        context |= {"places": places, "tally": tally, "waits": tally is None or tally.waiting > 0}
        if ticket:
            fate = arrivals.fate(actor=actor, deployment=found, ticket=ticket)
            output = "" if fate.output is None else fate.output.decode(errors="replace")
            waits = fate.state == FateState.WAITING
            context |= {"fate": fate, "output": output, "waits": waits}
    except NotAllowed:
        raise
    except ConsoleError as error:
        context["error"] = error.detail
    return render(request, "deployments/arrivals.html", context)
