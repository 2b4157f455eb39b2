"""Why a body was refused: read slowly and in full, to name the first thing that is wrong and its place."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

import msgspec

from scoring.errors import ScoringError, bad_input
from scoring.manifest import Column, Input

_BYTE = re.compile(r"\(byte (\d+)\)")
_PLACE = re.compile(r" - at `\$(.*)`$")
_NOT_JSON = ("-Infinity", "Infinity", "NaN")
_SAY = {"float64": "a number", "int64": "a whole number", "bool": "true or false", "string": "a string"}
_SHOWN = 8


def refusal(body: bytes, schema: Input | None) -> ScoringError:
    """The 400 for a body that could not be read as `schema` says; without one, only its text is looked at."""
    try:
        value = msgspec.json.decode(body)
    except RecursionError:
        return bad_input("bad_json", "The body is nested too deeply.", _example_hint(schema))
    except UnicodeDecodeError as error:
        return bad_input("bad_json", f"The body is not UTF-8: {error.reason}.", "Encode the JSON as UTF-8.")
    except msgspec.ValidationError as error:
        return bad_input(
            "out_of_range",
            "A number is too large for a float64.",
            "Send numbers up to about 1.8e308.",
            at=_place(str(error), schema),
        )
    except msgspec.DecodeError as error:
        return _bad_json(body, str(error), schema)
    if schema is None:
        return bad_input("bad_json", "The body could not be read.", "Send a JSON object.")
    return _bad_outline(value, schema) or _bad_rows(value[schema.parameter], schema)


def _place(said: str, schema: Input | None) -> str | None:
    """The place in the decoder's own words, which call every member of an object `[...]`."""
    found = _PLACE.search(said)
    if found is None or schema is None:
        return None
    before, _, after = found.group(1).partition("[...]")
    return None if before else schema.parameter + after.split("[...]")[0]


def _bad_json(body: bytes, said: str, schema: Input | None) -> ScoringError:
    found = _BYTE.search(said)
    at = int(found.group(1)) if found else len(body)
    for word in _NOT_JSON:
        # The decoder stops at the first letter it does not know, which is after the sign.
        start = at - 1 if word.startswith("-") else at
        if start >= 0 and body[start:].startswith(word.encode()):
            allowed = schema is not None and schema.missing == "allow"
            hint = "Write null for a missing value." if allowed else "This model takes finite numbers only."
            return bad_input("not_finite", f"JSON has no {word} (byte {start} of the body).", hint)
    if not body.strip():
        return bad_input("empty", "The body is empty.", _example_hint(schema))
    reason = "it ends too early" if "truncated" in said else said.removeprefix("JSON is malformed: ")
    return bad_input("bad_json", f"The body is not JSON: {reason}.", _example_hint(schema))


def _bad_outline(value: Any, schema: Input) -> ScoringError | None:
    name = schema.parameter
    if not isinstance(value, dict):
        return bad_input(
            "bad_shape",
            f'The body must be an object with "{name}", not {_kind(value)}.',
            _example_hint(schema),
        )
    if name not in value:
        got = f"it has {_listed(list(value))}" if value else "it is empty"
        return bad_input("missing_parameter", f'The body must have "{name}"; {got}.', _example_hint(schema), at=name)
    rows = value[name]
    if not isinstance(rows, list):
        return bad_input(
            "bad_shape",
            f'"{name}" must be a list of rows, not {_kind(rows)}.',
            _example_hint(schema),
            at=name,
        )
    if not rows:
        return bad_input("empty", f'"{name}" holds no rows.', _example_hint(schema), at=name)
    return None


def _bad_rows(rows: list[Any], schema: Input) -> ScoringError:
    width = schema.features
    for index, row in enumerate(rows):
        at = f"{schema.parameter}[{index}]"
        if schema.dtype == "string" and schema.kind == "array":
            wrong = None if isinstance(row, str) else _bad_kind("a string", row, at, schema)
        elif isinstance(row, dict) and schema.columns:
            wrong = _bad_record(row, schema, at)
        elif isinstance(row, list):
            wrong = _bad_list(row, schema, at, width)
            width = width or len(row)
        else:
            expected = "a list of values or an object by column" if schema.columns else "a list of numbers"
            wrong = _bad_kind(expected, row, at, schema)
        if wrong:
            return wrong
    return bad_input("bad_shape", "The rows do not have the shape that this model takes.", _example_hint(schema))


def _bad_list(row: list[Any], schema: Input, at: str, width: int | None) -> ScoringError | None:
    columns = schema.columns or ()
    wanted = len(columns) or width
    if not row or (wanted and len(row) != wanted):
        names = f" ({_listed([column.name for column in columns])})" if columns else ""
        takes = f"this model takes {wanted}{names}" if wanted else "a row needs at least one"
        if wanted and not schema.features and not columns:
            takes = f"the rows before it have {wanted}"
        return bad_input("bad_shape", f"{at} has {_count(len(row))}; {takes}.", _example_hint(schema), at=at)
    for index, cell in enumerate(row):
        column = columns[index] if columns else Column(name=str(index), dtype="float64")
        wrong = _bad_cell(cell, column, schema, f"{at}[{index}]")
        if wrong:
            return wrong
    return None


def _bad_record(row: dict[str, Any], schema: Input, at: str) -> ScoringError | None:
    columns = schema.columns or ()
    names = [column.name for column in columns]
    missing = [name for name in names if name not in row]
    unknown = [name for name in row if name not in names and name not in schema.ignored]
    if missing:
        also = f" It has {_listed(unknown)}, which this model does not know." if unknown else ""
        return bad_input(
            "missing_columns",
            f"{at} lacks {_listed(missing)}.{also}",
            f"Every row needs {_listed(names, most=len(names))}.",
            at=at,
        )
    if unknown:
        return bad_input(
            "unknown_columns",
            f"{at} has {_listed(unknown)}, which this model does not know.",
            f"Send only {_listed(names, most=len(names))}.",
            at=at,
        )
    for column in columns:
        wrong = _bad_cell(row[column.name], column, schema, f"{at}.{column.name}")
        if wrong:
            return wrong
    return None


def _bad_cell(cell: Any, column: Column, schema: Input, at: str) -> ScoringError | None:
    wanted = _SAY[column.dtype]
    if cell is None:
        if column.may_be_missing(schema):
            return None
        return bad_input(
            "missing_value",
            f"{at} is null; this model takes no missing values here.",
            f"Send {wanted}, or deploy a model that fills in missing values itself.",
            at=at,
        )
    number = isinstance(cell, int | float) and not isinstance(cell, bool)
    if column.dtype == "string":
        fits = isinstance(cell, str)
    elif column.dtype == "bool":
        fits = isinstance(cell, bool)
    else:
        fits = number
    if not fits:
        return bad_input("bad_type", f"{at} must be {wanted}, not {_kind(cell)}.", f"Send {wanted}.", at=at)
    if column.dtype == "int64" and (cell != int(cell) or not -(2**63) <= cell < 2**63):
        return bad_input("bad_type", f"{at} must be a whole number of 64 bits.", "Send a whole number.", at=at)
    if number and abs(cell) > 1.7976931348623157e308:
        return bad_input(
            "out_of_range", f"{at} is too large for a float64.", "Send numbers up to about 1.8e308.", at=at
        )
    if column.categories is not None and cell not in column.categories:
        known = [str(category) for category in column.categories]
        return bad_input(
            "unknown_category",
            f"{at} is none of the values that this model was trained on.",
            f"Send one of {_listed(known)}.",
            at=at,
        )
    return None


def _bad_kind(expected: str, row: Any, at: str, schema: Input) -> ScoringError:
    return bad_input("bad_shape", f"{at} must be {expected}, not {_kind(row)}.", _example_hint(schema), at=at)


def _example_hint(schema: Input | None) -> str:
    if schema is None:
        return "Send a JSON object."
    if schema.kind == "array" and schema.dtype == "string":
        return f'Send {{"{schema.parameter}": ["some text", ...]}}.'
    if schema.kind == "table":
        shown = ", ".join(f'"{column.name}": ...' for column in (schema.columns or ())[:3])
        return f'Send {{"{schema.parameter}": [{{{shown}, ...}}, ...]}}, one object per row.'
    width = f" of {schema.features} numbers" if schema.features else " of numbers"
    return f'Send {{"{schema.parameter}": [[...], ...]}}, one list{width} per row.'


def _listed(names: Sequence[str], *, most: int = _SHOWN) -> str:
    shown = ", ".join(f'"{name}"' for name in names[:most])
    return shown if len(names) <= most else f"{shown} and {len(names) - most} more"


def _count(number: int) -> str:
    return "1 value" if number == 1 else f"{number} values"


def _kind(value: Any) -> str:
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "true" if value else "false"
    kinds = {str: "a string", list: "a list", dict: "an object", int: "a number", float: "a number"}
    return kinds.get(type(value), "something else")
