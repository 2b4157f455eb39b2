"""Reading a request: the body's JSON becomes what the model is given, and the form that its key is made of.

A body that fits is read by a typed decoder in one pass. One that does not is read again, slowly, by
`refusals`, only to say what is wrong with it.
"""

from __future__ import annotations

import importlib
from collections.abc import Sequence
from struct import Struct
from struct import error as StructError
from typing import Any, Protocol

import msgspec
import numpy as np
from numpy.typing import NDArray

from scoring import keys
from scoring.cells import Columns, DoesNotFitError, by_name, in_order, plain, series, typed
from scoring.errors import too_large
from scoring.manifest import Input, Limits
from scoring.refusals import refusal

MASK = "***"
# Of a float64, little-endian; found also where two numbers meet like that, which does no harm.
_NEGATIVE_ZERO = bytes(7) + b"\x80"


class Request:
    """One request, read: what the model is given, how many rows that is, and its canonical form (see keys).

    `columns` are a table's typed columns, from which its rows' forms are made.
    """

    __slots__ = ("_value", "columns", "form", "rows")

    def __init__(self, value: Any, rows: int, form: bytes, columns: Columns = ()) -> None:
        self._value = value
        self.rows = rows
        self.form = form
        self.columns = columns

    @property
    def value(self) -> Any:
        """What the model is given."""
        return self._value


class PackedRequest(Request):
    """Rows of numbers that are made into an array only where a model is to see them, for most answers are stored."""

    __slots__ = ()

    @property
    def value(self) -> NDArray[np.float64]:
        """The float64 array of shape (rows, features)."""
        if self._value is None:
            self._value = keys.array_of(self.form)
        array: NDArray[np.float64] = self._value
        return array


class Asked(msgspec.Struct, frozen=True, array_like=True):
    """What HTTP says besides the body, for scripts that look at it; header names in small letters."""

    method: str
    query: bytes
    headers: tuple[tuple[bytes, bytes], ...]


class Reader(Protocol):
    """Reads bodies of one shape."""

    def read(self, body: bytes, asked: Asked | None = None) -> Request:
        """Read a body; `asked` is for scripts.

        Raises ScoringError: 400 for what does not fit, 413 for too many rows.
        """

    def unknown(self, fields: frozenset[str]) -> frozenset[str]:
        """Those of the fields that do not occur in such a body, and so cannot be masked."""

    def stored(self, request: Request, masked: frozenset[str]) -> Any:
        """The input as the entry in the cache shows it, with the masked fields' values replaced."""


class RowReader(Reader, Protocol):
    """Reads bodies that hold rows, which can be told apart."""

    def row_forms(self, request: Request) -> list[bytes]:
        """The canonical form of each row: that of a request that holds it alone."""

    def picked(self, request: Request, rows: Sequence[int]) -> Request:
        """A request of these rows alone, by their numbers from 0 on; it has no form."""

    def body(self, request: Request) -> bytes:
        """A body that is read as this request."""


def reader_for(schema: Input, limits: Limits, *, frames: bool = True) -> RowReader:
    """The reader of what the manifest describes; without `frames` a table is a dict of its columns, no DataFrame."""
    if schema.kind == "table":
        return TableReader(schema, limits.max_rows, frames=frames)
    if schema.dtype == "string":
        return TextReader(schema, limits.max_rows)
    return ArrayReader(schema, limits.max_rows)


class ArrayReader:
    """Rows of numbers; objects by column name as well, where the columns have names."""

    def __init__(self, schema: Input, max_rows: int) -> None:
        cell = float | None if schema.missing == "allow" else float
        row: Any = list[cell]  # type: ignore[valid-type]
        self._schema = schema
        self._names = tuple(column.name for column in schema.columns or ())
        if self._names:
            row = row | dict[str, Any]
        self._decoder = _decoder(schema.parameter, row)
        self._max_rows = max_rows
        self._pack = Struct(f"<{schema.features}d").pack if schema.features else None

    def read(self, body: bytes, asked: Asked | None = None) -> Request:
        schema = self._schema
        try:
            rows = self._decoder.decode(body).data
            if self._names:
                rows = [self._positional(row) if row.__class__ is dict else row for row in rows]
            if self._pack is not None and 0 < len(rows) <= self._max_rows:
                packed = self._packed(rows)
                if packed is not None:
                    return PackedRequest(None, len(rows), keys.packed_form(packed, len(rows), schema.features or 0))
            array = np.array(rows, dtype=np.float64)
        except _UNREADABLE as error:
            raise refusal(body, schema) from error
        _check_count(len(rows), self._max_rows)
        if array.ndim != 2 or array.shape[1] != (schema.features or array.shape[1]) or not array.size:
            raise refusal(body, schema)
        # Adding zero takes the sign off -0.0 and changes nothing else (see keys).
        array += 0.0
        return Request(array, len(rows), keys.array_form(array))

    def unknown(self, fields: frozenset[str]) -> frozenset[str]:
        return fields - set(self._masking_names(self._schema.features or 0))

    def stored(self, request: Request, masked: frozenset[str]) -> Any:
        rows = plain(request.value)
        if not masked:
            return rows
        names = self._masking_names(request.value.shape[1])
        hidden = [name in masked for name in names]
        return [[MASK if hide else cell for cell, hide in zip(row, hidden, strict=True)] for row in rows]

    def row_forms(self, request: Request) -> list[bytes]:
        array = request.value
        return [keys.array_form(array[index : index + 1]) for index in range(request.rows)]

    def picked(self, request: Request, rows: Sequence[int]) -> Request:
        return Request(request.value[list(rows)], len(rows), b"")

    def body(self, request: Request) -> bytes:
        return msgspec.json.encode({self._schema.parameter: plain(request.value)})

    def _packed(self, rows: list[list[float]]) -> bytes | None:
        """The rows' bytes, which costs a third of what an array does; None where it takes an array to tell."""
        assert self._pack is not None  # noqa: S101 - asked for only where the width is known
        try:
            packed = self._pack(*rows[0]) if len(rows) == 1 else b"".join([self._pack(*row) for row in rows])
        except StructError:
            # A row of another width, or a missing value.
            return None
        return None if _NEGATIVE_ZERO in packed else packed

    def _masking_names(self, width: int) -> tuple[str, ...]:
        """The columns' names; their numbers from 0 on, where they have none."""
        return self._names or tuple(map(str, range(width)))

    def _positional(self, row: dict[str, Any]) -> list[float | None]:
        cells = by_name(row, self._schema)
        if not all(cell.__class__ in (float, int) or cell is None for cell in cells):
            raise DoesNotFitError
        if None in cells and self._schema.missing == "refuse":
            raise DoesNotFitError
        return cells


class TextReader:
    """A list of texts, for models that start with a vectoriser."""

    def __init__(self, schema: Input, max_rows: int) -> None:
        self._schema = schema
        self._decoder = _decoder(schema.parameter, str)
        self._max_rows = max_rows

    def read(self, body: bytes, asked: Asked | None = None) -> Request:
        try:
            texts = self._decoder.decode(body).data
        except _UNREADABLE as error:
            raise refusal(body, self._schema) from error
        _check_count(len(texts), self._max_rows)
        if not texts:
            raise refusal(body, self._schema)
        return Request(texts, len(texts), keys.texts_form(texts))

    def unknown(self, fields: frozenset[str]) -> frozenset[str]:
        return frozenset()

    def stored(self, request: Request, masked: frozenset[str]) -> Any:
        return [MASK] * request.rows if masked else request.value

    def row_forms(self, request: Request) -> list[bytes]:
        return [keys.texts_form([text]) for text in request.value]

    def picked(self, request: Request, rows: Sequence[int]) -> Request:
        return Request([request.value[index] for index in rows], len(rows), b"")

    def body(self, request: Request) -> bytes:
        return msgspec.json.encode({self._schema.parameter: request.value})


class TableReader:
    """Rows as objects by column name, or as lists in the manifest's order.

    The model is given a DataFrame, or without `frames` a dict of arrays by column name.
    """

    def __init__(self, schema: Input, max_rows: int, *, frames: bool = True) -> None:
        self._schema = schema
        self._columns = schema.columns or ()
        self._decoder = _decoder(schema.parameter, dict[str, Any] | list[Any])
        self._max_rows = max_rows
        self._closed = [
            (index, frozenset([*column.categories, None]))
            for index, column in enumerate(self._columns)
            if column.categories is not None
        ]
        # pandas is heavy and only models trained on tables have it among their requirements.
        self._frame = importlib.import_module("pandas").DataFrame if frames else dict

    def read(self, body: bytes, asked: Asked | None = None) -> Request:
        schema = self._schema
        try:
            given = self._decoder.decode(body).data
            rows = [by_name(row, schema) if row.__class__ is dict else in_order(row, schema) for row in given]
            columns = [
                (column.name, typed([row[index] for row in rows], column, column.may_be_missing(schema)))
                for index, column in enumerate(self._columns)
            ]
            if not all(row[index] in known for index, known in self._closed for row in rows):
                raise DoesNotFitError
        except _UNREADABLE as error:
            raise refusal(body, schema) from error
        _check_count(len(rows), self._max_rows)
        if not rows:
            raise refusal(body, schema)
        return Request(self._framed(columns), len(rows), keys.table_form(columns), columns)

    def unknown(self, fields: frozenset[str]) -> frozenset[str]:
        return fields - {column.name for column in self._columns}

    def stored(self, request: Request, masked: frozenset[str]) -> Any:
        columns = [
            [MASK] * request.rows if name in masked else plain(np.asarray(request.value[name]))
            for name in request.value
        ]
        names = list(request.value)
        return [dict(zip(names, row, strict=True)) for row in zip(*columns, strict=True)]

    def row_forms(self, request: Request) -> list[bytes]:
        columns = request.columns
        return [
            keys.table_form([(name, cells[index : index + 1]) for name, cells in columns])
            for index in range(request.rows)
        ]

    def picked(self, request: Request, rows: Sequence[int]) -> Request:
        columns = [
            (name, cells[list(rows)] if isinstance(cells, np.ndarray) else [cells[index] for index in rows])
            for name, cells in request.columns
        ]
        return Request(self._framed(columns), len(rows), b"", columns)

    def body(self, request: Request) -> bytes:
        columns = [cells.tolist() if isinstance(cells, np.ndarray) else cells for _, cells in request.columns]
        return msgspec.json.encode({self._schema.parameter: list(zip(*columns, strict=True))})

    def _framed(self, columns: Columns) -> Any:
        return self._frame({name: series(cells) for name, cells in columns})


_UNREADABLE = (
    msgspec.MsgspecError,
    UnicodeDecodeError,
    RecursionError,
    OverflowError,
    ValueError,
    DoesNotFitError,
)


def _decoder(parameter: str, row: Any) -> msgspec.json.Decoder[Any]:
    body = msgspec.defstruct("Body", [("data", list[row])], rename={"data": parameter})
    return msgspec.json.Decoder(body)


def _check_count(count: int, most: int) -> None:
    if count > most:
        raise too_large(
            "too_many_rows",
            f"The request holds {count} rows; this function takes up to {most} at once.",
            f"Send them in several requests of up to {most} rows.",
        )
