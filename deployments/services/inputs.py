"""Verbs about one input: what is kept of it, and erasing that."""

import json
from dataclasses import dataclass, replace
from typing import Any, NoReturn

import redis
from django.db import transaction

from .. import audit
from ..cache import inspector
from ..cache.by_input import candidates, known_versions, present, walked
from ..cache.keys import KINDS, EntryName, KeySpace
from ..domain.errors import ConsoleError
from ..domain.spec import HttpTrigger
from ..domain.storable import finite, is_storable
from ..invoker import Answer, Call
from ..models import Deployment, Invocation, Sample
from ..policy import Actor, Verb
from .access import require
from .caches import connected, has_cache
from .invocations import call_function, live_function

ROWS_TOLD = 300  # of which the function tells the digests in one answer
MOST_ROWS = 3_000  # of one input that are looked for each by itself
MOST_LOOKED_UP = 50_000  # keys; for more of them a walk through the cache takes no longer, and no memory
TAG_LENGTH = 16


@dataclass(frozen=True, slots=True)
class Sent:
    """A request's body exactly as a caller wrote it, for a script whose keys are made of its bytes."""

    text: str
    content_type: str = "application/json"

    def read(self) -> Any:
        """As JSON, which test calls and samples are compared with; what is none equals nothing that is kept."""
        try:
            read = json.loads(self.text, parse_constant=_refuse, parse_float=finite)
            return read if read is not None and is_storable(read) else _NOT_JSON
        except (ValueError, RecursionError):
            return _NOT_JSON


_NOT_JSON: Any = object()


def _refuse(constant: str) -> NoReturn:
    raise ValueError(f"{constant} is not JSON")


@dataclass(frozen=True, slots=True)
class Kept:
    """What is kept of one input: entries by their keys, test calls and samples.

    `key` is the one that an answer to it would have now, empty where there is no cache. `rows` tells how many
    rows of it were looked for by themselves, `more_rows` how many were too many for that.

    `exact` is false where an entry script ever answered: its keys are made of the bytes of a request, so the same
    input that was written differently, or came with another query, content type or other headers, has others.
    """

    key: str
    keys: tuple[str, ...]
    calls: tuple[int, ...]
    samples: tuple[int, ...]
    rows: int = 0
    more_rows: int = 0
    exact: bool = True

    @property
    def is_empty(self) -> bool:
        return not (self.keys or self.calls or self.samples)


def find_entries(*, actor: Actor, deployment: Deployment, body: Any = None, sent: Sent | None = None) -> Kept:
    """Everything that is kept of a request's body, under whatever model version and data epoch.

    `sent`, in place of the body, goes to the function unchanged; where it is JSON, so does what the console makes of
    it. The function tells the digest and scores nothing for it. Raises NotAllowed, ConsoleError for a body that the
    function does not take, Conflict where nothing is live that could tell, Unavailable while one of them does not
    answer.
    """
    require(actor, Verb.VIEW_INPUTS, deployment.environment, subject=deployment.name)
    return _kept(deployment, body, sent)


def erase_entries(
    *,
    actor: Actor,
    deployment: Deployment,
    body: Any = None,
    sent: Sent | None = None,
    reason: str = "",
    dry_run: bool = False,
) -> Kept:
    """Erase what `find_entries` finds, and tell what it was; a dry run erases nothing. Raises as that.

    The audit trail tells who erased how much and why, and neither the input nor its digest.
    """
    require(actor, Verb.VIEW_INPUTS, deployment.environment, subject=deployment.name)
    require(actor, Verb.WRITE_CACHE, deployment.environment, subject=deployment.name)
    kept = _kept(deployment, body, sent)
    if dry_run:
        return kept
    if kept.keys:
        with connected(deployment) as (client, address):
            inspector.unlink(client, KeySpace(address.prefix), kept.keys)
    with transaction.atomic():
        Invocation.objects.filter(pk__in=kept.calls).delete()
        Sample.objects.filter(pk__in=kept.samples).delete()
        counted = f"{len(kept.keys)} entries, {len(kept.calls)} test calls, {len(kept.samples)} samples"
        audit.record(
            actor,
            "erase_input",
            f"{deployment.name}: {counted}",
            environment=deployment.environment,
            reason=reason.strip(),
        )
    return kept


def _kept(deployment: Deployment, body: Any, sent: Sent | None) -> Kept:
    if sent is not None:
        body = sent.read()
    if body is None:
        raise ConsoleError("Say which input.", action="Send the request's body, as the function gets it.", field="body")
    exact = not had_script(deployment)
    if not has_cache(deployment):
        calls, samples = _same(deployment, body, digests=set())
        return Kept("", (), calls, samples, exact=exact)
    named, digests, more = _named(deployment, body, sent)
    whole = {named.digest}
    if sent is not None and body is not _NOT_JSON and not exact:
        whole.add(_name(deployment, _asked(deployment, body)).digest)
    with connected(deployment) as (client, address):
        space = KeySpace(address.prefix)
        keys = _keys(client, space, deployment, version=named.version, digests={*whole, *digests})
    calls, samples = _same(deployment, body, digests=whole)
    key = f"{space.prefix}:{named.version}:q:{named.digest}"
    return Kept(key, keys, calls, samples, len(digests), more, exact)


def _keys(
    client: "redis.Redis", space: KeySpace, deployment: Deployment, *, version: str, digests: set[str]
) -> tuple[str, ...]:
    """The entries of these digests under the versions that the cache knows, and under those of the revisions.

    The cache may have evicted its list of versions, or forgotten those that were long not asked.
    """
    known = {*known_versions(client, space), version}
    revisions = deployment.revisions.exclude(model_version="").values_list("model_version", flat=True)
    tags = {version[:TAG_LENGTH] for version in revisions}
    epochs = range(1, deployment.data_epoch + 1)
    if (len(known) + len(tags) * (len(epochs) + 1)) * len(KINDS) * len(digests) > MOST_LOOKED_UP:
        return walked(client, space, digests)
    versions = {*known, *tags, *(f"{tag}-e{epoch}" for tag in tags for epoch in epochs)}
    return present(client, candidates(space, versions=versions, digests=digests))


def _named(deployment: Deployment, body: Any, sent: Sent | None) -> tuple[EntryName, list[str], int]:
    """The name of an input in keys, the digests of its rows where rows ever had keys, and how many rows are left out.

    By the function's own word, which looks into the cache and scores nothing.
    """
    answer = _asked(deployment, body, sent)
    named = _name(deployment, answer)
    if not keeps_rows(deployment):
        return named, [], 0
    parameter = (deployment.live_revision or deployment.latest_revision()).spec.input.parameter
    rows = body.get(parameter) if isinstance(body, dict) else None
    count = len(rows) if isinstance(rows, list) else 0
    digests = _row_digests(answer)
    for start in range(ROWS_TOLD, min(count, MOST_ROWS), ROWS_TOLD):
        part = {**body, parameter: rows[start : start + ROWS_TOLD]} if rows else body
        digests += _row_digests(_asked(deployment, part))
    return named, digests, max(count - len(digests), 0)


def _name(deployment: Deployment, answer: Answer) -> EntryName:
    named = KeySpace(deployment.name).name(answer.key)
    if named is None or not named.version:
        raise _no_key(answer)
    return named


def had_script(deployment: Deployment) -> bool:
    """Whether any revision that was ever made answers by an entry script."""
    revisions = deployment.revisions.exclude(model_version="")
    return any(code is not None and code.entry_script is not None for code in (one.spec.code for one in revisions))


def keeps_rows(deployment: Deployment) -> bool:
    """Whether any revision that was ever made kept answers to rows by themselves."""
    revisions = deployment.revisions.exclude(model_version="")
    return any(revision.spec.cache.keys == "row" for revision in revisions)


def _asked(deployment: Deployment, body: Any, sent: Sent | None = None) -> Answer:
    row = live_function(deployment)
    call = Call(body=body, cache="only-if-cached")
    if sent is not None:
        live = deployment.live_revision
        # A blob and a message come to a script as JSON, whatever they say of themselves.
        by_http = live is not None and isinstance(live.spec.trigger, HttpTrigger)
        headers = {"content-type": sent.content_type} if by_http else None
        call = replace(call, body=None, headers=headers, content=sent.text.encode())
    return call_function(deployment, row, str(row.outputs["url"]), call)


def _row_digests(answer: Answer) -> list[str]:
    """Of the first rows of what was sent, by a function that knows to tell them; none by an older one."""
    return [digest for digest in answer.headers.get("x-cache-row-digests", "").split(",") if digest]


def _no_key(answer: Answer) -> ConsoleError:
    told = answer.body.get("error") if isinstance(answer.body, dict) else None
    return ConsoleError(
        str(told.get("message")) if isinstance(told, dict) else f"The function answered {answer.status} and no key.",
        action=str(told.get("hint", "")) if isinstance(told, dict) else "",
        field="body",
        code="no_key",
    )


def _same(deployment: Deployment, body: Any, *, digests: set[str]) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """The kept test calls and samples of the same input; a digest also knows the calls that wrote it differently."""
    calls = Invocation.objects.filter(deployment=deployment).values_list("pk", "request", "key")
    same = tuple(
        number
        for number, request, key in calls.iterator()
        if ("body" in request and request["body"] == body) or key.rpartition(":")[2] in digests
    )
    samples = Sample.objects.filter(deployment=deployment).values_list("pk", "body")
    return same, tuple(number for number, kept in samples.iterator() if kept == body)
