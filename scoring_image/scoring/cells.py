"""Cells: the values of a row or column of a request, held against the columns that the manifest describes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from scoring.manifest import Column, Input

Cells = NDArray[Any] | Sequence[str | None]
Columns = Sequence[tuple[str, Cells]]


class DoesNotFitError(Exception):
    """The JSON is of the right outline, but not what this model takes; `refusals` finds the words."""


def by_name(row: Mapping[str, Any], schema: Input) -> list[Any]:
    """The cells of a row that names its columns, in the manifest's order. Raises DoesNotFitError."""
    columns = schema.columns or ()
    try:
        cells = [row[column.name] for column in columns]
    except KeyError:
        raise DoesNotFitError from None
    if len(row) != len(cells) and len(row.keys() - set(schema.ignored)) != len(cells):
        raise DoesNotFitError
    return cells


def in_order(row: list[Any], schema: Input) -> list[Any]:
    """The cells of a row that is a list already. Raises DoesNotFitError."""
    if len(row) != len(schema.columns or ()):
        raise DoesNotFitError
    return row


def typed(cells: list[Any], column: Column, allow_missing: bool) -> Cells:
    """The column's cells as its dtype: an array, or a list of texts and None. Raises DoesNotFitError."""
    classes = {cell.__class__ for cell in cells}
    if None.__class__ in classes:
        if not allow_missing:
            raise DoesNotFitError
        classes.discard(None.__class__)
    if column.dtype == "string":
        if not classes <= {str}:
            raise DoesNotFitError
        return cells
    if column.dtype == "bool":
        if not classes <= {bool}:
            raise DoesNotFitError
        return np.array(cells, dtype=np.bool_)
    if not classes <= {int, float}:
        raise DoesNotFitError
    if column.dtype == "int64":
        if not all(isinstance(cell, int) or cell.is_integer() for cell in cells):
            raise DoesNotFitError
        return np.array([int(cell) for cell in cells], dtype=np.int64)
    return np.array(cells, dtype=np.float64) + 0.0


def series(cells: Cells) -> NDArray[Any]:
    """The cells as a column of a DataFrame holds them."""
    if isinstance(cells, np.ndarray):
        return cells
    # Missing text is NaN, as it is in a frame read from a file: scikit-learn's imputers look for that by
    # default.
    return np.array([np.nan if cell is None else cell for cell in cells], dtype=object)


def plain(array: NDArray[Any]) -> list[Any]:
    """The values as JSON can have them."""
    values: list[Any] = array.tolist()
    return values
