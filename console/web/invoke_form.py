"""What the request's side of the test form holds: the input to begin with, its fields, and pictures to choose."""

from collections.abc import Sequence
from typing import Any

from console.web.invoke_input import TABS, Filled, as_pairs, compact
from console.web.invoke_shape import Field, Shape, cell_text
from console.web.pictures import SIDE, first_row, is_picture
from deployments.models import Invocation, Sample

THUMBS_SHOWN = 8


def plain(shape: Shape, body: Any, *, label: str) -> Filled:
    """A body with nothing else chosen; the example where there is none."""
    body = shape.wrap(shape.example) if body is None and shape.example is not None else body
    return Filled(body=body, label=label, cache="default", method=shape.methods[0])


def as_filled(kept: Invocation) -> Filled:
    request = kept.request
    return Filled(
        body=request.get("body"),
        label=kept.label,
        cache=request.get("cache", "default"),
        method=request.get("method", "POST"),
        query=request.get("query", {}),
        headers=request.get("headers", {}),
    )


def form(shape: Shape, start: Filled, *, tab: str) -> dict[str, Any]:
    """The request's side of the page."""
    rows = shape.unwrap(start.body)
    draws = shape.draws and (rows is None or is_picture(first_row(rows)))
    tabs = [name for name in TABS if (name != "draw" or draws) and (name != "fields" or shape.has_fields)]
    return {
        "shape": shape,
        "tabs": tabs,
        "tab": tab if tab in tabs else tabs[0],
        "draws": draws,
        "rows": rows,
        "json_text": "" if rows is None else compact(rows, width=SIDE if draws else 0),
        "cells": _cells(shape, first_row(rows)) if shape.has_fields else [],
        "cache": start.cache or "default",
        "method": start.method,
        "query_text": as_pairs(start.query, sign="="),
        "headers_text": as_pairs(start.headers, sign=": "),
        "pairs": (sum(len(value) for value in start.query.values()), len(start.headers)),
    }


def _cells(shape: Shape, row: Any) -> list[tuple[Field, str]]:
    """Each field with what the row holds for it."""
    if shape.texts:
        values = [row if isinstance(row, str) else None]
    elif isinstance(row, dict):
        values = [row.get(told.name) for told in shape.fields]
    else:
        values = list(row) if isinstance(row, list) else []
    values += [None] * (len(shape.fields) - len(values))
    return [(told, cell_text(value)) for told, value in zip(shape.fields, values, strict=False)]


def thumbs(
    shape: Shape, samples: Sequence[Sample], history: Sequence[Invocation]
) -> list[tuple[str, int, str, list[Any]]]:
    """Pictures to begin with, each once: samples first, then what was sent lately."""
    found: dict[str, tuple[str, int, str, list[Any]]] = {}
    for kind, number, label, body in [
        *(("sample", sample.pk, sample.name, sample.body) for sample in samples),
        *(("again", call.pk, call.label, call.request.get("body")) for call in history),
    ]:
        rows = shape.unwrap(body)
        row = first_row(rows)
        if is_picture(row):
            found.setdefault(str([float(cell) for cell in row]), (kind, number, label, [row]))
    return list(found.values())[:THUMBS_SHOWN]
