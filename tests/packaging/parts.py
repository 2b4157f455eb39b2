"""A small package and the folder it is put together in."""

import shutil
from pathlib import Path
from typing import Any

from deployments.domain.spec import Spec
from deployments.packaging.context import Sources, assemble
from deployments.packaging.manifest import Parts

SCORING_ROOT = Path(__file__).resolve().parents[2] / "scoring_image"
SPEC = Spec.load({"model": {"artifact": "0" * 64}})
PARTS = Parts(
    model_name="digits.joblib",
    model_sha256="0" * 64,
    code_files={},
    lock="scikit-learn==1.7.2\n",
    scoring_version="1",
    description={"input": {"kind": "array", "features": 2}, "estimator": "SVC", "trained_with": {}, "output": {}},
)


def spec_with(**more: Any) -> Spec:
    return Spec.load({**SPEC.dump(), **more})


def make(destination: Path, *, spec: Spec = SPEC, parts: Parts = PARTS, **sources: Any) -> str:
    """Assemble a package from a copy of the scoring image and a model of five bytes; returns its digest.

    The packages of one folder are made from one copy, which nobody works on meanwhile.
    """
    model, copy = destination.parent / "model.joblib", destination.parent / "scoring_image"
    model.write_bytes(b"model")
    if not copy.exists():
        shutil.copytree(SCORING_ROOT, copy)
    destination.mkdir()
    return assemble(
        destination=destination,
        sources=Sources(scoring_root=copy, model=model, **sources),
        spec=spec,
        parts=parts,
    )


def names_in(root: Path) -> set[str]:
    return {path.relative_to(root).as_posix() for path in root.rglob("*") if path.is_file()}
