"""An entry script whose input and output are declared with inference-schema."""

import numpy as np
import pandas as pd
from inference_schema.parameter_types.numpy_parameter_type import NumpyParameterType
from inference_schema.parameter_types.pandas_parameter_type import PandasParameterType
from inference_schema.parameter_types.standard_py_parameter_type import StandardPythonParameterType
from inference_schema.schema_decorators import input_schema, output_schema

NESTED = {
    "weights": NumpyParameterType(np.array([1.0, 2.0])),
    "tables": StandardPythonParameterType([PandasParameterType(pd.DataFrame({"x": [1]}))]),
    "name": StandardPythonParameterType("a name"),
}


def init():
    pass


@input_schema("rows", NumpyParameterType(np.array([[1.0, 2.0]]), enforce_shape=False))
@input_schema("frame", PandasParameterType(pd.DataFrame({"age": [1], "town": ["Porto"]})), optional=True)
@input_schema("options", StandardPythonParameterType(NESTED), optional=True)
@input_schema("scale", StandardPythonParameterType(1.0))
@output_schema(StandardPythonParameterType({"sums": [1.0]}))
def run(rows, frame=None, options=None, scale=2.0):
    answer = {"rows": type(rows).__name__, "sums": (rows.sum(axis=1) * scale).tolist()}
    if frame is not None:
        answer["frame"] = [type(frame).__name__, frame.to_dict(orient="records")]
    if options is not None:
        answer["options"] = [
            options["weights"].tolist(),
            [table.to_dict(orient="list") for table in options["tables"]],
            options["name"],
        ]
    return answer
