"""The custom handler's face: what the Functions host posts for a blob or a message, and what it wants back.

Read in the host's source (Azure/azure-functions-host, src/WebJobs.Script/Workers/Http): a POST to /{function} with
`{"Data": {binding: value}, "Metadata": {...}}`, where bytes come as base64, objects as objects, and everything else
as JSON text in a string. Only a 2xx has its outputs written; anything else fails the invocation, which the host
then repeats and in the end puts among the poisoned. A string in the answer that is valid base64 is decoded, so
every output goes as base64 of its exact bytes.
"""

from __future__ import annotations

import asyncio
import base64
import binascii
import logging
from collections.abc import Awaitable, Callable, Mapping
from functools import partial
from typing import Any

import msgspec

from scoring.calls import ReplyError, unpacked
from scoring.contents import body_of
from scoring.errors import ScoringError, bad_input, too_large
from scoring.server import answer_headers, cache_wish
from scoring.service import Service

INPUT, OUTPUT = "input", "output"

# The host repeats a failed invocation a few times within seconds, a model may take minutes to open: better wait.
_OPENING_SECONDS = 120.0
# What a script says of its own accord to have been too early or too much: later may be better.
_PASSING = frozenset({408, 429})
# Contents beyond this are read in a thread, so that others are answered meanwhile.
_SMALL = 64 * 1024

log = logging.getLogger("scoring")


def handlers(service: Service) -> dict[str, Callable[[bytes], Awaitable[bytes]]]:
    """What to answer at which path: nothing where the trigger is HTTP."""
    trigger = service.manifest.trigger
    return {} if trigger.kind == "http" else {f"/{trigger.function or 'score'}": partial(invoked, service)}


async def invoked(service: Service, payload: bytes) -> bytes:
    """Score one blob or message: `{"Outputs": {"output": base64}, "Logs": [...], "ReturnValue": null}`.

    Logs hold the lines that an HTTP answer has as headers, X-Cache first. A blob's own CacheControl, and a
    message's application property Cache-Control, say what HTTP's header says. Raises ScoringError: 4xx for what can
    never be scored, 5xx for what may be later. A script's own refusal is a 422 or a 500, whatever status it set: 401,
    404 and 503 say here that the function is not there yet.
    """
    content, metadata = _read(payload)
    name = _text(metadata.get("BlobTrigger")) or _text(metadata.get("MessageId"))
    try:
        await _opened(service)
        body = await _body(service, content, metadata)
        answer = await service.answer(body, cache_wish(_cache_control(metadata)))
    except ScoringError as error:
        # Without the message: it may quote the input, and logs are for more people than inputs are.
        log.warning("%.200r failed: %s %s %s", name, error.status, error.code, error.at or "")
        if isinstance(error, ReplyError):
            raise _refused_by_script(error) from error
        raise
    headers = answer_headers(answer, service.manifest.model_version)
    output = unpacked(answer.body).body if service.scripted else answer.body
    return msgspec.json.encode(
        {
            "Outputs": {OUTPUT: base64.b64encode(output).decode()},
            "Logs": [f"{key.decode().title()}: {value.decode()}" for key, value in headers],
            "ReturnValue": None,
        }
    )


def _read(payload: bytes) -> tuple[bytes, Mapping[str, Any]]:
    """The content's bytes, and the metadata. Raises a 400."""
    try:
        event = msgspec.json.decode(payload)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise _bad_payload("it is not JSON") from error
    data = event.get("Data") if isinstance(event, dict) else None
    if not isinstance(data, dict) or INPUT not in data:
        raise _bad_payload(f"it has no Data.{INPUT}")
    metadata = event.get("Metadata")
    return _bytes(data[INPUT]), metadata if isinstance(metadata, dict) else {}


def _bytes(value: Any) -> bytes:
    """The bytes that the value stands for: base64; a text that is none, in a string once more; or JSON's value."""
    if not isinstance(value, str):
        return msgspec.json.encode(value)
    inner = _text(value)
    try:
        return base64.b64decode(inner, validate=True)
    except (binascii.Error, ValueError):
        if inner is value:
            raise _bad_payload(f"Data.{INPUT} is not base64") from None
        return inner.encode("utf-8", "surrogatepass")


def _text(value: Any) -> str:
    """The string, with the JSON that the host puts around it taken off."""
    if not isinstance(value, str):
        return ""
    if value.startswith('"'):
        try:
            return msgspec.json.decode(value, type=str)
        except (msgspec.MsgspecError, UnicodeEncodeError):
            return value
    return value


async def _opened(service: Service) -> None:
    """Wait for the model; where it is not open then, or cannot be, the service says so."""
    if not service.ready:
        await asyncio.wait({asyncio.ensure_future(service.loaded())}, timeout=_OPENING_SECONDS)


async def _body(service: Service, content: bytes, metadata: Mapping[str, Any]) -> bytes:
    """The body that an HTTP caller would have sent; what is none is counted, as the service counts its refusals."""
    most = service.manifest.limits.max_body_bytes
    if len(content) > most:
        service.statistics.failed(epoch=service.cache.epoch)
        raise too_large("too_large", f"The content is longer than {most} bytes.", "Send the rows in several parts.")
    if service.manifest.code.entry_script is not None:
        return content
    properties = metadata.get("Properties")
    blob_type = properties.get("ContentType") if isinstance(properties, dict) else None
    read = partial(
        body_of,
        content,
        service.manifest.input,
        content_type=_text(metadata.get("ContentType")) or _text(blob_type),
        name=_text(metadata.get("BlobTrigger")),
    )
    try:
        return read() if len(content) <= _SMALL else await asyncio.to_thread(read)
    except ScoringError:
        service.statistics.failed(epoch=service.cache.epoch)
        raise


def _refused_by_script(error: ReplyError) -> ScoringError:
    status = 422 if error.status < 500 and error.status not in _PASSING else 500
    said = error.reply.body[:300].decode(errors="replace")
    return ScoringError(status, error.code, error.message, f"It said: {said}")


def _cache_control(metadata: Mapping[str, Any]) -> str:
    for place, name in (("Properties", "CacheControl"), ("ApplicationProperties", "Cache-Control")):
        held = metadata.get(place)
        if isinstance(held, dict) and held.get(name):
            return _text(held[name])
    return ""


def _bad_payload(what: str) -> ScoringError:
    return bad_input(
        "bad_payload",
        f"The host's payload cannot be read: {what}.",
        f'Send {{"Data": {{"{INPUT}": base64}}, "Metadata": {{...}}}} as the Functions host does.',
    )
