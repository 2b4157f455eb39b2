"""The manifest and the model version: what the scoring server is told, as data."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any, Literal

from ..domain.spec import Spec, digest_of
from .functions import function_folder

MANIFEST_VERSION = 1
EXECUTED_FILE = "model/executed.onnx"
_FORMATS = {".joblib": "joblib", ".jl": "joblib", ".pkl": "pickle", ".pickle": "pickle", ".skops": "skops",
            ".onnx": "onnx"}  # fmt: skip


@dataclass(frozen=True)
class Executed:
    """In which form the model runs, and why in that one.

    `sha256` is that of the ONNX form made of the model, None where there is none; `outputs` says how its outputs
    become what the original answers. What was measured is not here: it differs from one time to the next.
    """

    executes: Literal["original", "onnx"] = "original"
    reason: str = "The model runs as it was uploaded."
    sha256: str | None = None
    outputs: Mapping[str, Any] | None = None


@dataclass(frozen=True)
class Parts:
    """What goes into a package beside the Spec.

    `code_files` maps each helper's path below code/ to its sha256, `wheels` each wheel's name below wheels/;
    `lock` is a requirements file of exact versions; `scoring_version` is the digest of the scoring code that ships;
    `description` is what `python -m scoring.describe` found.
    """

    model_name: str
    model_sha256: str
    code_files: Mapping[str, str]
    lock: str
    scoring_version: str
    description: Mapping[str, Any]
    executed: Executed = Executed()
    wheels: Mapping[str, str] = field(default_factory=dict)


def model_format(name: str) -> str:
    """How a model file of that name is opened; joblib also reads plain pickles."""
    return _FORMATS.get(Path(name).suffix.lower(), "joblib")


def safe_model_name(name: str) -> str:
    """The uploaded file's name as a plain name inside the package."""
    plain = re.sub(r"[^A-Za-z0-9._-]+", "_", PurePosixPath(name.replace("\\", "/")).name).lstrip(".")
    return plain[-100:] or "model"


def model_version(spec: Spec, parts: Parts) -> str:
    """Digest in hex of everything that can change an answer, but the data epoch."""
    return digest_of(
        {
            "model": parts.model_sha256,
            "method": spec.model.method,
            "code": dict(parts.code_files),
            "entry_script": spec.code.entry_script if spec.code else None,
            "lock": parts.lock,
            "python": spec.runtime.python,
            "wheels": dict(parts.wheels),
            "executes": [parts.executed.executes, parts.executed.sha256],
            "scoring": parts.scoring_version,
        }
    )


def build_manifest(spec: Spec, parts: Parts) -> dict[str, Any]:
    """The content of manifest.json."""
    return {
        "manifest_version": MANIFEST_VERSION,
        "scoring_version": parts.scoring_version,
        "model_version": model_version(spec, parts),
        "model": {
            "file": f"model/{parts.model_name}",
            "name": parts.model_name,
            "sha256": parts.model_sha256,
            "format": model_format(parts.model_name),
            "method": spec.model.method,
        },
        "code": {
            "entry_script": spec.code.entry_script if spec.code else None,
            "deterministic": bool(spec.code and spec.code.deterministic),
        },
        "execution": {
            "requested": spec.execution,
            "executes": parts.executed.executes,
            "reason": parts.executed.reason,
            "file": EXECUTED_FILE if parts.executed.sha256 else None,
            "sha256": parts.executed.sha256,
            "outputs": dict(parts.executed.outputs) if parts.executed.outputs is not None else None,
        },
        "input": _input(spec, parts),
        "output": parts.description.get("output", {}),
        "trained_with": parts.description.get("trained_with", {}),
        "estimator": parts.description.get("estimator", ""),
        "trigger": {**spec.trigger.model_dump(mode="json"), "function": function_folder(spec.trigger)},
        "limits": {"max_body_bytes": spec.input.max_body_bytes, "max_rows": spec.input.max_rows},
    }


def _input(spec: Spec, parts: Parts) -> dict[str, Any]:
    described = dict(parts.description.get("input", {}))
    described["parameter"] = spec.input.parameter
    if spec.input.missing != "auto":
        described["missing"] = spec.input.missing
    return described
