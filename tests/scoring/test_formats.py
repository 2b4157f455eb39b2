"""Models of every format are opened, described and served, and a file that is another kind is called that."""

from __future__ import annotations

import hashlib
import io
import json
import pickle
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import joblib
import numpy as np
import pandas as pd
import pytest
import skops.io
from skl2onnx import to_onnx
from sklearn.compose import make_column_transformer
from sklearn.ensemble import RandomForestClassifier
from sklearn.feature_extraction.text import CountVectorizer
from sklearn.linear_model import LinearRegression, LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

from scoring.describe import describe
from scoring.opening import OpenError, open_model
from tests.scoring.processes import SCORING_IMAGE, Function, Redis

Serve = Callable[..., Function]


def package(root: Path, name: str, content: bytes, method: str = "predict", **execution: Any) -> dict[str, Any]:
    """A package of the file as packaging would make it; its description."""
    (root / "model").mkdir(parents=True)
    file = root / "model" / name
    file.write_bytes(content)
    model_format = file.suffix[1:]
    described = describe(file, method=method, model_format=model_format)
    sha256 = hashlib.sha256(content).hexdigest()
    executes = {"requested": "auto", "executes": "onnx" if model_format == "onnx" else "original", **execution}
    manifest = {
        "manifest_version": 1,
        "model_version": sha256,
        "model": {
            "file": f"model/{name}",
            "name": name,
            "sha256": sha256,
            "format": model_format,
            "method": method,
        },
        "execution": executes,
        **{part: described[part] for part in ("input", "output", "trained_with", "estimator")},
    }
    (root / "manifest.json").write_text(json.dumps(manifest))
    return described


def test_skops_is_opened_and_served(serve: Serve, tmp_path: Path, wine: Any) -> None:
    model, data = wine
    described = package(tmp_path, "wine.skops", skops.io.dumps(model))
    assert described["estimator"] == "Pipeline(StandardScaler, SVC)"
    assert described["output"]["classes"] == [0, 1, 2]
    function = serve(tmp_path).ready()
    assert function.score(data.tolist()).json() == model.predict(data).tolist()


def test_skops_of_untrusted_types_is_refused_with_their_list(tmp_path: Path, wine: Any) -> None:
    forest = RandomForestClassifier(2).fit(wine[1], wine[0].predict(wine[1]))
    (tmp_path / "forest.skops").write_bytes(skops.io.dumps(forest))
    with pytest.raises(OpenError) as caught:
        open_model(tmp_path / "forest.skops", method="predict", model_format="skops")
    assert caught.value.code == "untrusted_types"
    assert "sklearn.tree._tree.Tree" in caught.value.message
    assert "joblib.dump" in caught.value.action


def as_joblib(model: Any) -> bytes:
    buffer = io.BytesIO()
    joblib.dump(model, buffer)
    return buffer.getvalue()


def as_zip(name: str) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr(name, b"")
    return buffer.getvalue()


@pytest.mark.parametrize(
    ("make", "ending", "says"),
    [
        (as_joblib, "skops", "is taken for a skops file and holds a joblib or pickle file"),
        (pickle.dumps, "onnx", "is taken for an ONNX file and holds a joblib or pickle file"),
        (skops.io.dumps, "joblib", "is taken for a joblib file and holds a skops file"),
        (lambda model: to_onnx(model, np.zeros((1, 13))).SerializeToString(), "pickle", "holds an ONNX model"),
        (lambda _: b"\x89HDF\r\n\x1a\n" + bytes(90), "joblib", "holds an HDF5 file"),
        (lambda _: as_zip("archive/data.pkl"), "pickle", "holds a PyTorch file"),
        (lambda _: as_zip("a.txt"), "skops", "holds a ZIP archive"),
    ],
)
def test_a_file_of_another_kind_is_called_that(
    tmp_path: Path, wine: Any, make: Callable[[Any], bytes], ending: str, says: str
) -> None:
    file = tmp_path / f"model.{ending}"
    file.write_bytes(make(LinearRegression().fit(wine[1], wine[1][:, 0])))
    with pytest.raises(OpenError) as caught:
        describe(file, method="predict", model_format=ending)
    assert (caught.value.code, says in caught.value.message) == ("wrong_format", True), caught.value.message
    assert caught.value.action


@pytest.mark.parametrize(("ending", "code"), [("skops", "not_a_model"), ("onnx", "not_a_model")])
@pytest.mark.parametrize("content", [b"", b"no model at all", b"\x08\x08\x12\x04abcd" * 20])
def test_a_broken_file_is_refused(tmp_path: Path, ending: str, code: str, content: bytes) -> None:
    file = tmp_path / f"model.{ending}"
    file.write_bytes(content)
    with pytest.raises(OpenError) as caught:
        describe(file, method="predict", model_format=ending)
    assert caught.value.code in (code, "wrong_format")


@pytest.mark.parametrize("zipmap", [True, False])
@pytest.mark.parametrize("method", ["predict", "predict_proba"])
def test_an_uploaded_classifier_answers_as_the_model_it_was_made_of(
    serve: Serve, tmp_path: Path, zipmap: bool, method: str
) -> None:
    data = np.random.default_rng(0).normal(size=(60, 3))
    model = LogisticRegression().fit(data, np.where(data[:, 0] > 0, "yes", "no"))
    options = {id(model): {"zipmap": zipmap}}
    graph = to_onnx(model, data[:1].astype(np.float32), options=options)
    described = package(tmp_path, "m.onnx", graph.SerializeToString(), method)
    assert described["input"]["features"] == 3
    assert described["methods"] == ["predict", "predict_proba"]
    assert described["output"]["dtype"] == ("string" if method == "predict" else "float64")
    function = serve(tmp_path).ready()
    answer = function.score(data.tolist()).json()
    wanted = getattr(model, method)(data)
    assert answer == wanted.tolist() if method == "predict" else np.allclose(answer, wanted, atol=1e-5)
    assert function.score([[1.0, 2.0]]).json()["error"]["code"] == "bad_shape"


def test_an_uploaded_regressor_gives_a_list(serve: Serve, tmp_path: Path) -> None:
    data = np.arange(12.0).reshape(4, 3) ** 2
    model = LinearRegression().fit(data, [1.0, 2.0, 3.0, 5.0])
    described = package(tmp_path, "m.onnx", to_onnx(model, data.astype(np.float32)).SerializeToString())
    assert described["output"] == {"kind": "array", "dtype": "float64", "classes": None, "outputs": 1, "shape": [None]}
    assert np.allclose(serve(tmp_path).ready().score(data.tolist()).json(), model.predict(data), rtol=1e-4)


def test_an_uploaded_model_of_columns_takes_a_table(serve: Serve, cache_server: Redis, tmp_path: Path) -> None:
    frame = pd.DataFrame({"age": [20.0, 30.0, 40.0, 60.0], "town": ["Porto", "Faro", "Faro", "Porto"]})
    columns = make_column_transformer((StandardScaler(), ["age"]), (OneHotEncoder(handle_unknown="ignore"), ["town"]))
    model = make_pipeline(columns, LogisticRegression()).fit(frame, [0, 1, 0, 1])
    graph = to_onnx(model, frame[:1], options={id(model): {"zipmap": False}})
    described = package(tmp_path, "m.onnx", graph.SerializeToString())
    assert described["input"]["columns"] == [
        {"name": "age", "dtype": "float64"},
        {"name": "town", "dtype": "string"},
    ]
    # A package of such a model has no pandas.
    hidden = tmp_path / "hidden"
    hidden.mkdir()
    (hidden / "sitecustomize.py").write_text("import sys\nsys.modules['pandas'] = None\n")
    settings = {"SCORING_CACHE_URL": cache_server.url, "SCORING_KEYS": "row"}
    function = serve(tmp_path, PYTHONPATH=f"{hidden}:{SCORING_IMAGE}", **settings).ready()
    records = frame.to_dict(orient="records")
    labels = model.predict(frame).tolist()
    assert function.score(records[:2]).json() == labels[:2]
    assert function.score(records).json() == labels


def test_an_uploaded_model_of_texts_takes_texts(serve: Serve, tmp_path: Path) -> None:
    texts = ["good day", "bad night", "good night", "bad day"]
    model = make_pipeline(CountVectorizer(), LogisticRegression()).fit(texts, ["y", "n", "y", "n"])
    # The locale that the exporter would name is not on every machine.
    options = {id(model): {"zipmap": False}, CountVectorizer: {"locale": "C.UTF-8"}}
    graph = to_onnx(model, np.array(texts)[:1], options=options)
    described = package(tmp_path, "m.onnx", graph.SerializeToString())
    assert described["input"]["dtype"] == "string"
    assert serve(tmp_path).ready().score(texts).json() == model.predict(texts).tolist()


def test_an_uploaded_model_has_only_the_outputs_it_was_exported_with(tmp_path: Path, wine: Any) -> None:
    model = LinearRegression().fit(wine[1], wine[1][:, 0])
    file = tmp_path / "m.onnx"
    file.write_bytes(to_onnx(model, wine[1][:1]).SerializeToString())
    with pytest.raises(OpenError) as caught:
        describe(file, method="predict_proba", model_format="onnx")
    assert caught.value.code == "no_method"
    assert "variable: tensor(double)" in caught.value.message
