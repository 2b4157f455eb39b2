"""Verbs of the test form: call the function, remember the call, keep samples."""

import json
from collections.abc import Mapping
from dataclasses import replace
from typing import Any
from urllib.parse import urlsplit

from django.db import IntegrityError, transaction
from django.db.models import QuerySet
from django.utils import timezone

from .. import audit, policy
from ..domain.errors import Conflict, ConsoleError, NotFound
from ..domain.states import DeploymentStatus
from ..engine.binding import target_of
from ..invoker import Answer, CacheUse, Call, send
from ..models import Deployment, Invocation, ManagedResource, Sample
from ..policy import Actor, Verb
from .access import require
from .events import event_of
from .held import drop_held, held_secrets

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
    """Call the deployment's function and keep what was sent and what came back, for the deployment's days.

    Where it keeps none, the call has no number and is nowhere but in the answer. Raises NotAllowed, Conflict where
    nothing is live, ConsoleError for a call that may not be made, Unavailable where the function does not answer.
    """
    require(actor, Verb.TEST, deployment.environment, subject=deployment.name)
    row = live_function(deployment)
    call = Call(body=body, method=method.upper(), headers=headers, query=query, cache=cache)
    answer = call_function(deployment, row, str(row.outputs["url"]), call)
    request = {"body": body, "method": call.method, "headers": dict(headers or {}), "query": dict(query or {})}
    invocation = Invocation(
        deployment=deployment,
        user=actor.user,
        at=timezone.now(),
        label=label[:120],
        request={**(request if _fits(request) else {"omitted": True}), "cache": cache},
        response={
            "body": answer.body if _fits(answer.body) else None,
            "omitted": not _fits(answer.body),
            **({"logs": answer.logs} if answer.logs else {}),
        },
        status=answer.status,
        cache=answer.cache or "",
        key=answer.key,
        duration_ms=answer.duration_ms,
        timings=answer.timings,
    )
    with transaction.atomic():
        # Asked anew: it may have been lowered while the function took its time.
        if Deployment.objects.filter(pk=deployment.pk, keep_invocations_days__gt=0).exists():
            invocation.save()
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
    """The function's own OpenAPI document: what it takes, with an example for whoever may see inputs.

    Raises as `invoke`.
    """
    require(actor, Verb.TEST, deployment.environment, subject=deployment.name)
    row = live_function(deployment)
    url = urlsplit(str(row.outputs["url"]))
    answer = call_function(deployment, row, f"{url.scheme}://{url.netloc}/openapi.json", Call(body=None, method="GET"))
    document = answer.body if answer.status == 200 and isinstance(answer.body, dict) else {}
    may_see = policy.may(actor, Verb.VIEW_INPUTS, deployment.environment)
    return document if may_see else _without_examples(document)


def history(*, actor: Actor, deployment: Deployment, everyone: bool = False) -> QuerySet[Invocation]:
    """Test calls that are still kept, newest first: the actor's own, or for who may see inputs the whole team's."""
    verb = Verb.VIEW_INPUTS if everyone else Verb.TEST
    require(actor, verb, deployment.environment, subject=deployment.name)
    found = Invocation.objects.filter(deployment=deployment).kept(timezone.now()).select_related("user")
    return found if everyone else found.filter(user=actor.user)


def invocation(*, actor: Actor, deployment: Deployment, number: int) -> Invocation:
    """One kept call: the actor's own, or for who may see inputs anybody's. Raises NotFound or NotAllowed."""
    own = history(actor=actor, deployment=deployment).filter(pk=number).first()
    found = own or history(actor=actor, deployment=deployment, everyone=True).filter(pk=number).first()
    if found is None:
        raise NotFound(
            "There is no such call.",
            cause=f"Calls are kept for {deployment.keep_invocations_days} days.",
            action="Send the input again.",
        )
    return found


def pin(*, actor: Actor, deployment: Deployment, number: int, pinned: bool) -> Invocation:
    """Keep a call beyond its days, or no longer. Raises NotFound or NotAllowed."""
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


def call_function(deployment: Deployment, row: ManagedResource, url: str, call: Call) -> Answer:
    """Call an address of the function with its key; asks nobody and keeps nothing. Raises as `invoker.send`.

    Where a blob or a message calls the function, what goes to its own address goes as one.
    """
    live = deployment.live_revision
    if live is not None and url == row.outputs["url"]:
        call = replace(call, event=event_of(live.spec.trigger, call.cache))
    answer = send(url, call, function_key=held_secrets(deployment, row.key).get("key", ""))
    if answer.status != 401:
        return answer
    # The key was changed since it was read: once more with the new one.
    drop_held(deployment, row.key)
    return send(url, call, function_key=held_secrets(deployment, row.key).get("key", ""))


def _without_examples(document: Any, *, names: bool = False) -> Any:
    """An OpenAPI document without what inputs look like; where the members are `names`, one may be called example."""
    if isinstance(document, list):
        return [_without_examples(item) for item in document]
    if not isinstance(document, dict):
        return document
    return {
        name: _without_examples(value, names=name == "properties" and not names)
        for name, value in document.items()
        if names or name not in ("example", "examples")
    }


def _fits(value: Any) -> bool:
    try:
        return len(json.dumps(value)) <= MOST_KEPT_BYTES
    except RecursionError:  # read as JSON, and nested too deeply to be written as such
        return False
