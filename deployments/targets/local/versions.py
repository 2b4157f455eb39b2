"""Finds the versions a model was trained with in the bytes of its file, which is never opened as a model."""

import bz2
import gzip
import lzma
import re
import zipfile
import zlib
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import IO, BinaryIO, Protocol

MAX_BYTES = 512 * 1024 * 1024  # of what a compressed file unpacks to
_CHUNK = 1024 * 1024
_OVERLAP = 1024  # a match may lie across two chunks

# In a pickle the attribute's name is followed by its value, each as a short or long counted string, with
# opcodes that memoize them in between; protocol 0 writes them as lines.
_MEMO = rb"(?:\x94|q.|r.{4}|\np\d+\n)?"
_NUMBER = rb"(\d+\.\d+(?:\.\d+)?(?:(?:a|b|rc|\.post|\.dev)\d+)?)"
_VERSION = re.compile(rb"_sklearn_version" + _MEMO + rb"(?:\x8c.|X.{4}|V)" + _NUMBER, re.DOTALL)
# A skops file is a zip whose schema has each attribute as an object; a text is JSON inside of JSON.
_SCHEMA = "schema.json"
_SKOPS_VERSION = re.compile(rb'"_sklearn_version":\s*\{[^{}]*"content":\s*"\\"' + _NUMBER)
_NUMPY_2 = b"numpy._core"
# A pickle names the module of each class as a counted string, or after the opcode c with a line's end.
_MODULE = re.compile(rb"(?:\x8c.|X.{4}|c)([A-Za-z_][A-Za-z0-9_]{2,40})(?=[.\x94\nq])", re.DOTALL)


class _Readable(Protocol):
    def read(self, size: int, /) -> bytes: ...


def scikit_learn_version(path: Path) -> str:
    """The scikit-learn version that saved the model; "" where the file does not say."""
    previous = b""
    for chunk in _contents(path):
        seen = previous + chunk
        if found := _VERSION.search(seen) or _SKOPS_VERSION.search(seen):
            return found[1].decode()
        previous = chunk[-_OVERLAP:]
    return ""


def needs_numpy_2(path: Path) -> bool:
    """Whether the file names modules that only numpy 2 has."""
    previous = b""
    for chunk in _contents(path):
        if _NUMPY_2 in previous + chunk:
            return True
        previous = chunk[-_OVERLAP:]
    return False


def modules_named(path: Path, known: Collection[str]) -> frozenset[str]:
    """Which of the known top-level modules the file names as the home of a class; a hint, not a proof."""
    found: set[str] = set()
    previous = b""
    for chunk in _contents(path):
        found.update(name for match in _MODULE.finditer(previous + chunk) if (name := match[1].decode()) in known)
        previous = chunk[-_OVERLAP:]
    return frozenset(found)


def _contents(path: Path) -> Iterator[bytes]:
    """The file's bytes in pieces, unpacked where joblib or a person compressed it; bounded, and damage ends it."""
    left = MAX_BYTES
    with path.open("rb") as file:
        stream = _unpacked(file)
        while left > 0:
            try:
                chunk = stream.read(min(_CHUNK, left))
            except (OSError, EOFError, RuntimeError, zlib.error, lzma.LZMAError, zipfile.BadZipFile):
                return
            if not chunk:
                return
            left -= len(chunk)
            yield chunk


def _unpacked(file: BinaryIO) -> _Readable:
    """The stream behind the magic bytes that joblib itself goes by."""
    start = file.read(6)
    file.seek(0)
    if start.startswith(b"\x1f\x8b"):
        return gzip.GzipFile(fileobj=file)
    if start.startswith(b"BZ"):
        return bz2.BZ2File(file)
    if start.startswith((b"\xfd7zXZ", b"\x5d\x00")):
        return lzma.LZMAFile(file)
    if start.startswith(b"PK\x03\x04"):
        return _Schema(file)
    if start.startswith(b"x") and start[1:2] in (b"\x01", b"\x5e", b"\x9c", b"\xda"):
        return _Deflated(file)
    return file


class _Deflated:
    """A zlib stream, which the standard library reads only as a whole, in bounded pieces."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self._inflate = zlib.decompressobj()

    def read(self, size: int) -> bytes:
        while not self._inflate.eof:
            data = self._inflate.unconsumed_tail or self._file.read(64 * 1024)
            if not data:
                return b""
            if piece := self._inflate.decompress(data, size):
                return piece
        return b""


class _Schema:
    """The schema of a skops file; nothing of a zip without one."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self._member: IO[bytes] | None = None

    def read(self, size: int) -> bytes:
        if self._member is None:
            try:
                self._member = zipfile.ZipFile(self._file).open(_SCHEMA)  # noqa: SIM115 - ends with the file
            except (KeyError, ValueError, NotImplementedError):
                return b""
        return self._member.read(size)
