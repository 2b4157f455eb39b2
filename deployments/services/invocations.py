"""Verbs of the test form: call the function, remember the call, keep samples."""

import json
from collections.abc import Mapping
from datetime import timedelta
from typing import Any
from urllib.parse import urlsplit

from django.db import IntegrityError, transaction
from django.db.models import Q, QuerySet
from django.utils import timezone

from .. import audit
from ..domain.errors import Conflict, ConsoleError, NotFound
from ..domain.states import DeploymentStatus
from ..engine.binding import target_of
from ..invoker import Answer, CacheUse, Call, send
from ..models import Deployment, Invocation, ManagedResource, Sample
from ..policy import Actor, Verb
from .access import require
from .held import drop_held, held_secrets

KEPT = timedelta(days=30)
MOST_KEPT_BYTES = 256 * 1024  # of a request, and of an answer
MOST_SAMPLES = 200


def invoke(
    *,
    actor: Actor,
    deployment: Deployment,
    body: Any,
    method: str = "POST",
    headers: Mapping[str, str] | None = None,
    query: Mapping[str, Any] | None = None,
    cache: CacheUse = "default",
    label: str = "",
) -> tuple[Invocation, Answer]:
    """Call the deployment's function and keep what was sent and what came back, for 30 days.

    Raises NotAllowed, Conflict where nothing is live, ConsoleError for a call that may not be made,
    Unavailable where the function does not answer.
    """
    require(actor, Verb.TEST, deployment.environment, subject=deployment.name)
    row = live_function(deployment)
    call = Call(body=body, method=method.upper(), headers=headers, query=query, cache=cache)
    answer = _send(deployment, row, str(row.outputs["url"]), call)
    request = {"body": body, "method": call.method, "headers": dict(headers or {}), "query": dict(query or {})}
    with transaction.atomic():
        invocation = Invocation.objects.create(
            deployment=deployment,
            user=actor.user,
            label=label[:120],
            request={**(request if _fits(request) else {"omitted": True}), "cache": cache},
            response={"body": answer.body if _fits(answer.body) else None, "omitted": not _fits(answer.body)},
            status=answer.status,
            cache=answer.cache or "",
            key=answer.key,
            duration_ms=answer.duration_ms,
            timings=answer.timings,
        )
        Invocation.objects.filter(at__lt=timezone.now() - KEPT, pinned=False).delete()
        audit.record(actor, "invoke", deployment.name, environment=deployment.environment)
    return invocation, answer


def live_function(deployment: Deployment) -> ManagedResource:
    """The row of the function that serves now, with its `url`. Raises Conflict with what to do where none does."""
    key = target_of(deployment.environment).function_key()
    row = deployment.resources.filter(key=key).exclude(ready_at=None).order_by("-ready_at").first()
    if row is None or deployment.live_revision_id is None or not row.outputs.get("url"):
        under_way = deployment.status in (DeploymentStatus.DEPLOYING, DeploymentStatus.WAITING)
        raise Conflict(
            f"{deployment.name} is not live.",
            code="not_live",
            cause="Its run is under way." if under_way else "No revision of it serves requests.",
            action="Wait for the run to end." if under_way else "Start a deploy run of it.",
        )
    return row


def description(*, actor: Actor, deployment: Deployment) -> dict[str, Any]:
    """The function's own OpenAPI document: what it takes, with an example. Raises as `invoke`."""
    require(actor, Verb.TEST, deployment.environment, subject=deployment.name)
    row = live_function(deployment)
    url = urlsplit(str(row.outputs["url"]))
    answer = _send(deployment, row, f"{url.scheme}://{url.netloc}/openapi.json", Call(body=None, method="GET"))
    return answer.body if answer.status == 200 and isinstance(answer.body, dict) else {}


def key_of(*, actor: Actor, deployment: Deployment, body: Any) -> str:
    """The cache key of an input: the function scores it without touching the cache and tells. Raises as `invoke`."""
    require(actor, Verb.TEST, deployment.environment, subject=deployment.name)
    row = live_function(deployment)
    answer = _send(deployment, row, str(row.outputs["url"]), Call(body=body, cache="no-store"))
    if answer.key:
        return answer.key
    told = answer.body.get("error") if isinstance(answer.body, dict) else None
    raise ConsoleError(
        str(told.get("message")) if isinstance(told, dict) else f"The function answered {answer.status}.",
        action=str(told.get("hint", "")) if isinstance(told, dict) else "",
        field="body",
        code="no_key",
    )


def history(*, actor: Actor, deployment: Deployment, everyone: bool = False) -> QuerySet[Invocation]:
    """Test calls that are still kept, newest first: the actor's own, or the whole team's."""
    require(actor, Verb.VIEW_INPUTS, deployment.environment, subject=deployment.name)
    kept = Q(at__gte=timezone.now() - KEPT) | Q(pinned=True)
    found = Invocation.objects.filter(kept, deployment=deployment).select_related("user")
    return found if everyone else found.filter(user=actor.user)


def invocation(*, actor: Actor, deployment: Deployment, number: int) -> Invocation:
    """One kept call of anybody in the team. Raises NotFound."""
    found = history(actor=actor, deployment=deployment, everyone=True).filter(pk=number).first()
    if found is None:
        raise NotFound("There is no such call.", cause="Calls are kept for 30 days.", action="Send the input again.")
    return found


def pin(*, actor: Actor, deployment: Deployment, number: int, pinned: bool) -> Invocation:
    """Keep a call beyond its 30 days, or no longer. Raises NotFound or NotAllowed."""
    require(actor, Verb.TEST, deployment.environment, subject=deployment.name)
    found = invocation(actor=actor, deployment=deployment, number=number)
    found.pinned = pinned
    found.save(update_fields=["pinned"])
    return found


def samples(*, actor: Actor, deployment: Deployment) -> QuerySet[Sample]:
    """The named inputs of a deployment, by name."""
    require(actor, Verb.VIEW_INPUTS, deployment.environment, subject=deployment.name)
    return Sample.objects.filter(deployment=deployment)


def save_sample(*, actor: Actor, deployment: Deployment, name: str, body: Any, expected: Any = None) -> Sample:
    """Keep an input under a name. Raises Conflict for a name that is taken, ConsoleError for a bad one."""
    require(actor, Verb.TEST, deployment.environment, subject=deployment.name)
    name = name.strip()
    if not name or len(name) > 80 or not name.isprintable():
        raise ConsoleError(
            "A sample needs a name of at most 80 printable letters.", action="Say what it shows.", field="name"
        )
    if body is None or not _fits(body):
        raise ConsoleError(
            "This input cannot be kept as a sample.",
            cause=f"It is empty, or longer than {MOST_KEPT_BYTES // 1024} kB.",
            action="Keep fewer rows.",
            field="body",
        )
    if Sample.objects.filter(deployment=deployment).count() >= MOST_SAMPLES:
        raise Conflict(f"{deployment.name} has {MOST_SAMPLES} samples.", action="Delete one that is not needed.")
    try:
        with transaction.atomic():
            sample = Sample.objects.create(
                deployment=deployment, name=name, body=body, expected=expected, created_by=actor.user
            )
            audit.record(actor, "save_sample", f"{deployment.name}: {name}", environment=deployment.environment)
    except IntegrityError:
        raise Conflict(
            f"There is a sample called {name} already.", action="Choose another name.", field="name"
        ) from None
    return sample


def delete_sample(*, actor: Actor, deployment: Deployment, number: int) -> None:
    """Forget a sample. Raises NotFound or NotAllowed."""
    require(actor, Verb.TEST, deployment.environment, subject=deployment.name)
    found = Sample.objects.filter(deployment=deployment, pk=number).first()
    if found is None:
        raise NotFound("There is no such sample.", action="List the samples.")
    with transaction.atomic():
        found.delete()
        audit.record(actor, "delete_sample", f"{deployment.name}: {found.name}", environment=deployment.environment)


def _send(deployment: Deployment, row: ManagedResource, url: str, call: Call) -> Answer:
    answer = send(url, call, function_key=held_secrets(deployment, row.key).get("key", ""))
    if answer.status != 401:
        return answer
    # The key was changed since it was read: once more with the new one.
    drop_held(deployment, row.key)
    return send(url, call, function_key=held_secrets(deployment, row.key).get("key", ""))


def _fits(value: Any) -> bool:
    try:
        return len(json.dumps(value)) <= MOST_KEPT_BYTES
    except RecursionError:  # read as JSON, and nested too deeply to be written as such
        return False
