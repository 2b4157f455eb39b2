"""Test calls of functions that are fed by blobs or messages: what the Functions host would tell of one."""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any
from uuid import uuid4

from ..domain.blob_paths import BlobPath
from ..domain.events import blob_metadata, message_metadata
from ..domain.spec import HttpTrigger, ServiceBusTrigger, Trigger
from ..invoker import CacheUse, cache_control

_JSON = "application/json"
_TEST = "test"  # what stands in for each part of the name that a blob would have


def event_of(trigger: Trigger, cache: CacheUse) -> Mapping[str, Any] | None:
    """The metadata of an arrival that asks so of the cache; None where the trigger is HTTP."""
    if isinstance(trigger, HttpTrigger):
        return None
    now, wish = datetime.now(UTC), cache_control(cache)
    if isinstance(trigger, ServiceBusTrigger):
        return message_metadata(
            function="test",
            message_id=uuid4().hex,
            deliveries=1,
            content_type=_JSON,
            correlation_id="",
            enqueued=now,
            properties={"Cache-Control": wish} if wish else {},
            now=now,
        )
    path = BlobPath.parse(trigger.path_in)
    values = dict.fromkeys(path.names, _TEST)
    return blob_metadata(
        function="test",
        container=path.container,
        name=path.fill(values, now=now),
        values=values,
        properties={"ContentType": _JSON, **({"CacheControl": wish} if wish else {})},
        now=now,
    )
