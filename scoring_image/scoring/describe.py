"""`python -m scoring.describe`: open a model, and say as JSON what it takes and gives."""

from __future__ import annotations

import argparse
import importlib
import json
import os
import sys
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from scoring import features
from scoring.formats import FORMATS
from scoring.opening import METHODS, OpenError, missing_module, open_model
from scoring.outputs import encode_output

Description = dict[str, Any]
Predict = Callable[[Any], Any]

# More than these are no choice for a form any more.
_MOST_CATEGORIES = 1_000


def main(arguments: Sequence[str]) -> int:
    """Print one line of JSON; 0 with `description`, 1 with `error`. What the model prints goes to stderr."""
    parser = argparse.ArgumentParser(prog="python -m scoring.describe", description=__doc__)
    parser.add_argument("--model", type=Path, required=True)
    parser.add_argument("--format", choices=FORMATS, required=True)
    parser.add_argument("--method", default="predict", choices=METHODS)
    parser.add_argument("--code", type=Path)
    options = parser.parse_args(arguments)
    answers = os.dup(1)
    os.dup2(2, 1)
    try:
        description = describe(options.model, method=options.method, model_format=options.format, code=options.code)
        told: dict[str, Any] = {"ok": True, "description": description}
    except OpenError as error:
        told = {"ok": False, "error": error.as_dict()}
    with os.fdopen(answers, "w") as out:
        out.write(json.dumps(told, allow_nan=False) + "\n")
    return 0 if told["ok"] else 1


def describe(path: Path, *, method: str, model_format: str = "joblib", code: Path | None = None) -> Description:
    """The manifest's `input`, `output`, `estimator`, `trained_with`, `warnings`. Raises OpenError."""
    if model_format == "onnx":
        return _onnx(path, method)
    with warnings.catch_warnings(record=True) as raised:
        warnings.simplefilter("always")
        model = open_model(path, method=method, model_format=model_format, code=code)
        trained_with, told = _versions(model, raised)
        predict = getattr(model, method)
        try:
            schema, result = _input(model, predict)
        except ModuleNotFoundError as error:
            raise missing_module(error, path.name) from error
        except (Exception, SystemExit) as error:
            raise OpenError(
                "crashed",
                f"Looking at {path.name} raised {type(error).__name__}: {error}",
                "The model's own code failed while it was being described.",
                "Try the model's methods in a fresh Python with the same versions.",
            ) from error
    if told and schema["features"] is not None and result is None:
        raise OpenError(
            "version",
            f"{path.name} can be opened and cannot score. {told[0]['message']}",
            "scikit-learn changed what it keeps in such a model.",
            told[0]["hint"],
        )
    told += _doubts(schema)
    return {
        "input": schema,
        "output": _output(model, method, result),
        "estimator": estimator_name(model),
        "methods": [name for name in METHODS if callable(getattr(model, name, None))],
        "trained_with": trained_with,
        "warnings": told,
    }


def _onnx(path: Path, method: str) -> Description:
    try:
        # ONNX Runtime is only where a model of that format is.
        described: Callable[[Path, str], Description] = importlib.import_module("scoring.onnx_file").described
    except ModuleNotFoundError as error:
        raise missing_module(error, path.name) from error
    return described(path, method)


def estimator_name(model: Any) -> str:
    """The class's name, with what a pipeline or a search holds: `Pipeline(StandardScaler, SVC)`."""
    name = type(model).__name__
    best = getattr(model, "best_estimator_", None)
    if best is not None:
        return f"{name}({estimator_name(best)})"
    steps = getattr(model, "steps", None)
    if isinstance(steps, list):
        return f"{name}({', '.join(estimator_name(step) for _, step in steps if not _is_empty(step))})"
    return name


def _is_empty(step: Any) -> bool:
    return step is None or (isinstance(step, str) and step == "passthrough")


def _versions(model: Any, raised: list[warnings.WarningMessage]) -> tuple[dict[str, str], list[dict[str, str]]]:
    """The scikit-learn that the model was trained with, and a warning where that is not the one here."""
    here = getattr(sys.modules.get("sklearn"), "__version__", None)
    differing = [item.message for item in raised if item.category.__name__ == "InconsistentVersionWarning"]
    if not differing:
        is_sklearn = hasattr(model, "get_params") and here is not None
        return ({"scikit-learn": str(here)} if is_sklearn else {}), []
    trained = str(getattr(differing[0], "original_sklearn_version", "another version"))
    warning = {
        "code": "version",
        "message": f"The model was trained with scikit-learn {trained} and is opened here with {here}; "
        "its answers may differ or be wrong.",
        "hint": f"Name scikit-learn=={trained} in the runtime's requirements, or train again with {here}.",
    }
    return {"scikit-learn": trained}, [warning]


def _input(model: Any, predict: Predict) -> tuple[Description, Any]:
    """The manifest's `input`, and what the model answered to its example (None where no example works)."""
    if features.takes_text(model):
        return _texts(predict)
    named = features.names(model)
    count = len(named) if named else features.width(model)
    if count is None:
        return _schema("array", None, None, None), None
    transformer = features.column_transformer(model)
    if named and transformer is not None:
        return _table(predict, *features.column_features(transformer, named))
    encoded = features.encoded_features(model, named)
    if encoded is not None:
        return _table(predict, encoded, [])
    candidates = [row for row in (features.typical_row(model, count), [0.0] * count, [1.0] * count) if row]
    for row in candidates:
        result = _tried(predict, np.array([row]))
        if result is not None:
            allow = _tried(predict, np.full((1, count), np.nan)) is not None
            columns: list[Description] | None = None
            if named:
                columns = [{"name": column, "dtype": "float64"} for column in named]
            return _schema("array", count, columns, [row], allow=allow), result
    if named:
        row = candidates[0]
        used = [features.Feature(column, "float64", value) for column, value in zip(named, row, strict=True)]
        return _table(predict, used, [])
    return _schema("array", count, None, None), None


def _texts(predict: Predict) -> tuple[Description, Any]:
    example = ["some text to score"]
    result = _tried(predict, example)
    return {**_schema("array", 1, None, example if result is not None else None), "dtype": "string"}, result


def _table(predict: Predict, used: list[features.Feature], dropped: list[str]) -> tuple[Description, Any]:
    # Only models of tables need pandas; where it is missing, it is named like any other module.
    frame = importlib.import_module("pandas").DataFrame
    row = {feature.name: feature.value for feature in used}
    result = _tried(predict, frame([row]))
    columns: list[Description] = [{"name": feature.name, "dtype": feature.dtype} for feature in used]
    allowed = 0
    for column, feature in zip(columns, used, strict=True):
        if result is None:
            continue
        if feature.categories and len(feature.categories) <= _MOST_CATEGORIES:
            unknown = frame([{**row, feature.name: _unknown(feature)}])
            refuses = _tried(predict, unknown) is None
            column["categories" if refuses else "known"] = list(feature.categories)
        if column["dtype"] not in ("float64", "string"):
            continue
        missing = frame([{**row, column["name"]: np.nan}]).astype(
            {column["name"]: object if column["dtype"] == "string" else float}
        )
        if _tried(predict, missing) is None:
            column["missing"] = "refuse"
        else:
            allowed += 1
    if not allowed:
        for column in columns:
            column.pop("missing", None)
    schema = _schema("table", len(used), columns, [row] if result is not None else None, allow=allowed > 0)
    return ({**schema, "ignored": dropped} if dropped else schema), result


def _unknown(feature: features.Feature) -> Any:
    """A value of the column's type that is none of its categories."""
    categories = feature.categories or ()
    return "\x01never seen" if feature.dtype == "string" else max(categories) + 1


def _schema(
    kind: str, count: int | None, columns: list[Description] | None, example: Any, *, allow: bool = False
) -> Description:
    return {
        "parameter": "data",
        "kind": kind,
        "features": count,
        "columns": columns,
        "dtype": "float64",
        "missing": "allow" if allow else "refuse",
        "example": example,
    }


def _tried(predict: Predict, value: Any) -> Any:
    """What the model answers, or None where it raises; a module that is missing only now is told, though."""
    try:
        return predict(value)
    except ModuleNotFoundError:
        raise
    except Exception as error:
        print(f"tried and refused: {type(error).__name__}: {error}", file=sys.stderr)
        return None


def _output(model: Any, method: str, result: Any) -> Description:
    """The manifest's `output`. `shape` is the answer's, null for the rows; null altogether where nothing is known.

    A `list` is several arrays, one for each output; `records` are rows as objects by column name.
    """
    classes = _classes(model, method)
    if result is None:
        return {"kind": "array", "dtype": "object", "classes": classes, "outputs": None, "shape": None}
    if isinstance(result, list) and result and all(isinstance(part, np.ndarray) for part in result):
        dtype = _dtype(result[0])
        return {"kind": "list", "dtype": dtype, "classes": classes, "outputs": len(result), "shape": None}
    records = hasattr(result, "to_dict") and hasattr(result, "columns")
    array = result.toarray() if hasattr(result, "toarray") else np.asarray(result)
    return {
        "kind": "records" if records else "array" if array.ndim else "scalar",
        "dtype": _dtype(array),
        "classes": classes,
        "outputs": int(array.shape[-1]) if array.ndim > 1 else 1,
        "shape": [None, *array.shape[1:]] if array.ndim else [],
    }


def _dtype(array: Any) -> str:
    if array.dtype.kind in "UT":
        return "string"
    if array.dtype == object and array.size and all(isinstance(item, str) for item in array.ravel().tolist()):
        return "string"
    return str(array.dtype)


def _classes(model: Any, method: str) -> list[Any] | None:
    """Labels in the order of the scores, a list of them for each output where there are several."""
    classes = getattr(model, "classes_", None)
    if classes is None:
        steps = getattr(model, "steps", None)
        # Outlier detectors leave the line that they draw.
        outlier = hasattr(steps[-1][1] if steps else model, "offset_")
        return [-1, 1] if outlier and method == "predict" else None
    if method == "transform":
        return None
    decoded = json.loads(encode_output(classes))
    return decoded if isinstance(decoded, list) else None


def _doubts(schema: Description) -> list[dict[str, str]]:
    if schema["features"] is None:
        return [
            {
                "code": "unknown_features",
                "message": "The model does not say how many features it takes.",
                "hint": "Describe the input in the spec, so that wrong shapes are refused clearly.",
            }
        ]
    if schema["example"] is None:
        return [
            {
                "code": "no_example",
                "message": "No row that was tried could be scored.",
                "hint": "Give a row of real data as the input's example in the spec.",
            }
        ]
    return []


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
