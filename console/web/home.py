"""The home page - what needs a person, worst first - and the search."""

from datetime import timedelta
from urllib.parse import urlencode

from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils.translation import gettext as _
from django.views.decorators.http import require_GET, require_POST

from console.web.attention import attention
from console.web.deployment_list import SERVING, listed, narrowed, sorted_by
from console.web.pages import page, told
from console.web.traffic import traffic_query
from deployments.domain.errors import NotFound
from deployments.domain.spec import Spec
from deployments.domain.states import RunKind
from deployments.models import Artifact
from deployments.services import access
from deployments.services.access import Actor, Verb
from deployments.services.artifacts import usable_artifacts
from deployments.services.deployments import create_deployment
from deployments.services.runs import start_run, worker_seen

SHOWN = 8
RUNS_SHOWN = 6
SAMPLE, SAMPLE_ENVIRONMENT = "digits", "local"
FOUND = 20
WORKER_SILENT = timedelta(seconds=30)


@page
@require_GET
def home(request: HttpRequest, actor: Actor) -> HttpResponse:
    """What needs attention, then deployments and runs; with nothing deployed, what to begin with."""
    lines = listed(access.deployments(actor))
    if not lines:
        context = {
            "may_deploy": access.may(actor, Verb.DEPLOY),
            "environments": access.environments(actor),
            "sample": _sample_model(actor),
        }
        return render(request, "home/empty.html", context)
    items = attention(actor, lines, worker_silent=not worker_seen(within=WORKER_SILENT))
    serving = [line.name for line in lines if line.status in SERVING]
    context = {
        "items": items,
        "traffic_query": traffic_query(serving),
        "total": len(lines),
        "lines": sorted_by("status", lines)[:SHOWN],
        "runs": access.runs(actor)[:RUNS_SHOWN],
        "may_deploy": access.may(actor, Verb.DEPLOY),
    }
    return render(request, "home/home.html", context)


@page
@require_POST
def sample(request: HttpRequest, actor: Actor) -> HttpResponse:
    """Define the sample deployment and start it, with nothing to fill in."""
    place = access.environment(actor, SAMPLE_ENVIRONMENT, Verb.DEPLOY)
    model = _sample_model(actor)
    if model is None:
        raise NotFound("The sample model is not in the store.")
    with told(request):
        spec = Spec.load({"model": {"artifact": model.pk}})
        made = create_deployment(actor=actor, name=SAMPLE, environment=place, spec=spec, note=_("the sample model"))
        return redirect("web:run", start_run(actor=actor, deployment=made, kind=RunKind.DEPLOY).pk)
    return redirect("web:home")


@page
@require_GET
def search(request: HttpRequest, actor: Actor) -> HttpResponse:
    """Deployments and runs that the words name; one exact match is opened at once."""
    text = request.GET.get("q", "").strip()
    run = access.runs(actor).filter(pk=int(text)).first() if text.isdecimal() and len(text) < 12 else None
    deployments = access.deployments(actor)
    if exact := deployments.filter(name=text).first():
        return redirect("web:deployment", exact.name)
    # A cache key begins with the deployment's name: the inspector of that deployment finds it.
    prefix, colon, _rest = text.partition(":")
    if colon and (owner := deployments.filter(name=prefix).first()):
        return redirect(f"{reverse('web:cache', args=[owner.name])}?{urlencode({'match': text})}")
    context = {
        "crumbs": [(_("Search"), "")],
        "search_query": text,
        "lines": narrowed(listed(deployments), request.GET)[:FOUND] if text else [],
        "run": run,
    }
    return render(request, "home/search.html", context)


@page
@require_GET
def pick_test(request: HttpRequest, actor: Actor) -> HttpResponse:
    """Choose whose function to test; the only one is opened at once."""
    return _pick(request, actor, to="web:test", title=_("Test"), empty=_("There is no live function to test."))


@page
@require_GET
def pick_cache(request: HttpRequest, actor: Actor) -> HttpResponse:
    """Choose whose cache to inspect; the only one is opened at once."""
    return _pick(
        request, actor, to="web:cache", title=_("Cache inspector"), empty=_("There is no live cache to look into.")
    )


def _pick(request: HttpRequest, actor: Actor, *, to: str, title: str, empty: str) -> HttpResponse:
    lines = [line for line in sorted_by("name", listed(access.deployments(actor))) if line.status in SERVING]
    if len(lines) == 1:
        return redirect(to, lines[0].name)
    choices = [(line, reverse(to, args=[line.name])) for line in lines]
    return render(
        request, "home/pick.html", {"crumbs": [(title, "")], "title": title, "choices": choices, "empty": empty}
    )


def _sample_model(actor: Actor) -> Artifact | None:
    """The model that the first start trained, for whoever may use it and deploy where it belongs."""
    place = access.environments(actor).filter(name=SAMPLE_ENVIRONMENT).first()
    if place is None or not access.may(actor, Verb.DEPLOY, place):
        return None
    return usable_artifacts(actor).filter(name=f"{SAMPLE}.joblib").order_by("-created_at").first()
