"""A model's ONNX form: requests become its tensors, and its tensors what the original's method returns."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Literal

import msgspec
import numpy as np
from numpy.typing import NDArray

from scoring.sessions import NUMPY_TYPES

# What stands for a missing text in a tensor of texts, which cannot hold None.
MISSING_TEXT = "\x01missing"


class Outputs(msgspec.Struct, frozen=True):
    """The manifest's `execution.outputs`: how one output of the session becomes the method's result.

    `name` is the session's output. `take` says which part of it: `whole` as it is; `flat` a column (rows, 1) as
    (rows,); `column` the one numbered `column` of (rows, columns), as (rows,); `list` an array (outputs, rows,
    classes) as a list of arrays; `maps` a list of one {class: score} each row as an array, its columns in the order
    of `classes`. `dtype` is numpy's name of the result's type. `columns` are the table's columns that the session's
    inputs take, in their order; null where one tensor takes whole rows. `through` is the float type that numbers are
    rounded to first, as the original does itself, and beyond which they are refused. `lower` puts texts into small
    letters first.
    """

    name: str
    take: Literal["whole", "flat", "column", "list", "maps"] = "whole"
    column: int = 0
    dtype: str = "float64"
    classes: list[Any] | None = None
    columns: list[str] | None = None
    through: Literal["float32"] | None = None
    lower: bool = False


class OnnxForm:
    """Calls the session as the original's method is called. Safe to call from several threads."""

    def __init__(self, session: Any, outputs: Outputs) -> None:
        self._run: Callable[[list[str], dict[str, Any], None], list[Any]] = session.run
        self._names = [outputs.name]
        self._adapt = _adapter(outputs)
        self._feed = _feeder(session, outputs)

    def __call__(self, value: Any) -> Any:
        """What the original's method returns for `value`: an array (rows, features) of float64, texts, or columns by
        name. Raises ValueError for numbers that the original refuses."""
        return self._adapt(self._run(self._names, self._feed(value), None)[0])

    def tensor(self, value: Any) -> Any:
        """The session's output as it is."""
        return self._run(self._names, self._feed(value), None)[0]


def _feeder(session: Any, outputs: Outputs) -> Callable[[Any], dict[str, Any]]:
    """What makes a request's value into the session's tensors."""
    inputs = session.get_inputs()
    if outputs.columns is not None:
        return _column_feeder(inputs, outputs.columns)
    (tensor,) = inputs
    name, dtype = tensor.name, np.dtype(NUMPY_TYPES[tensor.type])
    if dtype.kind == "O":
        shape = _shape(tensor)
        if outputs.lower:
            return lambda texts: {name: np.array([text.lower() for text in texts], dtype=object).reshape(shape)}
        return lambda texts: {name: np.array(texts, dtype=object).reshape(shape)}
    if outputs.through is not None:
        return lambda rows: {name: _rounded(rows).astype(dtype, copy=False)}
    if dtype == np.float64:
        return lambda rows: {name: rows}
    return lambda rows: {name: rows.astype(dtype)}


def _column_feeder(inputs: list[Any], columns: list[str]) -> Callable[[Any], dict[str, Any]]:
    plan = [
        (tensor.name, column, _column_of(np.dtype(NUMPY_TYPES[tensor.type]), _shape(tensor)))
        for tensor, column in zip(inputs, columns, strict=True)
    ]

    def feed(table: Mapping[str, Any]) -> dict[str, Any]:
        return {name: cast(table[column]) for name, column, cast in plan}

    return feed


def _column_of(dtype: np.dtype[Any], shape: tuple[int, ...]) -> Callable[[Any], NDArray[Any]]:
    if dtype.kind != "O":
        return lambda cells: np.asarray(cells).astype(dtype, copy=False).reshape(shape)
    return lambda cells: np.array(
        [cell if cell.__class__ is str else MISSING_TEXT for cell in cells], dtype=object
    ).reshape(shape)


def _shape(tensor: Any) -> tuple[int, ...]:
    """A column as the tensor wants it: (rows, 1) or (rows,)."""
    return (-1, 1) if len(tensor.shape) == 2 else (-1,)


def _rounded(rows: NDArray[np.float64]) -> NDArray[np.float32]:
    with np.errstate(over="ignore"):
        cast = rows.astype(np.float32)
    # Missing values may be there; infinity is never what a request holds.
    if np.isinf(cast).any():
        raise ValueError("Input X contains infinity or a value too large for dtype('float32').")
    return cast


def _adapter(outputs: Outputs) -> Callable[[Any], Any]:
    dtype = np.dtype(object if outputs.dtype == "string" else outputs.dtype)
    column, classes = outputs.column, outputs.classes or []
    match outputs.take:
        case "flat":
            return lambda result: result.reshape(-1).astype(dtype, copy=False)
        case "column":
            return lambda result: result[:, column].astype(dtype, copy=False)
        case "list":
            return lambda result: [part.astype(dtype, copy=False) for part in result]
        case "maps":
            return lambda result: np.array([[row[name] for name in classes] for row in result], dtype=dtype)
        case _:
            return lambda result: result.astype(dtype, copy=False)
