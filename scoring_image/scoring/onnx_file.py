"""ONNX files: opened to be executed, and, where a model was uploaded as one, described by what they declare."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, BinaryIO

import msgspec
import numpy as np

from scoring.onnx_form import OnnxForm, Outputs
from scoring.opening import METHODS, OpenError, check_format, open_checked, out_of_memory
from scoring.sessions import NUMPY_TYPES, open_session

Description = dict[str, Any]

_MAPS = ("seq(map(int64,tensor(float)))", "seq(map(string,tensor(float)))")
_LABELS = ("tensor(int64)", "tensor(int32)", "tensor(string)", "tensor(bool)")
_NUMBERS = ("tensor(float)", "tensor(double)")
_CELLS = {"float32": "float64", "float64": "float64", "int64": "int64", "int32": "int64", "bool": "bool"}

# What names of outputs tell, for those methods that go by more than a type.
_SIGNS = {
    "predict_proba": ("prob",),
    "decision_function": ("decision", "raw", "score"),
    "score_samples": ("score_samples", "log_likelihood"),
}


def open_form(file: BinaryIO, outputs: Mapping[str, Any] | None, *, method: str, name: str) -> OnnxForm:
    """The form in an open file. Without `outputs`, which conversion writes down, the file's own outputs decide what
    answers for the method. Raises OpenError."""
    session = _session(file, name)
    if outputs is not None:
        return OnnxForm(session, msgspec.convert(outputs, Outputs))
    schema = _input(session, name)
    return OnnxForm(session, _settled(session, schema, _chosen(session, method, name)))


def described(path: Path, method: str) -> Description:
    """The description of a model uploaded as ONNX, as scoring.describe gives it. Raises OpenError."""
    with open_checked(path, None) as file:
        session = _session(file, path.name)
    schema = _input(session, path.name)
    outputs = _settled(session, schema, _chosen(session, method, path.name))
    told: list[dict[str, str]] = []
    width: int | None = None
    shape: list[int | None] | None = None
    try:
        answer = OnnxForm(session, outputs)(_value(schema))
    except Exception as error:
        schema["example"] = None
        told.append(
            {
                "code": "no_example",
                "message": f"No row that was tried could be scored: {' '.join(str(error).split())[:300]}",
                "hint": "Give a row of real data as the input's example in the spec.",
            }
        )
    else:
        width = int(answer.shape[-1]) if answer.ndim > 1 else 1
        shape = [None, *answer.shape[1:]]
    producer = session.get_modelmeta().producer_name
    return {
        "input": schema,
        "output": {
            "kind": "array",
            "dtype": outputs.dtype,
            "classes": outputs.classes,
            "outputs": width,
            "shape": shape,
        },
        "estimator": f"ONNX by {producer}" if producer else "ONNX",
        "methods": [one for one in METHODS if _output_for(session, one) is not None],
        "trained_with": {},
        "warnings": told,
    }


def _session(file: BinaryIO, name: str) -> Any:
    check_format(file, name, "onnx")
    try:
        return open_session(file.read())
    except MemoryError as error:
        raise out_of_memory(name) from error
    # ORT raises classes of its own for whatever is wrong with a file.
    except Exception as error:
        raise OpenError(
            "not_a_model",
            f"{name} is not an ONNX model that can be run here: {' '.join(str(error).split())[:300]}",
            "The file is damaged or of another kind, or it needs operators or an opset that this ONNX Runtime "
            "does not have.",
            "Export the model again, with an older target_opset or for the onnxruntime that the runtime's "
            "requirements name.",
        ) from error


def _input(session: Any, name: str) -> Description:
    """The manifest's `input`: one tensor of rows, one of texts, or one tensor for each column of a table."""
    tensors = session.get_inputs()
    if not tensors or any(tensor.type not in NUMPY_TYPES or len(tensor.shape) > 2 for tensor in tensors):
        takes = ", ".join(f"{tensor.name}: {tensor.type} {tensor.shape}" for tensor in tensors) or "nothing"
        raise OpenError(
            "unsupported_inputs",
            f"{name} takes {takes}.",
            "Rows of a table can be sent to models that take one tensor of rows, or one tensor for each column.",
            "Export the model with inputs of shape [None, features], or [None, 1] for each column.",
        )
    schema: Description = {"parameter": "data", "dtype": "float64", "missing": "refuse", "columns": None}
    if len(tensors) > 1:
        columns = [{"name": tensor.name, "dtype": _CELLS.get(NUMPY_TYPES[tensor.type], "string")} for tensor in tensors]
        example = {column["name"]: _EXAMPLES[column["dtype"]] for column in columns}
        return {**schema, "kind": "table", "features": len(columns), "columns": columns, "example": [example]}
    (tensor,) = tensors
    if tensor.type == "tensor(string)":
        return {**schema, "kind": "array", "dtype": "string", "features": 1, "example": ["some text to score"]}
    width = tensor.shape[-1] if len(tensor.shape) == 2 else None
    known = width if isinstance(width, int) else None
    return {**schema, "kind": "array", "features": known, "example": [[0.0] * known] if known else None}


_EXAMPLES: dict[str, Any] = {"float64": 0.0, "int64": 0, "bool": False, "string": "text"}


def _chosen(session: Any, method: str, name: str) -> Any:
    output = _output_for(session, method)
    if output is not None:
        return output
    has = [one for one in METHODS if _output_for(session, one) is not None]
    given = ", ".join(f"{one.name}: {one.type}" for one in session.get_outputs())
    raise OpenError(
        "no_method",
        f"{name} has no output for {method}; its outputs are {given}.",
        "What a model can be asked is fixed when it is exported to ONNX.",
        f"Choose {has[0]}, or export the model with that output." if has else "Export the model with a usable output.",
    )


def _output_for(session: Any, method: str) -> Any | None:
    """The output that answers for a method: by its type, and by its name where several are alike."""
    outputs = session.get_outputs()
    labels = [one for one in outputs if one.type in _LABELS]
    numbers = [one for one in outputs if one.type in _NUMBERS or one.type in _MAPS]
    signs = _SIGNS.get(method)
    if signs is not None:
        named = [one for one in numbers if any(sign in one.name.lower() for sign in signs)]
        if method == "predict_proba":
            named = named or [one for one in numbers if one.type in _MAPS]
        return named[0] if named else None
    if method == "predict":
        return (labels or [one for one in numbers if one.type in _NUMBERS] or [None])[0]
    return numbers[0] if numbers and not labels and numbers[0].type in _NUMBERS else None


def _settled(session: Any, schema: Description, output: Any) -> Outputs:
    """How the output becomes an answer: labels and numbers of one column are a list, maps by class are a table."""
    columns = [column["name"] for column in schema["columns"]] if schema["columns"] else None
    if output.type in _MAPS:
        bare = Outputs(output.name, take="maps", columns=columns)
        row = OnnxForm(session, bare).tensor(_value(schema))[0]
        return msgspec.structs.replace(bare, classes=list(row))
    dtype = {"float32": "float64", "object": "string"}.get(NUMPY_TYPES[output.type], NUMPY_TYPES[output.type])
    one = len(output.shape) == 2 and output.shape[1] == 1
    return Outputs(output.name, take="flat" if one else "whole", dtype=dtype, columns=columns)


def _value(schema: Description) -> Any:
    """The example as a scorer is given it."""
    if schema["kind"] == "table":
        (row,) = schema["example"]
        return {name: np.array([cell], dtype=object if isinstance(cell, str) else None) for name, cell in row.items()}
    if schema["dtype"] == "string":
        return schema["example"]
    return np.array(schema["example"] or [[0.0]])
