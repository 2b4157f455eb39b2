"""Packages for our server, made by the project's own packaging from what the model's own child says of it."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from benchmarks.machine import ROOT, WORK
from benchmarks.models import Trained
from deployments.domain.spec import ModelPart, Spec
from deployments.packaging.context import Sources, assemble
from deployments.packaging.digests import file_digest
from deployments.packaging.manifest import Executed, Parts

SCORING_ROOT = ROOT / "scoring_image"
Form = Literal["original", "onnx"]


class NotPackagedError(Exception):
    """The model could not be described, or has no ONNX form; the message says why."""


@dataclass(frozen=True)
class Packages:
    """The folders that a model is served from, and what its conversion said; `onnx` is None where it was refused."""

    original: Path
    onnx: Path | None
    verdict: str

    @property
    def executed(self) -> Path:
        """The form that `execution: auto` takes."""
        return self.onnx or self.original


def package(model: Trained) -> Packages:
    """Both forms, made anew every time, for the server's code is in them. Raises NotPackagedError."""
    described = _child("scoring.describe", "--model", model.file)["description"]
    original = _assembled(model, described, "original", Executed(), None)
    told, made = WORK / "description.json", WORK / "models" / f"{model.name}.onnx"
    told.write_text(json.dumps(described))
    found = _child("scoring.convert", "--package-model", model.file, "--description", told, "--out", made)
    if not found["accepted"]:
        return Packages(original, None, f"{model.name} has no ONNX form: {found['reason']}")
    executed = Executed("onnx", found["reason"], file_digest(made), found["outputs"])
    onnx = _assembled(model, described, "onnx", executed, made)
    return Packages(original, onnx, f"{model.name} as ONNX: {found['reason']} Gain when packaged: {found['gain']}.")


def _assembled(model: Trained, described: dict[str, Any], form: Form, executed: Executed, file: Path | None) -> Path:
    destination = WORK / "packages" / f"{model.name}-{form}"
    shutil.rmtree(destination, ignore_errors=True)
    destination.mkdir(parents=True)
    digest = file_digest(model.file)
    parts = Parts(
        model_name=model.file.name,
        model_sha256=digest,
        code_files={},
        lock="",
        scoring_version="1",
        description=described,
        executed=executed,
    )
    assemble(
        destination=destination,
        sources=Sources(scoring_root=SCORING_ROOT, model=model.file, executed=file),
        spec=Spec(model=ModelPart(artifact=digest), execution=form),
        parts=parts,
    )
    return destination


def _child(module: str, *arguments: str | Path) -> dict[str, Any]:
    done = subprocess.run(
        [sys.executable, "-m", module, *arguments, "--format", "joblib", "--method", "predict"],
        env={"PATH": os.environ["PATH"], "PYTHONPATH": str(SCORING_ROOT)},
        capture_output=True,
        text=True,
        timeout=600,
    )
    lines = done.stdout.strip().splitlines()
    answer: dict[str, Any] = json.loads(lines[-1]) if lines else {}
    if not answer.get("ok"):
        raise NotPackagedError(f"{module}: {answer.get('error') or done.stderr[-500:]}")
    return answer
