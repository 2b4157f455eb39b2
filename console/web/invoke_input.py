"""What a person filled into the test form becomes the body of a request, or errors beside the fields."""

import csv
import io
import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from django.core.files.uploadedfile import UploadedFile
from django.utils.translation import gettext as _

from console.web.invoke_shape import Field, Shape
from deployments.domain.storable import finite, is_storable

MOST_FILE_BYTES = 5 * 1024 * 1024
MOST_LINES = 10_000
MOST_PAIRS = 50
TABS = ("draw", "fields", "json", "file")


class BadInput(Exception):
    """What was filled in cannot be sent; `where` names the field at fault: json, file, query, headers or f0, f1…"""

    def __init__(self, where: str, message: str) -> None:
        super().__init__(message)
        self.where = where


@dataclass(frozen=True, slots=True)
class Filled:
    """A form as it was sent, and what it means."""

    body: Any
    label: str
    cache: str
    method: str
    query: dict[str, list[str]] = field(default_factory=dict)
    headers: dict[str, str] = field(default_factory=dict)


def read_form(post: Mapping[str, Any], file: UploadedFile | None, shape: Shape) -> Filled:
    """Read the whole form. Raises BadInput."""
    tab = post.get("tab", "json")
    if tab == "file":
        rows, label = read_file(file, shape), str(file.name if file else "")
    elif tab == "fields" and shape.has_fields:
        rows, label = _with_fields(post, shape), _("Fields")
    else:
        rows = read_json(post.get("json", ""))
        label = _("Drawn") if tab == "draw" else _("JSON")
    filled = Filled(
        body=shape.wrap(rows),
        label=label,
        cache=post.get("cache", "default"),
        method=post.get("method", shape.methods[0]),
        query=_query(post.get("query", "")),
        headers=_headers(post.get("headers", "")),
    )
    _check_storable(filled.body, where="file" if tab == "file" else "json")
    _check_storable(filled.query, where="query")
    return filled


def read_json(text: str) -> Any:
    """JSON as a person writes it. Raises BadInput with line and column."""
    if not text.strip():
        raise BadInput("json", _("Fill in the input."))
    try:
        return json.loads(text, parse_constant=_no_constant, parse_float=finite)
    except json.JSONDecodeError as error:
        raise BadInput(
            "json",
            _("Not JSON in line %(line)d, column %(column)d: %(what)s.")
            % {"line": error.lineno, "column": error.colno, "what": error.msg},
        ) from None
    except ValueError as error:
        raise BadInput("json", _("Not JSON: %(what)s.") % {"what": error}) from None
    except RecursionError:
        raise BadInput("json", _("Nested too deeply.")) from None


def read_file(file: UploadedFile | None, shape: Shape) -> Any:
    """Rows from a CSV or JSON file of at most 5 MB. Raises BadInput."""
    if file is None:
        raise BadInput("file", _("Choose a file."))
    if (file.size or 0) > MOST_FILE_BYTES:
        raise BadInput("file", _("The file is larger than %(n)d MB.") % {"n": MOST_FILE_BYTES // 1024**2})
    try:
        text = file.read().decode("utf-8-sig")
    except UnicodeDecodeError:
        raise BadInput("file", _("The file is not text in UTF-8.")) from None
    if str(file.name).lower().endswith(".json") or text.lstrip()[:1] in ("[", "{"):
        try:
            return shape.unwrap(read_json(text))
        except BadInput as error:
            raise BadInput("file", str(error)) from None
    return _csv_rows(text, shape)


def compact(rows: Any, *, width: int = 0) -> str:
    """Rows as JSON text; with a width the first row is broken into lines of so many numbers."""
    if width and isinstance(rows, list) and rows and all(isinstance(row, list) for row in rows):
        return "[" + ",\n ".join(_matrix(row, width) for row in rows) + "]"
    return json.dumps(rows, ensure_ascii=False).encode(errors="replace").decode()


def as_pairs(pairs: Mapping[str, Any], *, sign: str) -> str:
    """Names and values, one pair a line, as the form's text areas hold them."""
    lines = []
    for name, value in pairs.items():
        lines += [f"{name}{sign}{item}" for item in (value if isinstance(value, list) else [value])]
    return "\n".join(lines)


def _check_storable(value: Any, *, where: str) -> None:
    """What is sent is kept as well."""
    try:
        if is_storable(value):
            return
    except RecursionError:
        raise BadInput(where, _("Nested too deeply.")) from None
    raise BadInput(where, _("Remove U+0000 or half of a surrogate pair: it cannot be kept as text."))


def _with_fields(post: Mapping[str, Any], shape: Shape) -> Any:
    """The rows of the JSON with the first one as the fields say."""
    cells = [_cell(post.get(f"f{index}", ""), told, where=f"f{index}") for index, told in enumerate(shape.fields)]
    row: Any = cells
    if shape.by_name:
        row = {told.name: cell for told, cell in zip(shape.fields, cells, strict=True)}
    elif shape.texts:
        row = post.get("f0", "")
    try:
        rest = shape.unwrap(read_json(post.get("json", "")))
    except BadInput:
        rest = []
    return [row, *(rest[1:] if isinstance(rest, list) else [])]


def _cell(text: str, told: Field, *, where: str) -> Any:
    value = _typed(text.strip(), told, where=where)
    if told.choices and value is not None and value not in told.choices:
        raise BadInput(where, _("“%(text)s” is not among the values that the model knows.") % {"text": text[:40]})
    return value


def _typed(text: str, told: Field, *, where: str) -> Any:
    if told.kind == "string":
        return None if not text and told.nullable else text
    if not text:
        # The function says whether a value may be missing, and how it wants to be told.
        return None
    if told.kind == "boolean":
        if text.lower() in ("true", "1", "yes"):
            return True
        if text.lower() in ("false", "0", "no"):
            return False
        raise BadInput(where, _("Write true or false."))
    return _number(text, whole=told.kind == "integer", where=where)


def _number(text: str, *, whole: bool, where: str) -> float | int:
    try:
        value = json.loads(text, parse_constant=_no_constant)
    except ValueError:
        value = None
    if type(value) not in (int, float) or not math.isfinite(value):
        raise BadInput(where, _("“%(text)s” is not a number.") % {"text": text[:40]})
    if whole and value != int(value):
        raise BadInput(where, _("Write a whole number."))
    return int(value) if whole else value


def _csv_rows(text: str, shape: Shape) -> list[Any]:
    """Lines as rows; the first one names the columns where it is not one of numbers."""
    try:
        lines = [line for line in csv.reader(io.StringIO(text)) if line]
    except csv.Error as error:
        raise BadInput("file", _("Not CSV: %(what)s.") % {"what": error}) from None
    if not lines:
        raise BadInput("file", _("The file holds no rows."))
    if len(lines) > MOST_LINES:
        raise BadInput("file", _("More than %(n)d rows.") % {"n": MOST_LINES})
    head = None
    if shape.by_name or not all(_looks_like_number(cell) for cell in lines[0]):
        head, lines = [name.strip() for name in lines[0]], lines[1:]
    if shape.texts:
        return [line[0] for line in lines]
    known = {told.name: told for told in shape.fields} if shape.by_name else {}
    return [_csv_row(line, head, known, number) for number, line in enumerate(lines, start=2 if head else 1)]


def _csv_row(line: list[str], head: list[str] | None, known: Mapping[str, Field], number: int) -> Any:
    try:
        if not known:
            return [_number(cell, whole=False, where="file") if cell.strip() else None for cell in line]
        named = dict(zip(head or (), line, strict=True))
        return {
            name: _cell(cell, known.get(name, Field(name, "string", True)), where="file")
            for name, cell in named.items()
        }
    except ValueError:
        raise BadInput("file", _("Line %(n)d has another number of columns than the first.") % {"n": number}) from None
    except BadInput as error:
        raise BadInput("file", _("Line %(n)d: %(what)s") % {"n": number, "what": error}) from None


def _query(text: str) -> dict[str, list[str]]:
    query: dict[str, list[str]] = {}
    for name, value in _pairs(text, "=", where="query"):
        query.setdefault(name, []).append(value)
    return query


def _headers(text: str) -> dict[str, str]:
    return dict(_pairs(text, ":", where="headers"))


def _pairs(text: str, sign: str, *, where: str) -> list[tuple[str, str]]:
    pairs = []
    for line in filter(None, map(str.strip, text.splitlines())):
        name, found, value = line.partition(sign)
        if not found or not name.strip():
            told = {"line": line[:60], "sign": sign}
            raise BadInput(where, _("“%(line)s” is not a name, %(sign)s and a value.") % told)
        pairs.append((name.strip(), value.strip()))
    if len(pairs) > MOST_PAIRS:
        raise BadInput(where, _("More than %(n)d lines.") % {"n": MOST_PAIRS})
    return pairs


def _looks_like_number(text: str) -> bool:
    try:
        float(text or "0")
    except ValueError:
        return False
    return True


def _matrix(row: list[Any], width: int) -> str:
    cells = [json.dumps(int(cell) if isinstance(cell, float) and cell.is_integer() else cell) for cell in row]
    most = max((len(cell) for cell in cells), default=0)
    lines = [
        ",".join(cell.rjust(most) for cell in cells[start : start + width]) for start in range(0, len(cells), width)
    ]
    return "[" + ",\n  ".join(lines) + "]"


def _no_constant(constant: str) -> None:
    raise ValueError(_("write a missing value as null, not %(what)s") % {"what": constant})
