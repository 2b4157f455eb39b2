"""The JSON Schema of a model's answers, from the manifest's description of its output."""

from __future__ import annotations

from typing import Any

from scoring.manifest import Output

_KINDS = {"f": ["number", "null"], "i": "integer", "u": "integer", "b": "boolean", "s": "string"}


def answer_schema(output: Output, method: str) -> dict[str, Any]:
    """What the server answers: labels as an enumeration, scores with the classes that they are for.

    Floats may be null, for JSON has no word for NaN and the infinities.
    """
    if output.kind == "records":
        return {"type": "array", "items": {"type": "object"}}
    if output.kind == "list":
        return _of_several(output)
    if output.shape is None:
        return {}
    labels = output.classes if method == "predict" and output.classes and not _several(output.classes) else None
    schema: dict[str, Any] = {"enum": labels} if labels else _cell(output.dtype)
    for place, size in reversed(list(enumerate(output.shape))):
        schema = {"type": "array", "items": schema}
        if size is not None:
            schema.update(minItems=size, maxItems=size)
        if place == 1 and size is not None and output.classes and len(output.classes) == size and method != "predict":
            schema["description"] = f"In the order of the classes {', '.join(map(str, output.classes))}."
    return schema


def _of_several(output: Output) -> dict[str, Any]:
    """An array for each output: of rows, of a score for each class of that output."""
    parts = []
    for classes in output.classes or []:
        row: dict[str, Any] = {"type": "array", "items": _cell(output.dtype)}
        if isinstance(classes, list):
            row.update(minItems=len(classes), maxItems=len(classes))
            row["description"] = f"In the order of the classes {', '.join(map(str, classes))}."
        parts.append({"type": "array", "items": row})
    schema: dict[str, Any] = {"type": "array", "prefixItems": parts} if parts else {"type": "array"}
    if output.outputs:
        schema.update(minItems=output.outputs, maxItems=output.outputs)
    return schema


def _several(classes: list[Any]) -> bool:
    return any(isinstance(one, list) for one in classes)


def _cell(dtype: str) -> dict[str, Any]:
    kind = _KINDS.get(dtype[:1]) if dtype != "object" else None
    return {} if kind is None else {"type": kind}
