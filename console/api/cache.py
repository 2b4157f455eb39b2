"""A deployment's cache: what it does, what is in it, and taking entries away."""

from typing import Annotated

from django.http import HttpRequest
from ninja import Query, Router

from console.api.auth import actor_of
from console.api.operations import refusals
from console.api.schemas import DeletedOut, EntriesWish, EpochOut, EpochWish, EraseWish, InputWish, KeptOut
from deployments.cache.inspector import MAX_LIMIT, EntryDetail, EntryPage
from deployments.cache.statistics import KEPT_MINUTES, CacheStatistics
from deployments.services import access, caches, inputs
from deployments.services.access import Verb
from deployments.services.inputs import Kept, Sent

router = Router()


@router.get(
    "/{slug:name}/cache",
    operation_id="get_cache",
    summary="Show the cache's statistics",
    response={200: CacheStatistics, **refusals(403, 404, 409, 422, 503)},
)
def statistics(
    request: HttpRequest, name: str, minutes: Annotated[int, Query(ge=1, le=KEPT_MINUTES)] = 1440
) -> CacheStatistics:
    """Hits, misses and times as the deployment's function counted them; `server` tells of the whole server,
    which others may share.
    """
    actor = actor_of(request)
    return caches.statistics(actor=actor, deployment=access.deployment(actor, name), minutes=minutes)


@router.get(
    "/{slug:name}/cache/entries",
    operation_id="list_entries",
    summary="List the cache's entries",
    response={200: EntryPage, **refusals(400, 403, 404, 409, 422, 503)},
)
def entries(
    request: HttpRequest,
    name: str,
    cursor: Annotated[str, Query(max_length=3_500, description="of the last answer")] = "",
    match: Annotated[str, Query(max_length=300, description="part of a key, or a pattern with * and ?")] = "",
    limit: Annotated[int, Query(ge=1, le=MAX_LIMIT)] = 50,
) -> EntryPage:
    """Page by page in the server's own order, at most `limit` at once; fewer, even none, may come before the
    end, which is where `cursor` is null. Inputs are shown to those who may see them, with the scope `inputs`.
    """
    actor = actor_of(request)
    deployment = access.deployment(actor, name)
    return caches.entries(actor=actor, deployment=deployment, cursor=cursor, match=match, limit=limit)


@router.get(
    "/{slug:name}/cache/entries/{path:key}",
    operation_id="get_entry",
    summary="Show an entry",
    response={200: EntryDetail, **refusals(403, 404, 409, 503)},
)
def entry(request: HttpRequest, name: str, key: str) -> EntryDetail:
    """The decoded value, its time to live and its size."""
    actor = actor_of(request)
    return caches.entry(actor=actor, deployment=access.deployment(actor, name), key=key)


@router.delete(
    "/{slug:name}/cache/entries",
    operation_id="delete_entries",
    summary="Delete entries",
    response={200: DeletedOut, **refusals(400, 403, 404, 409, 422, 503)},
)
def delete(request: HttpRequest, name: str, wish: EntriesWish) -> DeletedOut:
    """By their keys, or by a pattern; `dry_run` only counts. The answers are scored again when asked for."""
    actor = actor_of(request)
    deployment = access.deployment(actor, name, Verb.WRITE_CACHE)
    found = caches.delete_entries(
        actor=actor, deployment=deployment, keys=wish.keys, match=wish.match, dry_run=wish.dry_run
    )
    return DeletedOut(deleted=found.count, complete=found.complete, dry_run=found.dry_run)


@router.post(
    "/{slug:name}/cache/find",
    operation_id="find_input",
    summary="Find what is kept of an input",
    response={200: KeptOut, **refusals(400, 403, 404, 409, 422, 503)},
)
def find(request: HttpRequest, name: str, wish: InputWish) -> KeptOut:
    """Stored answers of every version and data epoch, test calls and samples with the same input. The function
    tells its key and scores nothing. A batch that holds the input among others is another input. Where an entry script
    ever answered, `exact` is false: send the `text` as its caller did. Blobs, messages, their answers and dead letters
    lie with the trigger and are not looked through.
    """
    actor = actor_of(request)
    deployment = access.deployment(actor, name, Verb.VIEW_INPUTS)
    return _kept(
        inputs.find_entries(actor=actor, deployment=deployment, body=wish.body, sent=_sent(wish)), erased=False
    )


@router.post(
    "/{slug:name}/cache/erase",
    operation_id="erase_input",
    summary="Erase what is kept of an input",
    response={200: KeptOut, **refusals(400, 403, 404, 409, 422, 503)},
)
def erase(request: HttpRequest, name: str, wish: EraseWish) -> KeptOut:
    """Everything that `find_input` finds; `dry_run` only finds it. Needs the scopes `cache:write` and `inputs`."""
    actor = actor_of(request)
    deployment = access.deployment(actor, name, Verb.WRITE_CACHE)
    kept = inputs.erase_entries(
        actor=actor,
        deployment=deployment,
        body=wish.body,
        sent=_sent(wish),
        reason=wish.reason,
        dry_run=wish.dry_run,
    )
    return _kept(kept, erased=not wish.dry_run)


@router.post(
    "/{slug:name}/cache/epoch",
    operation_id="raise_epoch",
    summary="Raise the data epoch",
    response={200: EpochOut, **refusals(400, 403, 404, 409, 422, 503)},
)
def epoch(request: HttpRequest, name: str, wish: EpochWish) -> EpochOut:
    """Makes every stored answer one of the past, because the data behind a script has changed."""
    actor = actor_of(request)
    deployment = access.deployment(actor, name, Verb.WRITE_CACHE)
    return EpochOut(data_epoch=caches.raise_epoch(actor=actor, deployment=deployment, reason=wish.reason))


def _sent(wish: InputWish) -> Sent | None:
    return None if wish.text is None else Sent(wish.text, wish.content_type)


def _kept(kept: Kept, *, erased: bool) -> KeptOut:
    return KeptOut(
        key=kept.key,
        keys=list(kept.keys),
        invocations=len(kept.calls),
        samples=len(kept.samples),
        rows=kept.rows,
        more_rows=kept.more_rows,
        exact=kept.exact,
        erased=erased,
    )
