"""From an input to what is kept of it: its entries under every version, test calls and samples, and erasing them."""

import json
from typing import Any

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils.translation import gettext as _
from django.views.decorators.http import require_http_methods, require_POST

from console.web.cache import frame, shape
from console.web.cache_chart import live_tag, told_version, versions_of
from console.web.invoke_input import BadInput, read_json
from console.web.pages import page
from deployments.cache.keys import KeySpace
from deployments.domain.errors import ConsoleError, NotAllowed, NotFound
from deployments.models import Deployment, Invocation
from deployments.services import access, inputs, invocations
from deployments.services.access import Actor, Verb
from deployments.services.inputs import Kept, Sent

HISTORY_SHOWN = 6
HISTORY_LOOKED_AT = 60
KEYS_SHOWN = 50
JSON = "application/json"


@page
@require_http_methods(["GET", "POST"])
def cache_find(request: HttpRequest, actor: Actor, name: str) -> HttpResponse:
    """Paste an input, or take one of the history's, and see all that is kept of it."""
    found = access.deployment(actor, name, Verb.VIEW_INPUTS)
    given = request.POST.get("body", "") if request.method == "POST" else _from_history(request, actor, found)
    context: dict[str, Any] = {"given": given}
    if request.method == "POST":
        try:
            body, sent = _read(request, found)
            kept = inputs.find_entries(actor=actor, deployment=found, body=body, sent=sent)
        except (NotAllowed, NotFound):
            raise
        except (BadInput, ConsoleError) as error:
            context["error"] = error
        else:
            context |= _told(found, kept)
    status = 422 if context.get("error") else 200
    return _page(request, actor, found, context, status=status)


@page
@require_POST
def cache_erase(request: HttpRequest, actor: Actor, name: str) -> HttpResponse:
    """Erase all that is kept of the input that was found."""
    found = access.deployment(actor, name, Verb.WRITE_CACHE)
    access.require(actor, Verb.VIEW_INPUTS, found.environment, subject=name)
    given, reason = request.POST.get("body", ""), request.POST.get("reason", "")
    try:
        body, sent = _read(request, found)
        kept = inputs.erase_entries(actor=actor, deployment=found, body=body, sent=sent, reason=reason)
    except (NotAllowed, NotFound):
        raise
    except (BadInput, ConsoleError) as error:
        return _page(request, actor, found, {"given": given, "error": error}, status=422)
    messages.success(
        request,
        _("Erased: stored answers %(entries)d, test calls %(calls)d, samples %(samples)d.")
        % {"entries": len(kept.keys), "calls": len(kept.calls), "samples": len(kept.samples)},
    )
    return redirect("web:cache_find", name)


def _page(
    request: HttpRequest, actor: Actor, found: Deployment, context: dict[str, Any], *, status: int
) -> HttpResponse:
    shown = {
        **frame(actor, found, _("Find and erase an input")),
        "recent": _recent(actor, found),
        "keeps_rows": inputs.keeps_rows(found),
        "had_script": inputs.had_script(found),
        "content_type": request.POST.get("content_type", JSON),
        **context,
    }
    return render(request, "cache/find.html", shown, status=status)


def _read(request: HttpRequest, found: Deployment) -> tuple[Any, Sent | None]:
    """The body that was filled in, or its text where a script's key is made of that. Raises BadInput."""
    given = request.POST.get("body", "")
    if not inputs.had_script(found):
        return shape(found).wrap(read_json(given)), None
    # A browser sends every end of a line as CR LF, whatever was pasted.
    text = given.replace("\r\n", "\n")
    if not text:
        raise BadInput("json", _("Fill in the input."))
    return None, Sent(text, request.POST.get("content_type", JSON).strip() or JSON)


def _recent(actor: Actor, found: Deployment) -> list[Invocation]:
    """The newest calls, each input once."""
    seen: list[Any] = []
    calls: list[Invocation] = []
    for call in invocations.history(actor=actor, deployment=found, everyone=True)[:HISTORY_LOOKED_AT]:
        body = call.request.get("body")
        if body is not None and body not in seen:
            seen.append(body)
            calls.append(call)
    return calls[:HISTORY_SHOWN]


def _from_history(request: HttpRequest, actor: Actor, found: Deployment) -> str:
    """The input of the call that the address names; empty without one."""
    number = request.GET.get("call", "")
    if not (number.isdecimal() and len(number) < 19):
        return ""
    kept = invocations.invocation(actor=actor, deployment=found, number=int(number))
    return json.dumps(kept.request["body"], ensure_ascii=False) if "body" in kept.request else ""


def _told(found: Deployment, kept: Kept) -> dict[str, Any]:
    """What was found, each key with the version that answered."""
    space, known, live = KeySpace(found.name), versions_of(found), live_tag(found)
    named = [(key, name) for key in kept.keys[:KEYS_SHOWN] if (name := space.name(key)) is not None]
    return {
        "kept": kept,
        "entries": [(key, name, told_version(name.version, known=known, live=live)) for key, name in named],
        "more_entries": len(kept.keys) - len(named),
    }
