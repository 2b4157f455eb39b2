"""What the Functions host reads of a package: a folder with function.json for each function, and host.json.

The forms are those of Azure Functions' reference for function.json, host.json and custom handlers.
"""

import re
from collections.abc import Mapping
from typing import Any

from ..domain.spec import BlobTrigger, HttpTrigger, Trigger

HEALTH = "healthz"
DOCUMENT = "openapi"
_CONNECTION = "AzureWebJobsStorage"
_BUS_CONNECTION = "ServiceBusConnection"
# Folders of the package that are no functions; the host compares without regard to case.
_TAKEN = {HEALTH, DOCUMENT, "scoring", "model", "code", "wheels", "requirements"}
_MOST_TRIES = 5
_LOCK_RENEWAL = "00:05:00"
_BUNDLE = {"id": "Microsoft.Azure.Functions.ExtensionBundle", "version": "[4.*, 5.0.0)"}


def function_folder(trigger: Trigger) -> str:
    """The name of the function's folder, which the Functions host takes as the function's name."""
    route = trigger.route if isinstance(trigger, HttpTrigger) else "score"
    plain = re.sub(r"[^A-Za-z0-9]", "-", route)
    # A name begins with a letter, and its folder is nobody else's.
    return plain if plain[0].isalpha() and plain.lower() not in _TAKEN else f"function-{plain}"


def functions(trigger: Trigger) -> Mapping[str, Mapping[str, Any]]:
    """The content of function.json by function folder: the function itself, its health and its OpenAPI document.

    The host answers only what is declared, so the server's two other addresses are functions of their own.
    """
    level = trigger.auth_level if isinstance(trigger, HttpTrigger) else "function"
    return {
        function_folder(trigger): {"bindings": _bindings(trigger)},
        HEALTH: {"bindings": _http(route="healthz", methods=("get",), level="anonymous")},
        DOCUMENT: {"bindings": _http(route="openapi.json", methods=("get",), level=level)},
    }


def host_json(base: Mapping[str, Any], trigger: Trigger) -> dict[str, Any]:
    """The content of host.json: that of the scoring image, with what the trigger needs beside it.

    Only triggers other than HTTP need the host's extensions. A blob is tried five times before the host puts a
    message about it into its poison queue; how often Service Bus tries a message is a property of the queue.
    """
    host = {**base, "extensions": dict(base.get("extensions", {}))}
    if isinstance(trigger, HttpTrigger):
        return host
    host["extensionBundle"] = dict(_BUNDLE)
    if isinstance(trigger, BlobTrigger):
        host["extensions"]["blobs"] = {"poisonBlobThreshold": _MOST_TRIES}
        host["extensions"]["queues"] = {"maxDequeueCount": _MOST_TRIES}  # the blobs' own messages wait in a queue
    else:
        # The lock is given back only when the answer was 2xx; until then it is renewed, or another would score too.
        host["extensions"]["serviceBus"] = {
            "autoCompleteMessages": True,
            "maxAutoLockRenewalDuration": _LOCK_RENEWAL,
        }
    return host


def _bindings(trigger: Trigger) -> list[dict[str, Any]]:
    if isinstance(trigger, HttpTrigger):
        return _http(
            route=f"api/{trigger.route}",
            methods=tuple(method.lower() for method in trigger.methods),
            level=trigger.auth_level,
        )
    # Without `binary` the host decodes a body as UTF-8, and broken bytes are lost.
    if isinstance(trigger, BlobTrigger):
        common = {"connection": _CONNECTION, "dataType": "binary"}
        return [
            {"type": "blobTrigger", "direction": "in", "name": "input", "path": trigger.path_in, **common},
            {"type": "blob", "direction": "out", "name": "output", "path": trigger.path_out, **common},
        ]
    common = {"connection": _BUS_CONNECTION, "dataType": "binary"}
    return [
        {"type": "serviceBusTrigger", "direction": "in", "name": "input", "queueName": trigger.queue_in, **common},
        {"type": "serviceBus", "direction": "out", "name": "output", "queueName": trigger.queue_out, **common},
    ]


def _http(*, route: str, methods: tuple[str, ...], level: str) -> list[dict[str, Any]]:
    return [
        {
            "type": "httpTrigger",
            "direction": "in",
            "name": "req",
            "authLevel": level,
            "methods": list(methods),
            "route": route,
        },
        {"type": "http", "direction": "out", "name": "res"},
    ]
