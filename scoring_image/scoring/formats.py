"""What kind of file a model is, by its first bytes; endings can be wrong."""

from __future__ import annotations

import zipfile
from dataclasses import dataclass
from typing import BinaryIO, Literal

Family = Literal["pickle", "skops", "onnx", "other"]

FORMATS = ("joblib", "pickle", "skops", "onnx")


@dataclass(frozen=True, slots=True)
class Found:
    """What a file turned out to be: its family, how to call it, and the ending it should have, if it can be served."""

    family: Family
    says: str
    suffix: str = ""


_PICKLE = Found("pickle", "a joblib or pickle file", ".joblib")
_SKOPS = Found("skops", "a skops file", ".skops")
_ONNX = Found("onnx", "an ONNX model", ".onnx")

# What pickle (protocol 2 and later) and the compressed files of joblib start with: zlib, gzip, bzip2, xz, lzma, lz4.
_PICKLES = (
    b"\x80\x02", b"\x80\x03", b"\x80\x04", b"\x80\x05",
    b"x\x01", b"x\x5e", b"x\x9c", b"x\xda", b"\x1f\x8b", b"BZh", b"\xfd7zXZ\x00", b"\x5d\x00\x00", b"\x04\x22\x4d\x18",
)  # fmt: skip

_OTHERS = {
    b"\x89HDF\r\n\x1a\n": Found("other", "an HDF5 file, such as Keras writes"),
    b"<?xml": Found("other", "XML, such as PMML"),
    b"tree\n": Found("other", "a LightGBM text model"),
    b"\x93NUMPY": Found("other", "a single NumPy array"),
}


def found_format(file: BinaryIO) -> Found | None:
    """What the open file is, read from where it stands and put back there; None where nothing is certain."""
    start = file.tell()
    head = file.read(16)
    file.seek(start)
    if head.startswith(_PICKLES):
        return _PICKLE
    if head.startswith(b"PK\x03\x04"):
        return _zip(file, start)
    for magic, found in _OTHERS.items():
        if head.startswith(magic):
            return found
    # A ModelProto begins with field 1, ir_version, a small number, and goes on with field 2 or 7 (onnx.proto3).
    if len(head) > 2 and head[0] == 0x08 and head[1] < 0x40 and head[2] in (0x12, 0x3A):
        return _ONNX
    return None


def _zip(file: BinaryIO, start: int) -> Found | None:
    try:
        with zipfile.ZipFile(file) as archive:
            names = archive.namelist()
    except zipfile.BadZipFile:
        return None
    finally:
        file.seek(start)
    if "schema.json" in names:
        return _SKOPS
    if any(name.endswith("data.pkl") for name in names):
        return Found("other", "a PyTorch file")
    return Found("other", "a ZIP archive")
