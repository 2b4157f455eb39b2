"""The build context: a folder that becomes the image, put together the same way every time."""

import json
import os
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ..domain.spec import BlobTrigger, HttpTrigger, Spec, Trigger
from .digests import package_files, source_files, tree_digest
from .manifest import Parts, build_manifest

_EPOCH = 315_532_800  # 1980-01-01, the earliest time that every archive format can hold
_CONNECTION = "AzureWebJobsStorage"
_BUS_CONNECTION = "ServiceBusConnection"


def assemble(*, destination: Path, scoring_root: Path, model: Path, code: Path | None, spec: Spec, parts: Parts) -> str:
    """Fill the empty folder `destination` with the package; returns its digest in hex.

    The model is copied byte for byte; times and modes are fixed, so the digest depends on content alone.
    """
    for relative in source_files(scoring_root):
        _copy(scoring_root / relative, destination / relative)
    _copy(model, destination / "model" / parts.model_name)
    if code is not None:
        for relative in package_files(code):
            _copy(code / relative, destination / "code" / relative)
    (destination / "requirements.txt").write_text(parts.lock)
    _write_json(destination / function_folder(spec.trigger) / "function.json", function_json(spec.trigger))
    _write_json(destination / "manifest.json", build_manifest(spec, parts))
    digest = tree_digest(destination, package_files(destination))
    _settle(destination)
    return digest


def function_folder(trigger: Trigger) -> str:
    """The name of the function's folder, which the Functions host takes as the function's name."""
    route = trigger.route if isinstance(trigger, HttpTrigger) else "score"
    return "".join(letter if letter.isalnum() else "-" for letter in route)


def function_json(trigger: Trigger) -> Mapping[str, Any]:
    """The bindings of the function, in the form of Azure Functions' function.json."""
    if isinstance(trigger, HttpTrigger):
        bindings = [
            {
                "type": "httpTrigger",
                "direction": "in",
                "name": "req",
                "authLevel": trigger.auth_level,
                "methods": [method.lower() for method in trigger.methods],
                "route": trigger.route,
            },
            {"type": "http", "direction": "out", "name": "res"},
        ]
    elif isinstance(trigger, BlobTrigger):
        bindings = [
            {
                "type": "blobTrigger",
                "direction": "in",
                "name": "input",
                "path": trigger.path_in,
                "connection": _CONNECTION,
                "dataType": "binary",
            },
            {
                "type": "blob",
                "direction": "out",
                "name": "output",
                "path": trigger.path_out,
                "connection": _CONNECTION,
                "dataType": "binary",
            },
        ]
    else:
        bindings = [
            {
                "type": "serviceBusTrigger",
                "direction": "in",
                "name": "input",
                "queueName": trigger.queue_in,
                "connection": _BUS_CONNECTION,
                "dataType": "binary",
            },
            {
                "type": "serviceBus",
                "direction": "out",
                "name": "output",
                "queueName": trigger.queue_out,
                "connection": _BUS_CONNECTION,
                "dataType": "binary",
            },
        ]
    return {"bindings": bindings}


def _copy(source: Path, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(source, target)


def _write_json(path: Path, data: Mapping[str, Any]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(data, indent=1, sort_keys=True, ensure_ascii=False) + "\n")


def _settle(root: Path) -> None:
    """Give every file and folder the same times and modes; all may read, for the server runs as another user."""
    for folder, _, names in os.walk(root, topdown=False):
        for name in names:
            path = Path(folder) / name
            path.chmod(0o644)
            os.utime(path, (_EPOCH, _EPOCH))
        Path(folder).chmod(0o755)
        os.utime(folder, (_EPOCH, _EPOCH))
