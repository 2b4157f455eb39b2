"""Cache keys: one digest for equal inputs, however they were written down.

What is equal is decided on the values that the model is given, never on the text of the request:

- Numbers of a float64 feature are compared as float64: 1, 1.0 and 1e0 are one key, and so are two long
  decimals that round to the same float64, for the model cannot tell them apart either.
- 0.0 and -0.0 are the same number and one key. The sign is taken off the value before the model sees it too,
  so that the answer does not depend on which of the two came first.
- A missing value (null) is one value of its own, unlike every number and every string.
- Text is compared by its code points: "1" is not 1, and differently composed accents are different.
- A table's columns are in the manifest's order, whatever the order in the request.

Every digest starts with the kind and types of the input, so that equal bytes of different kinds never meet.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from struct import pack
from typing import Any

import numpy as np
from numpy.typing import NDArray

DIGEST_HEX = 32

_ARRAY = hashlib.sha256(b"array:float64\0")
_TEXTS = hashlib.sha256(b"array:string\0")
_JSON = hashlib.sha256(b"json\0")
_RAW = hashlib.sha256(b"raw\0")


def array_digest(rows: NDArray[np.float64]) -> str:
    """Of a C-contiguous float64 array of shape (rows, features), its zeros unsigned."""
    digest = _ARRAY.copy()
    digest.update(pack("<QQ", *rows.shape))
    digest.update(rows.data)
    return digest.hexdigest()[:DIGEST_HEX]


def texts_digest(texts: Sequence[str]) -> str:
    """Of a list of texts."""
    digest = _TEXTS.copy()
    digest.update(_texts(texts))
    return digest.hexdigest()[:DIGEST_HEX]


def table_digest(columns: Sequence[tuple[str, NDArray[Any] | Sequence[str | None]]]) -> str:
    """Of typed columns in the manifest's order: float64, int64 or bool arrays, or lists of texts and None."""
    digest = hashlib.sha256(b"table\0")
    for name, values in columns:
        digest.update(_text(name))
        if isinstance(values, np.ndarray):
            digest.update(pack("<cQ", values.dtype.kind.encode(), len(values)))
            digest.update(values.data)
        else:
            digest.update(pack("<cQ", b"s", len(values)))
            digest.update(_texts(values))
    return digest.hexdigest()[:DIGEST_HEX]


def json_digest(value: Any) -> str:
    """Of any decoded JSON value: objects whatever the order of their members, numbers by their value."""
    digest = _JSON.copy()
    _update_json(digest, value)
    return digest.hexdigest()[:DIGEST_HEX]


def raw_digest(body: bytes) -> str:
    """Of a body that is not JSON."""
    digest = _RAW.copy()
    digest.update(body)
    return digest.hexdigest()[:DIGEST_HEX]


def key_space(prefix: str, model_version: str, epoch: int) -> str:
    """`{prefix}:{first 16 hex of the model version}[-e{epoch}]`: what all keys of one version start with."""
    return f"{prefix}:{version_tag(model_version, epoch)}"


def version_tag(model_version: str, epoch: int) -> str:
    """The part of a key that changes with whatever can change an answer."""
    return f"{model_version[:16]}-e{epoch}" if epoch else model_version[:16]


def _text(text: str | None) -> bytes:
    if text is None:
        return b"\xff" * 8
    # A lone surrogate cannot come out of JSON read by msgspec, but it can out of a script's own decoding.
    encoded = text.encode("utf-8", "surrogatepass")
    return pack("<Q", len(encoded)) + encoded


def _texts(texts: Sequence[str | None]) -> bytes:
    return pack("<Q", len(texts)) + b"".join(map(_text, texts))


def _update_json(digest: Any, value: Any) -> None:
    if value is None or isinstance(value, bool):
        digest.update(b"%d;" % (2 if value is None else value))
    elif isinstance(value, int | float):
        # An integral float is written as the integer it is, so that 2, 2.0 and 2e0 meet and big integers stay
        # exact.
        exact = f"{int(value):x}" if isinstance(value, int) or value.is_integer() else value.hex()
        digest.update(f"n{exact};".encode())
    elif isinstance(value, str):
        digest.update(b"s" + _text(value))
    elif isinstance(value, list):
        digest.update(b"a%d;" % len(value))
        for item in value:
            _update_json(digest, item)
    else:
        digest.update(b"o%d;" % len(value))
        for name in sorted(value):
            digest.update(_text(name))
            _update_json(digest, value[name])
