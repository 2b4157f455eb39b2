"""Runs: the list, one run with its timeline and live log, and what can be done with it."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from django.db import transaction
from django.db.models import Q, QuerySet
from django.http import HttpRequest, HttpResponse, StreamingHttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext as _
from django.views.decorators.http import require_GET, require_POST

from console.web.filters import build_filter
from console.web.log import log_page, log_tail
from console.web.pages import page, paginate, told
from console.web.states import KIND, RUN
from console.web.timeline import timeline
from deployments.domain.errors import ErrorDetail, NotFound
from deployments.domain.spec import Spec
from deployments.domain.states import RunKind, RunState, StepState
from deployments.models import Event, Run
from deployments.services import access
from deployments.services.access import Actor, Verb
from deployments.services.deployments import change_deployment
from deployments.services.runs import cancel_run, retry_run, start_run

LOG_CHUNK = 2_000


@page
@require_GET
def runs(request: HttpRequest, actor: Actor) -> HttpResponse:
    """Every run the actor may see, newest first."""
    context = {
        "crumbs": [(_("Runs"), "")],
        "filters": [
            build_filter(
                request,
                title=_("State"),
                parameter="state",
                options=[(state, look.word, None) for state, look in RUN.items()],
            ),
            build_filter(
                request,
                title=_("Kind"),
                parameter="kind",
                options=[(kind, word, None) for kind, word in KIND.items()],
            ),
            build_filter(
                request,
                title=_("Environment"),
                parameter="environment",
                options=[(env.name, env.name, None) for env in access.environments(actor)],
            ),
        ],
        "now": timezone.now(),
        **paginate(request, _filtered(request, access.runs(actor))),
    }
    return render(request, "runs/list.html", context)


@page
@require_GET
def run(request: HttpRequest, actor: Actor, run_id: int) -> HttpResponse:
    """One run: what happened, on one time axis, and the log."""
    found = access.run(actor, run_id)
    return render(
        request,
        "runs/detail.html",
        {
            "crumbs": [
                (_("Deployments"), reverse("web:deployments")),
                (found.deployment.name, reverse("web:deployment", args=[found.deployment.name])),
                (str(found), ""),
            ],
            **_told(actor, found),
            "log": log_page(found, request.GET),
        },
    )


@page
@require_GET
def run_log(request: HttpRequest, actor: Actor, run_id: int) -> HttpResponse:
    """The lines after a cursor, and the parts of the page that may have changed since; asked again by the page."""
    found = access.run(actor, run_id)
    context = {**_told(actor, found), "log": log_tail(found, request.GET), "shown": request.GET.get("shown", "")}
    return render(request, "runs/log_tail.html", context)


@page
@require_GET
def run_log_download(request: HttpRequest, actor: Actor, run_id: int) -> StreamingHttpResponse:
    """The whole log as text, one line per event."""
    found = access.run(actor, run_id)
    name = f"{found.deployment.name}-run-{found.pk}.log"
    return StreamingHttpResponse(
        _text_lines(found.events.order_by("seq")),
        content_type="text/plain; charset=utf-8",
        headers={"Content-Disposition": f'attachment; filename="{name}"'},
    )


@page
@require_POST
def run_cancel(request: HttpRequest, actor: Actor, run_id: int) -> HttpResponse:
    """Ask a run to stop."""
    with told(request):
        cancel_run(actor=actor, run=access.run(actor, run_id))
    return redirect("web:run", run_id)


@page
@require_POST
def run_retry(request: HttpRequest, actor: Actor, run_id: int) -> HttpResponse:
    """Try the same again as a new run, which keeps what exists."""
    with told(request):
        return redirect("web:run", retry_run(actor=actor, run=access.run(actor, run_id)).pk)
    return redirect("web:run", run_id)


@page
@require_POST
def run_fix(request: HttpRequest, actor: Actor, run_id: int) -> HttpResponse:
    """Do what the failed run's error offers: add the missing requirement as a revision, and deploy that."""
    found = access.run(actor, run_id, Verb.DEPLOY)
    requirement = next((failure.requirement for failure in failures_of(found) if failure.requirement), "")
    if not requirement:
        raise NotFound("This run offers nothing to add.")
    spec = found.revision.spec.dump()
    spec["runtime"]["requirements"] = [*spec["runtime"]["requirements"], requirement]
    note = _("added %(requirement)s") % {"requirement": requirement}
    with told(request), transaction.atomic():
        change_deployment(
            actor=actor,
            deployment=found.deployment,
            spec=Spec.load(spec),
            note=note,
            expected_revision=found.revision.number,
        )
        again = start_run(actor=actor, deployment=found.deployment, kind=RunKind.DEPLOY, reason=note)
        return redirect("web:run", again.pk)
    return redirect("web:run", run_id)


@dataclass(frozen=True, slots=True)
class Failure:
    """What went wrong in one step, or in the run itself; `requirement` can be added by a button."""

    where: str
    detail: ErrorDetail
    requirement: str


def failures_of(run: Run) -> list[Failure]:
    """The errors of the failed steps; the run's own where no step has one."""
    found = [(step.title, step.error_detail) for step in run.steps.all() if step.state == StepState.FAILED]
    told_errors = [(where, detail) for where, detail in found if detail]
    if not told_errors and run.state == RunState.FAILED and run.error_detail:
        told_errors = [("", run.error_detail)]
    return [Failure(where, detail, _requirement(detail)) for where, detail in told_errors]


def _requirement(detail: ErrorDetail) -> str:
    return detail.fix.get("add", "") if detail.fix.get("field") == "runtime.requirements" else ""


def _told(actor: Actor, run: Run) -> dict[str, Any]:
    """What the page and its refreshed parts say of a run."""
    steps = list(run.steps.all())
    done = [step.title for step in steps if step.state == StepState.SUCCEEDED]
    now = timezone.now()
    return {
        "run": run,
        "deployment": run.deployment,
        "timeline": timeline(run, steps, now=now),
        "elapsed": run.duration(now),
        "failures": failures_of(run),
        "kept": ", ".join(done),
        "waiting": [step for step in steps if step.state == StepState.WAITING],
        "may_deploy": access.may(actor, Verb.DEPLOY, run.deployment.environment),
        "may_retry": run.state in (RunState.FAILED, RunState.CANCELLED) and run.deployment.active_run() is None,
    }


def _filtered(request: HttpRequest, runs: QuerySet[Run]) -> QuerySet[Run]:
    wanted = request.GET
    if wanted.get("state") in set(RunState):
        runs = runs.filter(state=wanted["state"])
    if wanted.get("kind") in set(RunKind):
        runs = runs.filter(kind=wanted["kind"])
    if name := wanted.get("environment"):
        runs = runs.filter(deployment__environment__name=name)
    if text := wanted.get("q", "").strip():
        asked = Q(deployment__name__icontains=text) | Q(reason__icontains=text)
        if text.isdecimal():
            asked |= Q(pk=int(text))
        runs = runs.filter(asked)
    return runs


def _text_lines(events: QuerySet[Event]) -> Iterator[str]:
    for event in events.iterator(chunk_size=LOG_CHUNK):
        yield f"{event.time.isoformat(timespec='milliseconds')} {event.level:5} {event.step:16} {event.message}\n"
