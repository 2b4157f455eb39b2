"""Cache keys: one form, and so one digest, for equal inputs, however they were written down.

What is equal is decided on the values that the model is given, never on the text of the request:

- Numbers of a float64 feature are compared as float64: 1, 1.0 and 1e0 are one key, and so are two long
  decimals that round to the same float64, for the model cannot tell them apart either.
- 0.0 and -0.0 are the same number and one key. The sign is taken off the value before the model sees it too,
  so that the answer does not depend on which of the two came first.
- A missing value (null) is one value of its own, unlike every number and every string.
- Text is compared by its code points: "1" is not 1, and differently composed accents are different.
- A table's columns are in the manifest's order, whatever the order in the request.

Only a script's calls are compared by their bytes (see calls): a script may tell apart whatever it can see.

Every form starts with the kind and types of the input, so that equal bytes of different kinds never meet.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Callable, Sequence
from struct import pack, unpack_from
from typing import Any

import numpy as np
from numpy.typing import NDArray

DIGEST_HEX = 32

_ARRAY = b"array:float64\0"
_ROW = b"row\0"


def digester(secret: bytes) -> Callable[[bytes], str]:
    """What makes digests of forms: SHA-256, or HMAC-SHA-256 where there is a secret; cut to 128 bits, in hex.

    Without the secret nobody can find out by trying which inputs were asked about.
    """
    sha256 = hashlib.sha256
    if not secret:
        return lambda form: sha256(form).hexdigest()[:DIGEST_HEX]
    return lambda form: hmac.digest(secret, form, "sha256").hex()[:DIGEST_HEX]


def row_form(form: bytes) -> bytes:
    """Of one row, from the form of a request that holds it alone: the two never share a digest."""
    return _ROW + form


def array_form(rows: NDArray[np.float64]) -> bytes:
    """Of a C-contiguous float64 array of shape (rows, features), its zeros unsigned."""
    return packed_form(rows.tobytes(), *rows.shape)


def packed_form(packed: bytes, rows: int, features: int) -> bytes:
    """Of the bytes of such an array."""
    return _ARRAY + pack("<QQ", rows, features) + packed


def array_of(form: bytes) -> NDArray[np.float64]:
    """The array that the form was made of."""
    rows, features = unpack_from("<QQ", form, len(_ARRAY))
    return np.frombuffer(form, dtype="<f8", offset=len(_ARRAY) + 16).reshape(rows, features).copy()


def texts_form(texts: Sequence[str]) -> bytes:
    """Of a list of texts."""
    return b"array:string\0" + _texts(texts)


def table_form(columns: Sequence[tuple[str, NDArray[Any] | Sequence[str | None]]]) -> bytes:
    """Of typed columns in the manifest's order: float64, int64 or bool arrays, or lists of texts and None."""
    parts = [b"table\0"]
    for name, values in columns:
        parts.append(_text(name))
        if isinstance(values, np.ndarray):
            parts += pack("<cQ", values.dtype.kind.encode(), len(values)), values.tobytes()
        else:
            parts += pack("<cQ", b"s", len(values)), _texts(values)
    return b"".join(parts)


def raw_form(call: bytes) -> bytes:
    """Of a script's call, all of it that the script can see (see calls)."""
    return b"raw\0" + call


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
