"""The build context: a folder that becomes the image, put together the same way every time."""

import json
import os
import shutil
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ..domain.spec import Spec
from .digests import package_files, source_files, tree_digest
from .dockerfile import dockerfile
from .functions import function_folder, functions, host_json
from .manifest import EXECUTED_FILE, Parts, build_manifest

_EPOCH = 315_532_800  # 1980-01-01, the earliest time that every archive format can hold
_WHEELS = "wheels"


@dataclass(frozen=True, kw_only=True)
class Sources:
    """Where the files of a package lie before they are put together.

    `executed` is the model's ONNX form where that executes; `wheels` are uploaded ones by the name that pip reads.
    """

    scoring_root: Path
    model: Path
    code: Path | None = None
    executed: Path | None = None
    wheels: Mapping[str, Path] = field(default_factory=dict)


def assemble(*, destination: Path, sources: Sources, spec: Spec, parts: Parts) -> str:
    """Fill the empty folder `destination` with the package; returns its digest in hex.

    The model is copied byte for byte; times and modes are fixed, so the digest depends on content alone.
    """
    for relative in source_files(sources.scoring_root):
        _copy(sources.scoring_root / relative, destination / relative)
    _copy(sources.model, destination / "model" / parts.model_name)
    if sources.executed is not None:
        _copy(sources.executed, destination / EXECUTED_FILE)
    if sources.code is not None:
        for relative in package_files(sources.code):
            _copy(sources.code / relative, destination / "code" / relative)
    for name, wheel in sources.wheels.items():
        _copy(wheel, destination / _WHEELS / name)
    _write(destination / "requirements.txt", parts.lock)
    for function, content in functions(spec.trigger).items():
        _write_json(destination / function / "function.json", content)
    base = json.loads((sources.scoring_root / "host.json").read_text(encoding="utf-8"))
    _write_json(destination / "host.json", host_json(base, spec.trigger))
    _write_json(destination / "manifest.json", build_manifest(spec, parts))
    template = (sources.scoring_root / "Dockerfile").read_text(encoding="utf-8")
    folders = [name for name in ("code", _WHEELS) if (destination / name).is_dir()]
    _write(
        destination / "Dockerfile",
        dockerfile(template, python=spec.runtime.python, function=function_folder(spec.trigger), folders=folders),
    )
    digest = tree_digest(destination, package_files(destination))
    _settle(destination)
    return digest


def wheel_line(name: str) -> str:
    """The line of requirements.txt for an uploaded wheel: its place in the package, whatever an index has."""
    return f"./{_WHEELS}/{name}"


def _copy(source: Path, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(source, target)


def _write_json(path: Path, data: Mapping[str, Any]) -> None:
    _write(path, json.dumps(data, indent=1, sort_keys=True, ensure_ascii=False) + "\n")


def _write(path: Path, text: str) -> None:
    """The same bytes whatever the locale and the system's line ends."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(text.encode())


def _settle(root: Path) -> None:
    """Give every file and folder the same times and modes; all may read, for the server runs as another user."""
    for folder, _, names in os.walk(root, topdown=False):
        for name in names:
            path = Path(folder) / name
            path.chmod(0o644)
            os.utime(path, (_EPOCH, _EPOCH))
        Path(folder).chmod(0o755)
        os.utime(folder, (_EPOCH, _EPOCH))
