"""Packages to serve: a folder with a model, its manifest and, where needed, code."""

from __future__ import annotations

import hashlib
import json
import shutil
from pathlib import Path
from typing import Any

import joblib

UPLOADS = Path(__file__).parent / "uploads"


def write_package(
    root: Path,
    model: Any,
    *,
    input: dict[str, Any] | None = None,
    uploads: tuple[str, ...] = (),
    compress: Any = 0,
    **changes: Any,
) -> dict[str, Any]:
    """Save the model under `root` and describe it; `uploads` are the code files; returns the manifest."""
    (root / "model").mkdir(parents=True)
    file = root / "model" / "model.joblib"
    joblib.dump(model, file, compress=compress)
    for name in uploads:
        (root / "code").mkdir(exist_ok=True)
        shutil.copy(UPLOADS / name, root / "code")
    sha256 = hashlib.sha256(file.read_bytes()).hexdigest()
    manifest = {
        "manifest_version": 1,
        "scoring_version": "1",
        "model_version": hashlib.sha256(sha256.encode()).hexdigest(),
        "model": {
            "file": "model/model.joblib",
            "name": "model.joblib",
            "sha256": sha256,
            "format": "joblib",
            "method": "predict",
        },
        "code": {"entry_script": None},
        "execution": {"requested": "auto", "executes": "original", "reason": "nothing else was asked for"},
        "input": {
            "parameter": "data",
            "kind": "array",
            "features": getattr(model, "n_features_in_", None),
            "columns": None,
            "dtype": "float64",
            "missing": "refuse",
            **(input or {}),
        },
        "output": {"kind": "array", "dtype": "float64", "classes": None, "outputs": 1},
        "trained_with": {},
        "estimator": type(model).__name__,
        "trigger": {"kind": "http", "route": "score", "methods": ["POST"], "auth_level": "function"},
        "limits": {"max_body_bytes": 10 * 1024 * 1024, "max_rows": 1000},
        **changes,
    }
    (root / "manifest.json").write_text(json.dumps(manifest))
    return manifest
