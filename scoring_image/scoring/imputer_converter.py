"""skl2onnx's converter for SimpleImputer, replaced: in float64 as well, and for texts, which it does not do."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
from skl2onnx import update_registered_converter
from skl2onnx.common.data_types import DoubleTensorType, FloatTensorType, StringTensorType
from sklearn.impute import SimpleImputer

from scoring.onnx_form import MISSING_TEXT

_KINDS = {
    FloatTensorType: onnx.TensorProto.FLOAT,
    DoubleTensorType: onnx.TensorProto.DOUBLE,
    StringTensorType: onnx.TensorProto.STRING,
}


def register() -> None:
    """Put it into skl2onnx's place."""
    update_registered_converter(SimpleImputer, "SklearnSimpleImputer", _declare, _convert, overwrite=True)


def _declare(operator: Any) -> None:
    given = operator.inputs[0].type
    # Whole numbers have no missing value; their imputer works on float64.
    kind = type(given) if type(given) in _KINDS else DoubleTensorType
    operator.outputs[0].type = kind([given.shape[0], len(operator.raw_operator.statistics_)])


def _convert(scope: Any, operator: Any, container: Any) -> None:
    model, given = operator.raw_operator, operator.inputs[0]
    fill = np.asarray(model.statistics_)
    kind = _KINDS.get(type(given.type), onnx.TensorProto.DOUBLE)
    texts = kind == onnx.TensorProto.STRING
    if model.add_indicator or any(value is None or value != value for value in fill.tolist()):
        raise NotImplementedError("imputers with indicators, or of columns that were empty at training")
    if not (model.missing_values is None or model.missing_values != model.missing_values):
        raise NotImplementedError("imputers of values other than missing ones")

    def named(word: str) -> str:
        return str(scope.get_unique_variable_name(word))

    def constant(values: list[Any]) -> str:
        name = named("constant")
        flat: list[Any] = [str(value).encode() for value in values] if texts else [float(value) for value in values]
        container.add_initializer(name, kind, [1, len(values)], flat)
        return name

    def add(op: str, inputs: list[str], output: str, version: int, **rest: Any) -> str:
        container.add_node(op, inputs, [output], op_version=version, name=scope.get_unique_operator_name(op), **rest)
        return output

    cells = given.full_name
    if type(given.type) not in _KINDS:
        cells = add("Cast", [cells], named("cast"), 13, to=kind)
    if texts:
        missing = add("Equal", [cells, constant([MISSING_TEXT])], named("missing"), 19)
    else:
        missing = add("IsNaN", [cells], named("missing"), 13)
    add("Where", [missing, constant(fill.tolist()), cells], operator.outputs[0].full_name, 9)
