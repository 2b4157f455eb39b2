"""Runs: started, followed, cancelled and tried again."""

from http import HTTPStatus
from typing import Annotated, Any

from django.http import HttpRequest, HttpResponse
from django.urls import reverse
from ninja import Query, Router

from console.api.answers import IdempotencyKey, made, respond
from console.api.auth import actor_of
from console.api.listing import Paging, listed
from console.api.operations import refusals
from console.api.schemas import EventOut, EventsOut, RunOut, RunSummary, RunWish, StepOut
from deployments.domain.states import RunKind, RunState
from deployments.models import Event, Run
from deployments.services import access, plans
from deployments.services.access import Verb
from deployments.services.idempotency import Answer
from deployments.services.runs import cancel_run, retry_run, start_run

of_deployment = Router()
router = Router()

RETRY_AFTER = "1"  # seconds: how often a run that was just started is worth looking at
MOST_EVENTS = 2_000


@of_deployment.get(
    "/{slug:name}/runs",
    operation_id="list_runs_of_deployment",
    summary="List the runs of a deployment",
    response={200: list[RunSummary], **refusals(403, 404, 422)},
)
def list_of_deployment(request: HttpRequest, response: HttpResponse, name: str, paging: Paging) -> list[RunSummary]:
    """Newest first."""
    actor = actor_of(request)
    rows = access.runs(actor).filter(deployment=access.deployment(actor, name)).order_by("-pk")
    return listed(request, response, rows, paging, lambda run: RunSummary(**_summary(run)))


@of_deployment.post(
    "/{slug:name}/runs",
    operation_id="start_run",
    summary="Start a run",
    response={202: RunOut, **refusals(400, 403, 404, 409, 422)},
)
def start(request: HttpRequest, name: str, wish: RunWish, key: IdempotencyKey = None) -> HttpResponse:
    """`deploy` brings the newest revision about, or the one that is named; `destroy` takes everything away and
    wants the name in `confirm`; `restart` starts again what should be running. Follow the Location.
    """
    actor = actor_of(request)
    if wish.plan:
        # Looked at before the transaction: looking takes as long as what is looked at.
        plans.require_plan(
            actor=actor,
            deployment=access.deployment(actor, name, Verb.DEPLOY),
            kind=wish.kind,
            revision=wish.revision,
            digest=wish.plan,
        )

    def act() -> Answer:
        run = start_run(
            actor=actor,
            deployment=access.deployment(actor, name, Verb.DEPLOY),
            kind=wish.kind,
            revision=wish.revision,
            confirm=wish.confirm,
            reason=wish.reason,
            approved_plan=wish.plan,
        )
        return _accepted(run)

    return respond(request, key, act)


@router.get("", operation_id="list_runs", summary="List runs", response={200: list[RunSummary], **refusals(403, 422)})
def list_runs(
    request: HttpRequest,
    response: HttpResponse,
    paging: Paging,
    deployment: Annotated[str, Query(max_length=40)] = "",
    environment: Annotated[str, Query(max_length=40)] = "",
    kind: RunKind | None = None,
    state: RunState | None = None,
) -> list[RunSummary]:
    """Of all deployments that you may see, newest first."""
    wanted: dict[str, Any] = {
        "deployment__name": deployment,
        "deployment__environment__name": environment,
        "kind": kind,
        "state": state,
    }
    rows = access.runs(actor_of(request)).filter(**{field: value for field, value in wanted.items() if value})
    return listed(request, response, rows.order_by("-pk"), paging, lambda run: RunSummary(**_summary(run)))


@router.get(
    "/{int:run_id}",
    operation_id="get_run",
    url_name="get_run",
    summary="Show a run",
    response={200: RunOut, **refusals(403, 404)},
)
def show(request: HttpRequest, response: HttpResponse, run_id: int) -> RunOut:
    """Its state and its steps. While it is under way, Retry-After says when to look again."""
    run = access.run(actor_of(request), run_id)
    if not run.is_over:
        response["Retry-After"] = RETRY_AFTER
    return _shown(run)


@router.get(
    "/{int:run_id}/events",
    operation_id="list_events",
    summary="Read a run's events",
    response={200: EventsOut, **refusals(403, 404, 422)},
)
def events(
    request: HttpRequest,
    run_id: int,
    after: Annotated[int, Query(ge=0, le=2**31 - 1, description="the cursor of the last answer")] = 0,
    limit: Annotated[int, Query(ge=1, le=MOST_EVENTS)] = 500,
) -> EventsOut:
    """What was appended after the cursor: a lost connection or a sleeping reader misses nothing."""
    # The run first: a run that is over when it is read appends nothing afterwards.
    run = access.run(actor_of(request), run_id)
    found = list(Event.objects.filter(run=run).after(after)[:limit])
    cursor = found[-1].seq if found else after
    return EventsOut(
        events=[EventOut(**event.as_dict()) for event in found],
        cursor=cursor,
        done=run.is_over and cursor >= run.last_seq,
    )


@router.post(
    "/{int:run_id}/cancel",
    operation_id="cancel_run",
    summary="Cancel a run",
    response={202: RunOut, **refusals(403, 404, 409)},
)
def cancel(request: HttpRequest, run_id: int) -> HttpResponse:
    """Asks it to stop; it does so on its next visit and keeps what is made, for a retry or a destroy."""
    actor = actor_of(request)
    run = cancel_run(actor=actor, run=access.run(actor, run_id, Verb.DEPLOY))
    return respond(request, None, lambda: _accepted(run))


@router.post(
    "/{int:run_id}/retry",
    operation_id="retry_run",
    summary="Try a run again",
    response={202: RunOut, **refusals(400, 403, 404, 409, 422)},
)
def retry(request: HttpRequest, run_id: int, key: IdempotencyKey = None) -> HttpResponse:
    """A new run that finds and keeps what the failed or cancelled one has made."""
    actor = actor_of(request)
    return respond(request, key, lambda: _accepted(retry_run(actor=actor, run=access.run(actor, run_id, Verb.DEPLOY))))


def _accepted(run: Run) -> Answer:
    location = reverse("api:get_run", args=[run.pk])
    return made(HTTPStatus.ACCEPTED, _shown(run), {"Location": location, "Retry-After": RETRY_AFTER})


def _shown(run: Run) -> RunOut:
    return RunOut(**_summary(run), steps=[StepOut.from_orm(step) for step in run.steps.all()])


def _summary(run: Run) -> dict[str, Any]:
    return {
        "id": run.pk,
        "deployment": run.deployment.name,
        "environment": run.deployment.environment.name,
        "kind": run.kind,
        "state": run.state,
        "reason": run.reason,
        "revision": run.revision.number,
        "retry_of": run.retry_of_id,
        "error": run.error,
        "cancel_requested_at": run.cancel_requested_at,
        "created_by": run.created_by.get_username() if run.created_by else None,
        "created_at": run.created_at,
        "started_at": run.started_at,
        "finished_at": run.finished_at,
    }
