"""Verbs of a deployment's cache: look, count, delete, and raise the data epoch."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import cast

import redis
from django.db import transaction

from .. import audit, policy
from ..cache import inspector
from ..cache.connection import CacheAddress, SignInRefused, opened
from ..cache.inspector import EntryDetail, EntryPage
from ..cache.keys import KeySpace
from ..cache.statistics import CacheStatistics, read_statistics
from ..domain.errors import Conflict, ConsoleError
from ..models import Deployment
from ..policy import Actor, Verb
from .access import require
from .held import drop_held, held_secrets

CACHE = "cache"
MOST_KEYS = 1_000

# Atomic, and only ever upwards: two raises at once are two, and an epoch never comes back.
_RAISE = (
    "local next = math.max(tonumber(redis.call('GET', KEYS[1]) or '0') or 0, tonumber(ARGV[1])) + 1 "
    "redis.call('SET', KEYS[1], next) redis.call('PUBLISH', KEYS[1], next) return next"
)


@dataclass(frozen=True, slots=True)
class Deletion:
    """How many entries were, or would be, deleted; not `complete` where the time ran out before the end."""

    count: int
    complete: bool = True
    dry_run: bool = False


def statistics(*, actor: Actor, deployment: Deployment, minutes: int = 1440) -> CacheStatistics:
    """What the function counted over the last `minutes`, and the whole server's numbers apart.

    Raises NotAllowed, Conflict where there is no cache, Unavailable while it does not answer.
    """
    require(actor, Verb.VIEW, deployment.environment, subject=deployment.name)
    with connected(deployment) as (client, address):
        return read_statistics(client, KeySpace(address.prefix), minutes=minutes, address=str(address))


def entries(
    *, actor: Actor, deployment: Deployment, cursor: str = "", match: str = "", version: str = "", limit: int = 50
) -> EntryPage:
    """One page of entries; inputs are in it only for whoever may see inputs.

    `match` is part of a key, or a glob with `*` and `?` over what follows the prefix. Raises as `statistics`.
    """
    require(actor, Verb.VIEW, deployment.environment, subject=deployment.name)
    with connected(deployment) as (client, address):
        return inspector.list_entries(
            client,
            KeySpace(address.prefix),
            cursor=cursor,
            match=match,
            version=version,
            limit=limit,
            with_inputs=policy.may(actor, Verb.VIEW_INPUTS, deployment.environment),
        )


def entry(*, actor: Actor, deployment: Deployment, key: str) -> EntryDetail:
    """One entry with what is stored. Raises NotFound for what is not an entry of this deployment."""
    require(actor, Verb.VIEW, deployment.environment, subject=deployment.name)
    with connected(deployment) as (client, address):
        return inspector.read_entry(
            client,
            KeySpace(address.prefix),
            key,
            with_input=policy.may(actor, Verb.VIEW_INPUTS, deployment.environment),
        )


def delete_entries(
    *,
    actor: Actor,
    deployment: Deployment,
    keys: Sequence[str] | None = None,
    match: str | None = None,
    version: str = "",
    dry_run: bool = False,
) -> Deletion:
    """Delete the named entries, or all that match inside the prefix; `match="*"` is all of them.

    A dry run only counts. Raises NotAllowed, ConsoleError for neither or both of keys and match and for a key
    that is not of this deployment, Conflict without a cache, Unavailable while it does not answer.
    """
    require(actor, Verb.WRITE_CACHE, deployment.environment, subject=deployment.name)
    if (keys is None) == (match is None) or (match is not None and not match.strip()):
        raise ConsoleError(
            "Say which entries: by their keys, or by what matches.",
            action='Give either keys, a list, or match, a text; match "*" means all of them.',
            field="match",
        )
    if keys is not None and len(keys) > MOST_KEYS:
        raise ConsoleError(f"More than {MOST_KEYS} keys at once.", action="Give a match, or fewer keys.", field="keys")
    with connected(deployment) as (client, address):
        space = KeySpace(address.prefix)
        if keys is not None:
            deletion = _delete_named(client, space, list(dict.fromkeys(keys)), dry_run)
        else:
            deletion = _delete_matching(client, space, match or "", version, dry_run)
    if not dry_run:
        what = f"{len(keys)} named" if keys is not None else f"matching {version + ' ' if version else ''}{match}"
        audit.record(
            actor,
            "delete_entries",
            f"{deployment.name}: {deletion.count} entries, {what}",
            environment=deployment.environment,
        )
    return deletion


def raise_epoch(*, actor: Actor, deployment: Deployment, reason: str) -> int:
    """Make every stored answer old because the data behind the model changed; returns the new data epoch.

    The function learns it at once from the cache, and at its next deploy from the deployment. Raises
    NotAllowed, ConsoleError without a reason, Unavailable (and nothing changed) while the cache does not answer.
    """
    require(actor, Verb.WRITE_CACHE, deployment.environment, subject=deployment.name)
    if not reason.strip():
        raise ConsoleError(
            "Raising the data epoch needs a reason.",
            cause="It makes every stored answer useless, and others will ask why.",
            action="Say what changed.",
            field="reason",
        )
    epoch = deployment.data_epoch + 1
    if has_cache(deployment):
        with connected(deployment) as (client, address):
            epoch = int(cast(int, client.eval(_RAISE, 1, KeySpace(address.prefix).epoch, str(deployment.data_epoch))))
    with transaction.atomic():
        row = Deployment.objects.select_for_update().get(pk=deployment.pk)
        row.data_epoch = max(epoch, row.data_epoch)
        row.save(update_fields=["data_epoch"])
        audit.record(
            actor,
            "raise_epoch",
            f"{deployment.name}: data epoch {row.data_epoch}",
            environment=deployment.environment,
            reason=reason,
        )
    deployment.data_epoch = row.data_epoch
    return row.data_epoch


@contextmanager
def connected(deployment: Deployment) -> Iterator[tuple["redis.Redis", CacheAddress]]:
    """A connection to the deployment's cache; a password that is refused is read anew for the next one.

    Raises Conflict where there is no cache, Unavailable while it does not answer.
    """
    address = _address(deployment)
    if address is None:
        raise Conflict(
            f"{deployment.name} has no cache.",
            code="no_cache",
            cause="It is not deployed yet, was destroyed, or its cache is switched off.",
            action="Deploy it with the cache on.",
        )
    try:
        with opened(address) as client:
            yield client, address
    except SignInRefused:
        drop_held(deployment, CACHE)
        raise


def has_cache(deployment: Deployment) -> bool:
    """Whether a cache of it is there, answering or not."""
    return _address(deployment) is not None


def _delete_named(client: "redis.Redis", space: KeySpace, keys: list[str], dry_run: bool) -> Deletion:
    if dry_run:
        known = [key for key in keys if space.rest(key) is not None]
        return Deletion(client.exists(*known) if known else 0, dry_run=True)
    return Deletion(inspector.unlink(client, space, keys))


def _delete_matching(client: "redis.Redis", space: KeySpace, match: str, version: str, dry_run: bool) -> Deletion:
    count, complete = 0, True
    for batch in inspector.walk(client, space, match=match, version=version):
        if batch is None:
            complete = False
        else:
            count += len(batch) if dry_run else inspector.unlink(client, space, batch)
    return Deletion(count, complete=complete, dry_run=dry_run)


def _address(deployment: Deployment) -> CacheAddress | None:
    row = deployment.resources.filter(key=CACHE).exclude(ready_at=None).order_by("-ready_at").first()
    if row is None or not (row.outputs.get("host") or row.outputs.get("socket")):
        return None
    return CacheAddress(
        prefix=deployment.name,
        host=str(row.outputs.get("host", "")),
        port=int(row.outputs.get("port") or 0),
        password=held_secrets(deployment, CACHE).get("password", ""),
        # A cache without a port is reached by its socket alone.
        socket="" if row.outputs.get("port") else str(row.outputs.get("socket", "")),
    )
