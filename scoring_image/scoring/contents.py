"""Contents of blobs and messages: JSON, CSV or npy becomes the JSON body that an HTTP caller would have sent.

So all of them are checked by the same reader and meet in the same entry of the cache. What a content is, is told by
its content type, else by the ending of its name, else by its first bytes.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from math import isinf, isnan
from pathlib import PurePosixPath
from typing import Any, Literal

import msgspec
import numpy as np
from numpy.lib import format as npy
from numpy.typing import NDArray

from scoring.errors import ScoringError, bad_input
from scoring.manifest import Input

Form = Literal["json", "csv", "npy"]

_TYPES: dict[str, Form] = {
    "application/json": "json",
    "text/json": "json",
    "text/csv": "csv",
    "application/csv": "csv",
    "application/x-npy": "npy",
    "application/npy": "npy",
}
_ENDINGS: dict[str, Form] = {".json": "json", ".csv": "csv", ".npy": "npy"}
_NPY_MAGIC = b"\x93NUMPY"
_BOM = b"\xef\xbb\xbf"
_MISSING = {"", "nan", "null", "na", "n/a", "none"}
_TRUTH = {"true": True, "false": False, "1": True, "0": False}


def form_of(content: bytes, *, content_type: str = "", name: str = "") -> Form:
    """Which of the three the content is; a content type that says nothing, such as octet-stream, is passed over."""
    plain = content_type.partition(";")[0].strip().lower()
    told = _TYPES.get(plain) or ("json" if plain.endswith("+json") else None)
    told = told or _ENDINGS.get(PurePosixPath(name).suffix.lower())
    if told is not None:
        return told
    if content.startswith(_NPY_MAGIC):
        return "npy"
    return "json" if content.removeprefix(_BOM).lstrip()[:1] in (b"{", b"[") else "csv"


def body_of(content: bytes, schema: Input, *, content_type: str = "", name: str = "") -> bytes:
    """The JSON body with the content's rows.

    JSON is a request's body or its bare rows. A CSV may begin with a line of column names; a cell that is empty is a
    missing value. An npy file holds an array of shape (rows, features) or (features,), a record array with the
    columns' names, or texts. Raises ScoringError 400 with the place; pickled objects in an npy file are refused.
    """
    match form_of(content, content_type=content_type, name=name):
        case "json":
            return _json_body(content.removeprefix(_BOM), schema)
        case "csv":
            rows = _csv_rows(content, schema)
        case "npy":
            rows = _npy_rows(content, schema)
    return msgspec.json.encode({schema.parameter: rows})


def _json_body(content: bytes, schema: Input) -> bytes:
    """The body as it came, or the bare rows under the parameter; what is no JSON is left for the reader to name."""
    if not content.lstrip().startswith(b"["):
        return content
    try:
        rows = msgspec.json.decode(content, type=msgspec.Raw)
    except (msgspec.MsgspecError, RecursionError):
        return content
    return msgspec.json.encode({schema.parameter: rows})


def _csv_rows(content: bytes, schema: Input) -> list[Any]:
    try:
        text = content.decode("utf-8-sig")
        lines = [line for line in csv.reader(io.StringIO(text, newline=""), strict=True) if line]
    except UnicodeDecodeError as error:
        raise bad_input("bad_csv", f"The CSV is not UTF-8: {error.reason}.", "Save it as UTF-8.") from error
    except csv.Error as error:
        raise bad_input("bad_csv", f"The CSV cannot be read: {error}.", "Quote cells as RFC 4180 says.") from error
    names = _header(lines, schema)
    rows = lines[1:] if names else lines
    if not rows:
        raise bad_input("no_rows", "The CSV holds no row of values.", "Put one row of features on each line.")
    if schema.dtype == "string" and schema.kind == "array":
        return _texts(rows)
    columns = names if names and schema.columns else [column.name for column in schema.columns or ()]
    return [_csv_row(cells, columns, schema, at) for at, cells in enumerate(rows, 2 if names else 1)]


def _header(lines: Sequence[Sequence[str]], schema: Input) -> list[str]:
    """The first line where it holds names: all the model's columns, or nothing that could be a value."""
    if not lines:
        return []
    first = [cell.strip() for cell in lines[0]]
    known = [column.name for column in schema.columns or ()]
    if known:
        return first if set(known) <= set(first) else []
    if schema.dtype == "string":
        return first if first == [schema.parameter] else []
    return first if not any(_number(cell) is not None or cell.lower() in _MISSING for cell in first) else []


def _texts(rows: Sequence[Sequence[str]]) -> list[str]:
    for at, cells in enumerate(rows):
        if len(cells) != 1:
            raise bad_input(
                "bad_csv",
                f"Row {at + 1} has {len(cells)} cells; this model takes one text a row.",
                'Put the text in double quotes where it holds a comma: "one, two".',
            )
    return [cells[0] for cells in rows]


def _csv_row(cells: Sequence[str], columns: Sequence[str], schema: Input, line: int) -> Any:
    """A list in the manifest's order, or an object where the file names its columns in an order of its own."""
    if columns and len(cells) != len(columns):
        raise bad_input(
            "bad_csv",
            f"Line {line} has {len(cells)} cells; {len(columns)} are expected.",
            f"The columns are: {', '.join(columns)[:300]}.",
            at=f"line {line}",
        )
    dtypes = {column.name: column.dtype for column in schema.columns or ()} if schema.kind == "table" else {}
    read = [
        _cell(cell, dtypes.get(columns[index], "float64") if columns else "float64", f"line {line}, column {index + 1}")
        for index, cell in enumerate(cells)
    ]
    return dict(zip(columns, read, strict=True)) if columns else read


def _cell(cell: str, dtype: str, at: str) -> Any:
    if dtype == "string":
        return cell or None
    plain = cell.strip()
    if plain.lower() in _MISSING:
        return None
    if dtype == "bool":
        value: Any = _TRUTH.get(plain.lower())
    elif dtype == "int64" and plain.removeprefix("-").isdecimal():
        value = int(plain)
    else:
        value = _number(plain)
    if value is None:
        kind = "true or false" if dtype == "bool" else "a finite number"
        raise bad_input(
            "bad_csv",
            f"“{cell[:40]}” is not {kind}.",
            "Write numbers with a point; a line of names must hold every column of the model.",
            at=at,
        )
    return value


def _number(text: str) -> float | None:
    """The finite number that the text is, else None."""
    try:
        value = float(text)
    except ValueError:
        return None
    return None if isinf(value) or isnan(value) or "_" in text else value


def _npy_rows(content: bytes, schema: Input) -> list[Any]:
    array = _npy_array(content)
    if array.dtype.names:
        return [dict(zip(array.dtype.names, map(_plain, row), strict=True)) for row in np.atleast_1d(array).tolist()]
    if array.dtype.kind == "U" and array.ndim == 1:
        texts: list[Any] = array.tolist()
        return texts
    if array.dtype.kind not in "biuf" or array.ndim not in (1, 2):
        raise bad_input(
            "bad_npy",
            f"The file holds an array of {array.dtype} with {array.ndim} dimensions.",
            "Save numbers of shape (rows, features), for example with numpy.save(path, rows.astype(float)).",
        )
    # One dimension is one row. Wider floats than float64 have no JSON; the model is given float64 anyway.
    rows = np.atleast_2d(array.astype(np.float64) if array.dtype.kind == "f" or schema.kind == "array" else array)
    if schema.kind == "table":
        truths = {index for index, column in enumerate(schema.columns or ()) if column.dtype == "bool"}
        return [
            [bool(cell) if index in truths and cell in (0, 1) else _plain(cell) for index, cell in enumerate(row)]
            for row in rows.tolist()
        ]
    if np.isinf(rows).any():
        raise _infinite()
    plain: list[Any] = np.where(np.isnan(rows), None, rows).tolist() if np.isnan(rows).any() else rows.tolist()  # type: ignore[call-overload]
    return plain


def _npy_array(content: bytes) -> NDArray[Any]:
    """Read the array; its announced size is checked first, so that a header cannot ask for memory."""
    file = io.BytesIO(content)
    try:
        version = npy.read_magic(file)
        shape, _, dtype = (npy.read_array_header_1_0 if version == (1, 0) else npy.read_array_header_2_0)(file)
        announced = dtype.itemsize
        for length in shape:
            announced *= length
        if dtype.hasobject or announced != len(content) - file.tell():
            raise ValueError("it holds pickled objects, or another number of bytes than it says")
        file.seek(0)
        array: NDArray[Any] = np.load(file, allow_pickle=False)
    except (ValueError, EOFError, OSError, MemoryError, RecursionError, TypeError, SyntaxError) as error:
        raise bad_input(
            "bad_npy",
            f"The npy file cannot be read: {str(error)[:200]}.",
            "Save an array of numbers with numpy.save; objects are never opened.",
        ) from error
    return array


def _plain(cell: Any) -> Any:
    if isinstance(cell, float):
        if isinf(cell):
            raise _infinite()
        return None if isnan(cell) else cell
    if cell is None or isinstance(cell, bool | int | str):
        return cell
    raise bad_input("bad_npy", f"A record holds a {type(cell).__name__}.", "Save numbers, truth values and texts.")


def _infinite() -> ScoringError:
    return bad_input("bad_npy", "The array holds an infinite number.", "Save finite numbers; NaN is a missing value.")
