"""The test form: send an input to a function, once or twice, see what the cache did, keep samples and history."""

import json
from collections.abc import Sequence
from dataclasses import replace
from typing import Any
from urllib.parse import urlencode

from django.contrib import messages
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils.translation import gettext as _
from django.views.decorators.http import require_http_methods, require_POST

from console.web.arrivals import MOST_TICKET
from console.web.cache_chart import live_tag
from console.web.invoke_form import as_filled, form, plain, thumbs
from console.web.invoke_input import TABS, BadInput, Filled, read_form
from console.web.invoke_result import result_of
from console.web.invoke_shape import Shape, plain_shape, shape_of
from console.web.pages import page, say_error, told
from console.web.snippets import snippets
from deployments.domain.arrivals import Arrival
from deployments.domain.errors import ConsoleError, NotAllowed, NotFound, Unavailable
from deployments.domain.spec import BlobTrigger, HttpTrigger, ServiceBusTrigger
from deployments.models import Deployment, Invocation
from deployments.services import access, arrivals, caches, invocations
from deployments.services.access import Actor, Verb

HISTORY_SHOWN = 12
FIELDS = {"name": "sample_name", "body": "json"}  # what the services call them, and the form


@page
@require_http_methods(["GET", "POST"])
def test(request: HttpRequest, actor: Actor, name: str) -> HttpResponse:
    """The form and the result of what was sent last from it."""
    found = access.deployment(actor, name, Verb.TEST)
    try:
        url = str(invocations.live_function(found).outputs["url"])
    except ConsoleError as error:
        return render(request, "invoke/away.html", {**_frame(actor, found), "error": error.detail})
    shape, failure = _shape(actor, found)
    context: dict[str, Any] = {**_frame(actor, found), "url": url, "failure": failure}
    context["ticket"] = request.GET.get("ticket", "")[:MOST_TICKET]
    if request.method == "POST":
        try:
            filled = read_form(request.POST, request.FILES.get("file"), shape)
            return _sent(request, actor, found, filled)
        except (NotAllowed, NotFound):
            raise
        except (BadInput, ConsoleError) as error:
            return _refused(request, actor, found, shape, context, error)
    calls = _asked_for(request, actor, found)
    start = _start(request, actor, found, shape, calls)
    context |= form(shape, start, tab=request.GET.get("tab", ""))
    context |= _beside(request, actor, found, shape, start, calls, url=url)
    return render(request, "invoke/test.html", context)


@page
@require_POST
def test_again(request: HttpRequest, actor: Actor, name: str, number: int) -> HttpResponse:
    """Send a kept call once more, as it was."""
    found = access.deployment(actor, name, Verb.TEST)
    kept = invocations.invocation(actor=actor, deployment=found, number=number)
    with told(request):
        if kept.request.get("omitted"):
            raise BadKept(_("This input was too long to be kept."), action=_("Fill it in again."))
        return _answered(request, actor, found, [_send(actor, found, as_filled(kept))])
    return redirect("web:test", name)


@page
@require_POST
def test_pin(request: HttpRequest, actor: Actor, name: str, number: int) -> HttpResponse:
    """Keep a call longer than the deployment keeps others, or no longer."""
    found = access.deployment(actor, name, Verb.TEST)
    invocations.pin(actor=actor, deployment=found, number=number, pinned=request.POST.get("pinned") == "yes")
    return redirect(f"{reverse('web:test', args=[name])}#history")


@page
@require_POST
def sample_delete(request: HttpRequest, actor: Actor, name: str, number: int) -> HttpResponse:
    """Forget a sample."""
    found = access.deployment(actor, name, Verb.TEST)
    invocations.delete_sample(actor=actor, deployment=found, number=number)
    messages.success(request, _("The sample is gone."))
    return redirect("web:test", name)


class BadKept(ConsoleError):
    """A kept call that cannot be sent again."""

    code = "not_kept"


def _frame(actor: Actor, found: Deployment) -> dict[str, Any]:
    return {
        "crumbs": [
            (_("Deployments"), reverse("web:deployments")),
            (found.name, reverse("web:deployment", args=[found.name])),
            (_("Test"), ""),
        ],
        "deployment": found,
        "live": found.live_revision,
        "version": live_tag(found),
        "may_deploy": access.may(actor, Verb.DEPLOY, found.environment),
        "may_inputs": access.may(actor, Verb.VIEW_INPUTS, found.environment),
        "kept_days": found.keep_invocations_days,
        "fed_by": _feeder(found),
    }


def _feeder(found: Deployment) -> BlobTrigger | ServiceBusTrigger | None:
    """What calls the function; None where HTTP requests do."""
    live = found.live_revision
    return None if live is None or isinstance(live.spec.trigger, HttpTrigger) else live.spec.trigger


def _shape(actor: Actor, found: Deployment) -> tuple[Shape, ConsoleError | None]:
    """What the function takes, by its own word; by the Spec alone while it does not answer."""
    live = found.live_revision or found.latest_revision()
    try:
        return shape_of(invocations.description(actor=actor, deployment=found), live.spec), None
    except Unavailable as error:
        return plain_shape(live.spec), error


def _sent(request: HttpRequest, actor: Actor, found: Deployment, filled: Filled) -> HttpResponse:
    """Do what the button says, then show it under an address of its own, which may be reloaded."""
    wish = request.POST.get("send", "once")
    if wish == "sample":
        name = request.POST.get("sample_name", "")
        sample = invocations.save_sample(actor=actor, deployment=found, name=name, body=filled.body)
        messages.success(request, _("Saved as the sample “%(name)s”.") % {"name": sample.name})
        return redirect(f"{reverse('web:test', args=[found.name])}?{urlencode({'sample': sample.pk})}")
    if wish == "put":
        content = json.dumps(filled.body, ensure_ascii=False).encode()
        ticket = arrivals.put(actor=actor, deployment=found, arrival=Arrival(content, content_type="application/json"))
        return redirect(f"{reverse('web:test', args=[found.name])}?{urlencode({'ticket': ticket})}#arrivals")
    filled = replace(filled, label=_sample_name(actor, found, request.POST.get("sample", ""), filled) or filled.label)
    calls = [_send(actor, found, filled)]
    if wish == "twice":
        calls.append(_send(actor, found, filled, cache=_second(filled.cache, calls[0])))
    return _answered(request, actor, found, calls, tab=request.POST.get("tab", ""))


def _answered(
    request: HttpRequest, actor: Actor, found: Deployment, calls: Sequence[Invocation], *, tab: str = ""
) -> HttpResponse:
    """To the address of the result; where calls are not kept there is none, and this answer alone shows it."""
    if all(call.pk for call in calls):
        return redirect(_address(found, calls, tab=tab))
    shape, failure = _shape(actor, found)
    url, start = str(invocations.live_function(found).outputs["url"]), as_filled(calls[0])
    context = {**_frame(actor, found), "url": url, "failure": failure, **form(shape, start, tab=tab)}
    context |= _beside(request, actor, found, shape, start, calls, url=url)
    return render(request, "invoke/test.html", context)


def _sample_name(actor: Actor, found: Deployment, number: str, filled: Filled) -> str:
    """The name of the sample that the form began with, if it is sent as it was."""
    if not _is_number(number) or not access.may(actor, Verb.VIEW_INPUTS, found.environment):
        return ""
    sample = invocations.samples(actor=actor, deployment=found).filter(pk=int(number)).first()
    return sample.name if sample is not None and sample.body == filled.body else ""


def _second(chosen: str, first: Invocation) -> str:
    """How the second call uses the cache, so that the two show one answer of the cache and one of the model.

    After a stored answer the model is asked afresh; after the model's the cache. Where the cache is to be left
    alone it is left alone twice: then the two show whether the model answers the same each time.
    """
    if chosen == "no-store":
        return chosen
    return "no-cache" if first.cache == "hit" else "default"


def _send(actor: Actor, found: Deployment, filled: Filled, *, cache: str = "") -> Invocation:
    made, _answer = invocations.invoke(
        actor=actor,
        deployment=found,
        body=filled.body,
        method=filled.method,
        headers=filled.headers,
        query=filled.query,
        cache=cache or filled.cache,  # type: ignore[arg-type]  # the invoker refuses any other word
        label=filled.label,
    )
    return made


def _address(found: Deployment, calls: Sequence[Invocation], *, tab: str = "") -> str:
    query = {"result": ",".join(str(call.pk) for call in calls), **({"tab": tab} if tab in TABS else {})}
    return f"{reverse('web:test', args=[found.name])}?{urlencode(query)}#result"


def _refused(
    request: HttpRequest,
    actor: Actor,
    found: Deployment,
    shape: Shape,
    context: dict[str, Any],
    error: BadInput | ConsoleError,
) -> HttpResponse:
    """The form as it was filled in, with what is wrong beside the field at fault."""
    post = request.POST
    where = error.where if isinstance(error, BadInput) else FIELDS.get(error.field, error.field)
    start = replace(
        plain(shape, None, label=""), cache=post.get("cache", "default"), method=post.get("method", shape.methods[0])
    )
    context |= form(shape, start, tab=post.get("tab", ""))
    context |= {
        "json_text": post.get("json", ""),
        "query_text": post.get("query", ""),
        "headers_text": post.get("headers", ""),
        "sample_name": post.get("sample_name", ""),
        "cells": [(field, post.get(f"f{index}", "")) for index, field in enumerate(shape.fields)],
        "wrong": {"where": where, "message": str(error), "action": _action(error)},
        "more_open": where in ("query", "headers", "method"),
    }
    if not where and isinstance(error, ConsoleError):
        say_error(request, error)
    context |= _beside(request, actor, found, shape, start, [], url=context["url"])
    return render(request, "invoke/test.html", context, status=422 if where else 200)


def _action(error: BadInput | ConsoleError) -> str:
    return error.detail.action if isinstance(error, ConsoleError) else ""


def _asked_for(request: HttpRequest, actor: Actor, found: Deployment) -> list[Invocation]:
    """The calls that the address names, in its order; what is no call of this deployment is left out."""
    numbers = [int(text) for text in request.GET.get("result", "").split(",") if _is_number(text)][:2]
    kept = {call.pk: call for call in _seen(actor, found).filter(pk__in=numbers)}
    return [kept[number] for number in numbers if number in kept]


def _seen(actor: Actor, found: Deployment) -> QuerySet[Invocation]:
    """The calls that the actor may see: the team's, or their own alone."""
    everyone = access.may(actor, Verb.VIEW_INPUTS, found.environment)
    return invocations.history(actor=actor, deployment=found, everyone=everyone)


def _start(request: HttpRequest, actor: Actor, found: Deployment, shape: Shape, calls: Sequence[Invocation]) -> Filled:
    """What the form begins with: what was sent, a sample, an entry of the cache, else the model's own example."""
    number = request.GET.get("sample", "")
    if _is_number(number) and access.may(actor, Verb.VIEW_INPUTS, found.environment):
        sample = invocations.samples(actor=actor, deployment=found).filter(pk=int(number)).first()
        if sample is not None:
            return plain(shape, sample.body, label=sample.name)
    if key := request.GET.get("entry", ""):
        with told(request):
            try:
                entry = caches.entry(actor=actor, deployment=found, key=key)
            except NotFound as error:
                say_error(request, error)
            else:
                return plain(shape, shape.wrap(entry.input) if entry.has_input else None, label="")
    again = request.GET.get("again", "")
    kept = calls[0] if calls else None
    if kept is None and _is_number(again):
        kept = _seen(actor, found).filter(pk=int(again)).first()
    if kept is not None and not kept.request.get("omitted"):
        return as_filled(kept)
    return plain(shape, None, label="")


def _beside(
    request: HttpRequest,
    actor: Actor,
    found: Deployment,
    shape: Shape,
    start: Filled,
    calls: Sequence[Invocation],
    *,
    url: str,
) -> dict[str, Any]:
    """The result, the snippets, the samples and the history."""
    inputs = access.may(actor, Verb.VIEW_INPUTS, found.environment)
    everyone = inputs and request.GET.get("team") == "1"
    history = list(invocations.history(actor=actor, deployment=found, everyone=everyone)[:HISTORY_SHOWN])
    samples = list(invocations.samples(actor=actor, deployment=found)) if inputs else []
    number = request.GET.get("sample", "")
    return {
        "result": result_of(calls),
        "history": history,
        "everyone": everyone,
        "samples": samples,
        "sample": next((sample for sample in samples if str(sample.pk) == number), None),
        "thumbs": thumbs(shape, samples, history) if shape.draws else [],
        "snippets": snippets(url, start.body, method=start.method, query=start.query, headers=start.headers),
        "snippet": request.GET.get("snippet", "curl"),
    }


def _is_number(text: str) -> bool:
    """Whether it can be the number of a row."""
    return text.isdecimal() and len(text) < 19
