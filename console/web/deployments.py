"""Deployments: the list, one of them with all that runs and ran, and the verbs on it."""

from dataclasses import dataclass
from typing import Any

from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from django.views.decorators.http import require_GET, require_http_methods, require_POST

from console.web.deployment_list import SERVING, filters_for, listed, narrowed, sorted_by
from console.web.diff import Part, artifact_names, changed_paths, spec_diff
from console.web.formats import duration
from console.web.kept import stored_words
from console.web.pages import page, paginate, told
from console.web.plan import lay_out
from console.web.runs import failures_of
from console.web.states import FOLLOWED
from console.web.traffic import DAY, SPANS, chart, look, traffic_query
from console.web.traffic import told as told_figures
from deployments.domain.errors import Conflict, ConsoleError, NotAllowed, NotFound, Unavailable
from deployments.domain.spec import BlobTrigger, HttpTrigger, Spec, Trigger
from deployments.domain.states import RunKind, RunState
from deployments.models import Deployment, Invocation, Revision, Sighting
from deployments.services import access, caches
from deployments.services.access import Actor, Verb
from deployments.services.deployments import forget_deployment, may_forget
from deployments.services.health import execution_in, execution_of, health
from deployments.services.invocations import live_function
from deployments.services.plans import plan_destroy
from deployments.services.runs import start_run

REVISIONS_SHOWN = 10
INVOCATIONS_SHOWN = 8
RUNS_SHOWN = 5
ALLOWED_KINDS = {RunKind.DEPLOY, RunKind.RESTART}


@page
@require_GET
def deployments(request: HttpRequest, actor: Actor) -> HttpResponse:
    """What the actor may see, filtered and sorted."""
    everything = listed(access.deployments(actor))
    found = sorted_by(request.GET.get("order", ""), narrowed(everything, request.GET))
    context = {
        "crumbs": [(_("Deployments"), "")],
        "filters": filters_for(request, everything),
        "total": len(everything),
        "may_deploy": access.may(actor, Verb.DEPLOY),
        **(pages := paginate(request, found)),
        "traffic_query": traffic_query(line.name for line in pages["page"] if line.status in SERVING),
    }
    return render(request, "deployments/list.html", context)


@page
@require_GET
def deployment(request: HttpRequest, actor: Actor, name: str) -> HttpResponse:
    """One deployment: what runs now, its revisions, resources and calls, and what can be done next."""
    found = access.deployment(actor, name)
    revisions = list(found.revisions.select_related("created_by")[: REVISIONS_SHOWN + 1])
    last_run = found.runs.select_related("created_by").first()
    live = found.live_revision
    inputs = access.may(actor, Verb.VIEW_INPUTS, found.environment)
    context = {
        **(_traffic(request, actor, found) if live else {}),
        "crumbs": [(_("Deployments"), reverse("web:deployments")), (found.name, "")],
        "deployment": found,
        "status": found.status,
        "live": live,
        "now_running": _facts(live) if live else [],
        "execution": execution_of(found) if live else None,
        "url": function_url(found),
        "last_run": last_run,
        "recent_runs": found.runs.select_related("deployment", "revision")[:RUNS_SHOWN],
        "live_run": found.runs.filter(revision=live, kind=RunKind.DEPLOY, state=RunState.SUCCEEDED).first(),
        "failures": failures_of(last_run) if last_run and last_run.state == RunState.FAILED else [],
        "under_way": found.status in FOLLOWED,
        "sighting": Sighting.objects.filter(deployment=found, revision=live).first() if live else None,
        "revisions": _told_revisions(revisions)[:REVISIONS_SHOWN],
        "revision_count": found.revisions.count(),
        "compare": _compared(revisions, live),
        "resources": found.resources.all(),
        "invocations": _recent_calls(found) if inputs else [],
        "may_see_inputs": inputs,
        "may_deploy": access.may(actor, Verb.DEPLOY, found.environment),
        "may_test": access.may(actor, Verb.TEST, found.environment),
        "may_forget": may_forget(found),
    }
    return render(request, "deployments/detail.html", context)


@page
@require_GET
def deployment_health(request: HttpRequest, actor: Actor, name: str) -> HttpResponse:
    """What the function says of itself now, for a page that has loaded already."""
    found = access.deployment(actor, name)
    context: dict[str, Any] = {}
    try:
        told_by_it = health(actor=actor, deployment=found)
    except (NotAllowed, NotFound):
        raise
    except ConsoleError as error:
        context["error"] = error.detail
    else:
        context |= {"health": told_by_it, "execution": execution_in(told_by_it)}
    return render(request, "deployments/health.html", {**context, "deployment": found})


@page
@require_POST
def deployment_run(request: HttpRequest, actor: Actor, name: str) -> HttpResponse:
    """Start a deploy of a revision (a rollback, if it is an earlier one) or a restart."""
    found = access.deployment(actor, name, Verb.DEPLOY)
    kind, number = request.POST.get("kind", ""), request.POST.get("revision", "")
    live = found.live_revision
    back = live is not None and number.isdecimal() and int(number) < live.number
    with told(request):
        if kind not in ALLOWED_KINDS:
            raise Conflict("This page starts deploys and restarts", action="Destroy from its own page.")
        run = start_run(
            actor=actor,
            deployment=found,
            kind=RunKind(kind),
            revision=int(number) if number.isdecimal() else None,
            reason=_("rolled back from revision %(n)d") % {"n": live.number} if back and live else "",
        )
        return redirect("web:run", run.pk)
    return redirect("web:deployment", name)


@page
@require_GET
def revisions_diff(request: HttpRequest, actor: Actor, name: str) -> HttpResponse:
    """Two revisions side by side, given as `from` and `to`."""
    found = access.deployment(actor, name)
    old, new = (_revision(found, request.GET.get(side, "")) for side in ("from", "to"))
    context = {
        "crumbs": [
            (_("Deployments"), reverse("web:deployments")),
            (found.name, reverse("web:deployment", args=[found.name])),
            (_("Compare"), ""),
        ],
        "deployment": found,
        "old": old,
        "new": new,
        "parts": spec_diff(old.spec, new.spec),
        "may_deploy": access.may(actor, Verb.DEPLOY, found.environment),
    }
    return render(request, "deployments/diff.html", context)


@page
@require_http_methods(["GET", "POST"])
def deployment_destroy(request: HttpRequest, actor: Actor, name: str) -> HttpResponse:
    """List what a destroy takes away; with the typed name, start it."""
    found = access.deployment(actor, name, Verb.DEPLOY)
    error: Conflict | None = None
    if request.method == "POST":
        try:
            run = start_run(
                actor=actor, deployment=found, kind=RunKind.DESTROY, confirm=request.POST.get("confirm", "").strip()
            )
        except Conflict as conflict:
            error = conflict
        else:
            return redirect("web:run", run.pk)
    context = {
        "crumbs": [
            (_("Deployments"), reverse("web:deployments")),
            (found.name, reverse("web:deployment", args=[found.name])),
            (_("Destroy"), ""),
        ],
        "deployment": found,
        "status": found.status,
        "plan": lay_out(plan := plan_destroy(actor=actor, deployment=found)),
        "lost": plan.irreversible,
        "resources": len(plan.changes),
        "entries": _entries(actor, found),
        "error": error,
    }
    return render(request, "deployments/destroy.html", context, status=409 if error else 200)


@page
@require_POST
def deployment_forget(request: HttpRequest, actor: Actor, name: str) -> HttpResponse:
    """Delete the records of a deployment that is gone."""
    found = access.deployment(actor, name, Verb.DEPLOY)
    with told(request):
        forget_deployment(actor=actor, deployment=found)
        return redirect("web:deployments")
    return redirect("web:deployment", name)


def _entries(actor: Actor, found: Deployment) -> caches.Deletion | None:
    """How many stored answers there are; None while the cache cannot tell."""
    try:
        return caches.delete_entries(actor=actor, deployment=found, match="*", dry_run=True)
    except (Conflict, Unavailable):
        return None


def _traffic(request: HttpRequest, actor: Actor, found: Deployment) -> dict[str, Any]:
    """The cache's figures over the span that the address asks for."""
    chosen = request.GET.get("span", "24h")
    minutes = next((minutes for minutes, name in SPANS if name == chosen), DAY)
    seen = look(actor, found, minutes=minutes)
    figures = {"stats": told_figures(seen.statistics), "chart": chart(seen.statistics)} if seen.statistics else {}
    return {"seen": seen, "spans": SPANS, "minutes": minutes, **figures}


def function_url(of: Deployment) -> str:
    """Where the function answers; empty while none serves."""
    try:
        return str(live_function(of).outputs["url"])
    except Conflict:
        return ""


def _recent_calls(found: Deployment) -> QuerySet[Invocation]:
    return found.invocations.all().kept(timezone.now()).select_related("user")[:INVOCATIONS_SHOWN]


@dataclass(frozen=True, slots=True)
class ToldRevision:
    """A revision and what it changed, in words."""

    revision: Revision
    changed: str


def _told_revisions(revisions: list[Revision]) -> list[ToldRevision]:
    before = [*revisions[1:], None]
    return [ToldRevision(new, new.note or _changed(old, new)) for new, old in zip(revisions, before, strict=True)]


def _changed(old: Revision | None, new: Revision) -> str:
    if old is None:
        return _("first revision") if new.number == 1 else ""
    paths = changed_paths(old.spec, new.spec)
    if not paths:
        return _("the same definition, a new scoring server")
    told_paths = ", ".join(paths[:3])
    return f"{told_paths}, …" if len(paths) > 3 else told_paths


@dataclass(frozen=True, slots=True)
class Compared:
    """The two revisions that the page compares without being asked."""

    old: Revision
    new: Revision
    parts: list[Part]


def _compared(revisions: list[Revision], live: Revision | None) -> Compared | None:
    if len(revisions) < 2:
        return None
    new, old = revisions[0], revisions[1]
    if live and live.number < new.number:
        old = next((found for found in revisions if found.pk == live.pk), old)
    return Compared(old, new, spec_diff(old.spec, new.spec))


def _revision(of: Deployment, number: str) -> Revision:
    found = of.revisions.filter(number=int(number)).first() if number.isdecimal() and len(number) < 9 else None
    if found is None:
        raise NotFound(f"{of.name} has no revision {number}")
    return found


_AUTH = {
    "function": gettext_lazy("function key"),
    "anonymous": gettext_lazy("anyone"),
    "admin": gettext_lazy("host key"),
}


def _facts(live: Revision) -> list[tuple[str, Any, bool]]:
    """What runs now, as (label, value, monospaced)."""
    spec: Spec = live.spec
    names = artifact_names(spec)
    model = names.get(spec.model.artifact or "", "") or (spec.model.registered.name if spec.model.registered else "")
    facts = [
        (_("Model"), model, False),
        (_("Version"), live.model_version[:16], True),
        (_("Package"), live.package_digest[:16], True),
        (_("Python"), spec.runtime.python, False),
        (_("Trigger"), _trigger_words(spec.trigger), False),
        (_("Cache"), _cache_words(spec), False),
        (_("Keys"), _key_words(spec), False),
        (_("Inputs"), stored_words(spec.cache) if spec.cache.policy != "off" else "", False),
        (_("Processes"), spec.hosting.processes or _("as many as cores"), False),
        (_("A prediction"), _("%(n)d s at most") % {"n": spec.hosting.predict_seconds}, False),
        (_("Access"), _AUTH[spec.trigger.auth_level] if spec.trigger.kind == "http" else "", False),
    ]
    return [fact for fact in facts if fact[1]]


def _trigger_words(trigger: Trigger) -> str:
    match trigger:
        case HttpTrigger():
            return f"HTTP /api/{trigger.route}"
        case BlobTrigger():
            return _("blobs at %(path)s, answers at %(out)s") % {"path": trigger.path_in, "out": trigger.path_out}
    return _("messages of %(queue)s, answers to %(out)s") % {"queue": trigger.queue_in, "out": trigger.queue_out}


def _key_words(spec: Spec) -> str:
    """What one entry is for, and whether its name is made with a secret."""
    if spec.cache.policy == "off":
        return ""
    entry = _("one for each row") if spec.cache.keys == "row" else _("one for each request")
    return _("%(entry)s, with a secret") % {"entry": entry} if spec.cache.keyed_digests else entry


def _cache_words(spec: Spec) -> str:
    if spec.cache.policy == "off":
        return _("off")
    ttl = spec.cache.ttl_seconds
    words = _("%(mb)d MB, %(ttl)s") % {
        "mb": spec.cache.max_memory_mb,
        "ttl": duration(ttl) if ttl else _("no expiry"),
    }
    local = spec.cache.local_mb
    return _("%(words)s, and %(mb)d MB in each process") % {"words": words, "mb": local} if local else words
