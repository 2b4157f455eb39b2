"""Scorers: what answers a request, be it the model itself or a script around it."""

from __future__ import annotations

import importlib
import os
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any, Protocol

import msgspec

from scoring.entry_script import EntryScript, ScriptScorer
from scoring.inputs import Reader, Request, reader_for
from scoring.manifest import Input, Manifest
from scoring.opening import missing_module, open_checked, open_model
from scoring.outputs import encode_output


class Scorer(Protocol):
    """Answers requests; called from one thread at a time."""

    deterministic: bool
    reader: Reader

    def score(self, request: Request) -> bytes:
        """The JSON of the answer. Whatever the model raises comes through; a script's refusal is a ScoringError."""


class ModelScorer:
    """The method of a model that answers: a scikit-learn estimator's own, or that of its ONNX form."""

    deterministic = True

    def __init__(self, method: Callable[[Any], Any], reader: Reader) -> None:
        self._method = method
        self.reader = reader

    def score(self, request: Request) -> bytes:
        return encode_output(self._method(request.value))


def open_scorer(root: Path, manifest: Manifest) -> Scorer:
    """Open the package's model, or start its script. Raises OpenError, and whatever a script raises."""
    code = root / "code"
    if manifest.code.entry_script is not None:
        path = packaged(root, manifest.model.file, manifest.model.name)
        open_checked(path, manifest.model.sha256).close()
        script = EntryScript(code / manifest.code.entry_script, code=code, model_dir=path.parent)
        return ScriptScorer(script, deterministic=manifest.code.deterministic)
    if manifest.execution.executes == "onnx":
        return _form_scorer(root, manifest)
    model = open_model(
        packaged(root, manifest.model.file, manifest.model.name),
        method=manifest.model.method,
        model_format=manifest.model.format,
        sha256=manifest.model.sha256,
        code=code,
    )
    # Columns are put in order before the model sees them, so that its advice on names would be noise in the
    # log.
    warnings.filterwarnings("ignore", message="X does not have valid feature names")
    return ModelScorer(getattr(model, manifest.model.method), reader_for(manifest.input, manifest.limits))


def _form_scorer(root: Path, manifest: Manifest) -> Scorer:
    """The scorer of the ONNX form, be it made when the package was built or uploaded as ONNX. Raises OpenError."""
    execution, upload = manifest.execution, manifest.model
    try:
        # ONNX Runtime is for those who execute it; scikit-learn and pandas are not imported at all.
        forms = importlib.import_module("scoring.onnx_file")
    except ModuleNotFoundError as error:
        raise missing_module(error, "The ONNX form") from error
    if execution.file is None:
        file = open_checked(packaged(root, upload.file, upload.name), upload.sha256)
    else:
        file = open_checked(packaged(root, execution.file, Path(execution.file).name), execution.sha256)
    with file:
        form = forms.open_form(file, execution.outputs, method=upload.method, name=Path(file.name).name)
    return ModelScorer(form, reader_for(manifest.input, manifest.limits, frames=False))


def packaged(root: Path, file: str, name: str) -> Path:
    """Where a file of the package is: in it, or where an Azure Machine Learning image keeps models, by its name."""
    path = root / file
    aml = os.environ.get("AZUREML_MODEL_DIR")
    if not path.exists() and aml:
        return Path(aml) / name
    return path


def example_body(schema: Input) -> bytes | None:
    """The body that sends the manifest's example, if it has one."""
    if schema.example is None:
        return None
    return msgspec.json.encode({schema.parameter: schema.example})
