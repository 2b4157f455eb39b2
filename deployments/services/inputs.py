"""Verbs about one input: what is kept of it, and erasing that."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from django.db import transaction

from .. import audit
from ..cache import inspector
from ..cache.by_input import candidates, known_versions, present
from ..cache.keys import EntryName, KeySpace
from ..domain.errors import ConsoleError
from ..invoker import Answer, Call
from ..models import Deployment, Invocation, Sample
from ..policy import Actor, Verb
from .access import require
from .caches import connected, has_cache
from .invocations import call_function, live_function

ROWS_TOLD = 300  # of which the function tells the digests in one answer
MOST_ROWS = 3_000  # of one input that are looked for each by itself
MOST_EPOCHS = 100  # of each model version that are looked into, beside those that the cache itself remembers
TAG_LENGTH = 16


@dataclass(frozen=True, slots=True)
class Kept:
    """What is kept of one input: entries by their keys, test calls and samples.

    `key` is the one that an answer to it would have now, empty where there is no cache. `rows` tells how many
    rows of it were looked for by themselves, `more_rows` how many were too many for that.
    """

    key: str
    keys: tuple[str, ...]
    calls: tuple[int, ...]
    samples: tuple[int, ...]
    rows: int = 0
    more_rows: int = 0

    @property
    def is_empty(self) -> bool:
        return not (self.keys or self.calls or self.samples)


def find_entries(*, actor: Actor, deployment: Deployment, body: Any) -> Kept:
    """Everything that is kept of a request's body, under whatever model version and data epoch.

    The function tells the digest and scores nothing for it. Raises NotAllowed, ConsoleError for a body that the
    function does not take, Conflict where nothing is live that could tell, Unavailable while one of them does not
    answer.
    """
    require(actor, Verb.VIEW_INPUTS, deployment.environment, subject=deployment.name)
    return _kept(deployment, body)


def erase_entries(*, actor: Actor, deployment: Deployment, body: Any, reason: str = "", dry_run: bool = False) -> Kept:
    """Erase what `find_entries` finds, and tell what it was; a dry run erases nothing. Raises as that.

    The audit trail tells who erased how much and why, and neither the input nor its digest.
    """
    require(actor, Verb.VIEW_INPUTS, deployment.environment, subject=deployment.name)
    require(actor, Verb.WRITE_CACHE, deployment.environment, subject=deployment.name)
    kept = _kept(deployment, body)
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


def _kept(deployment: Deployment, body: Any) -> Kept:
    if body is None:
        raise ConsoleError("Say which input.", action="Send the request's body, as the function gets it.", field="body")
    if not has_cache(deployment):
        return Kept("", (), *_same(deployment, body, digest=""))
    named, digests, more = _named(deployment, body)
    with connected(deployment) as (client, address):
        space = KeySpace(address.prefix)
        versions = {*known_versions(client, space), *_versions(deployment), named.version}
        keys = present(client, candidates(space, versions=versions, digests={named.digest, *digests}))
    calls, samples = _same(deployment, body, digest=named.digest)
    key = f"{space.prefix}:{named.version}:q:{named.digest}"
    return Kept(key, keys, calls, samples, len(digests), more)


def _named(deployment: Deployment, body: Any) -> tuple[EntryName, list[str], int]:
    """The name of an input in keys, the digests of its rows where rows ever had keys, and how many rows are left out.

    By the function's own word, which looks into the cache and scores nothing.
    """
    answer = _asked(deployment, body)
    named = KeySpace(deployment.name).name(answer.key)
    if named is None or not named.version:
        raise _no_key(answer)
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


def keeps_rows(deployment: Deployment) -> bool:
    """Whether any revision that was ever made kept answers to rows by themselves."""
    revisions = deployment.revisions.exclude(model_version="")
    return any(revision.spec.cache.keys == "row" for revision in revisions)


def _asked(deployment: Deployment, body: Any) -> Answer:
    row = live_function(deployment)
    return call_function(deployment, row, str(row.outputs["url"]), Call(body=body, cache="only-if-cached"))


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


def _versions(deployment: Deployment) -> Iterator[str]:
    """Those of its revisions, with the newest data epochs: the cache may have evicted its own list of them."""
    newest = deployment.data_epoch
    epochs = range(max(newest - MOST_EPOCHS, 0), newest + 1)
    known = deployment.revisions.exclude(model_version="").values_list("model_version", flat=True)
    for version in set(known):
        tag = version[:TAG_LENGTH]
        yield from (f"{tag}-e{epoch}" if epoch else tag for epoch in epochs)


def _same(deployment: Deployment, body: Any, *, digest: str) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """The kept test calls and samples of the same input; a digest also knows the calls that wrote it differently."""
    calls = Invocation.objects.filter(deployment=deployment).values_list("pk", "request", "key")
    same = tuple(
        number
        for number, request, key in calls.iterator()
        if ("body" in request and request["body"] == body) or (digest and key.endswith(f":{digest}"))
    )
    samples = Sample.objects.filter(deployment=deployment).values_list("pk", "body")
    return same, tuple(number for number, kept in samples.iterator() if kept == body)
