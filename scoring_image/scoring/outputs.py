"""What a model returned, as the JSON that is answered."""

from __future__ import annotations

from datetime import date, time
from typing import Any

import msgspec
import numpy as np


class OutputError(TypeError):
    """The model returned something that has no JSON form."""


def encode_output(output: Any) -> bytes:
    """JSON of arrays, scalars, strings, sparse matrices, Series and DataFrames (as records), and lists of
    them.

    NaN and the infinities become null, for JSON has no word for them. Raises OutputError.
    """
    try:
        return _ENCODER.encode(_plain(output))
    except (TypeError, ValueError, OverflowError, RecursionError) as error:
        raise OutputError(f"what the model returned has no JSON form: {error}") from error


def _plain(value: Any) -> Any:
    """Containers of numpy, scipy and pandas as lists; told by what they can do, so that none is imported."""
    if isinstance(value, np.ndarray):
        if value.dtype.kind in "mM":
            value = value.astype(str)
        return value.tolist()
    if isinstance(value, np.generic):
        return _plain(np.asarray(value)) if value.dtype.kind in "mM" else value.item()
    if hasattr(value, "toarray"):
        return _plain(value.toarray())
    if hasattr(value, "to_dict") and hasattr(value, "columns"):
        return value.to_dict(orient="records")
    if hasattr(value, "to_numpy"):
        return _plain(value.to_numpy())
    return value


def _hook(value: Any) -> Any:
    plain = _plain(value)
    if plain is value:
        if isinstance(value, date | time):
            return value.isoformat()
        raise TypeError(f"an object of {type(value).__name__} cannot be sent as JSON")
    return plain


_ENCODER = msgspec.json.Encoder(enc_hook=_hook)
