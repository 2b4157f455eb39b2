"""Scorers: what answers a request, be it the model itself or a script around it."""

from __future__ import annotations

import os
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any, Protocol

import msgspec

from scoring.entry_script import EntryScript, ScriptScorer
from scoring.inputs import Reader, Request, reader_for
from scoring.manifest import Input, Manifest
from scoring.opening import open_checked, open_model
from scoring.outputs import encode_output


class Scorer(Protocol):
    """Answers requests; called from one thread at a time."""

    deterministic: bool
    reader: Reader

    def score(self, request: Request) -> bytes:
        """The JSON of the answer. Whatever the model raises comes through; a script's refusal is a ScoringError."""

    def storable(self, output: bytes) -> bool:
        """Whether this answer may be given to others who ask the same."""


class ModelScorer:
    """A scikit-learn estimator and the method of it that answers."""

    deterministic = True

    def __init__(self, model: Any, method: str, reader: Reader) -> None:
        self._method: Callable[[Any], Any] = getattr(model, method)
        self.reader = reader

    def score(self, request: Request) -> bytes:
        return encode_output(self._method(request.value))

    def storable(self, output: bytes) -> bool:
        return True


def open_scorer(root: Path, manifest: Manifest) -> Scorer:
    """Open the package's model, or start its script. Raises OpenError, and whatever a script raises."""
    path = model_path(root, manifest)
    code = root / "code"
    if manifest.code.entry_script is not None:
        open_checked(path, manifest.model.sha256).close()
        script = EntryScript(code / manifest.code.entry_script, code=code, model_dir=path.parent)
        return ScriptScorer(script, deterministic=manifest.code.deterministic)
    model = open_model(path, method=manifest.model.method, sha256=manifest.model.sha256, code=code)
    # Columns are put in order before the model sees them, so that its advice on names would be noise in the
    # log.
    warnings.filterwarnings("ignore", message="X does not have valid feature names")
    return ModelScorer(model, manifest.model.method, reader_for(manifest.input, manifest.limits))


def model_path(root: Path, manifest: Manifest) -> Path:
    """Where the model file is: in the package, or where an Azure Machine Learning image keeps it."""
    path = root / manifest.model.file
    aml = os.environ.get("AZUREML_MODEL_DIR")
    if not path.exists() and aml:
        return Path(aml) / manifest.model.name
    return path


def example_body(schema: Input) -> bytes | None:
    """The body that sends the manifest's example, if it has one."""
    if schema.example is None:
        return None
    return msgspec.json.encode({schema.parameter: schema.example})
