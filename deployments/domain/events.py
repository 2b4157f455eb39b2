"""What the Functions host posts to a custom handler for a blob or a message, and what it reads from the answer.

Read in the host's source (Azure/azure-functions-host, src/WebJobs.Script/Workers/Http): bytes of a binary binding
go as base64, an object as an object, everything else as JSON text in a string; a string of the answer that is
valid base64 is decoded.
"""

import base64
import binascii
import json
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any
from urllib.parse import quote
from uuid import uuid4

HOST_VERSION = "4.0.0"


def event(content: bytes, metadata: Mapping[str, Any]) -> bytes:
    """The body of the request: the content as the binding `input`."""
    told = {name: value if isinstance(value, Mapping) else json.dumps(value) for name, value in metadata.items()}
    return json.dumps({"Data": {"input": base64.b64encode(content).decode()}, "Metadata": told}).encode()


def event_headers() -> dict[str, str]:
    """The headers that the host adds."""
    return {
        "Content-Type": "application/json",
        "X-Azure-Functions-InvocationId": str(uuid4()),
        "X-Azure-Functions-HostVersion": HOST_VERSION,
    }


def event_answer(body: bytes) -> tuple[bytes, tuple[str, ...]]:
    """The bytes of the binding `output`, and the lines of the log. Raises ValueError for what is no such answer."""
    try:
        told = json.loads(body)
        output = base64.b64decode(told["Outputs"]["output"], validate=True)
        return output, tuple(str(line) for line in told.get("Logs") or ())
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError, binascii.Error) as error:
        raise ValueError("the answer is not one of a custom handler") from error


def blob_metadata(
    *,
    function: str,
    container: str,
    name: str,
    values: Mapping[str, str],
    properties: Mapping[str, Any],
    now: datetime,
) -> dict[str, Any]:
    """What is told of a blob; `values` are what the expressions in the trigger's path stand for."""
    return {
        "BlobTrigger": f"{container}/{name}",
        "Uri": f"file:///{container}/{quote(name, errors='replace')}",
        "Properties": dict(properties),
        "Metadata": {},
        "sys": _system(function, now),
        **values,
    }


def message_metadata(
    *,
    function: str,
    message_id: str,
    deliveries: int,
    content_type: str,
    correlation_id: str,
    enqueued: datetime,
    properties: Mapping[str, Any],
    now: datetime,
) -> dict[str, Any]:
    """What is told of a message; `properties` are those that its sender gave it."""
    return {
        "MessageId": message_id,
        "DeliveryCount": deliveries,
        "ContentType": content_type,
        "CorrelationId": correlation_id,
        "EnqueuedTimeUtc": as_utc(enqueued),
        "ApplicationProperties": dict(properties),
        "sys": _system(function, now),
    }


def as_utc(moment: datetime) -> str:
    """As .NET writes a UTC time into JSON."""
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def _system(function: str, now: datetime) -> dict[str, str]:
    return {"MethodName": function, "UtcNow": as_utc(now), "RandGuid": str(uuid4())}
