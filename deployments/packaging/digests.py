"""Digests of files and folders: the same content gives the same digest, whenever and wherever it is read."""

import hashlib
import json
from collections.abc import Iterable
from pathlib import Path

_CACHES = "__pycache__"
_TESTS = "tests"
_BYTE_CODE = {".pyc", ".pyo"}
_CHUNK = 1024 * 1024


def file_digest(path: Path) -> str:
    """sha256 of a file in hex, read in pieces."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while chunk := file.read(_CHUNK):
            digest.update(chunk)
    return digest.hexdigest()


def package_files(root: Path) -> tuple[Path, ...]:
    """The files below `root` in order, without byte code; paths are relative to it."""
    relative = (path.relative_to(root) for path in root.rglob("*") if path.is_file())
    return tuple(sorted(path for path in relative if _CACHES not in path.parts and path.suffix not in _BYTE_CODE))


def source_files(root: Path) -> tuple[Path, ...]:
    """The same without tests and hidden files, for sources of our own."""
    return tuple(
        path
        for path in package_files(root)
        if _TESTS not in path.parts and not any(part.startswith(".") for part in path.parts)
    )


def tree_digest(root: Path, files: Iterable[Path]) -> str:
    """sha256 over the names and contents of these files, given relative to `root`."""
    entries = [[path.as_posix(), file_digest(root / path)] for path in files]
    return hashlib.sha256(json.dumps(entries, separators=(",", ":")).encode()).hexdigest()
