"""A model is described as it is, and what is no model is named for what it is."""

from __future__ import annotations

import json
import os
import pickle
import subprocess
import sys
import textwrap
from collections.abc import Callable
from pathlib import Path
from typing import Any

import joblib
import numpy as np
import pandas as pd
import pytest
import sklearn
from sklearn.compose import make_column_transformer
from sklearn.datasets import load_iris
from sklearn.ensemble import HistGradientBoostingClassifier, RandomForestRegressor
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler
from sklearn.svm import LinearSVC

from scoring.describe import describe
from scoring.opening import OpenError
from tests.scoring.packages import UPLOADS
from tests.scoring.processes import SCORING_IMAGE

Describe = Callable[..., dict[str, Any]]


@pytest.fixture
def described(tmp_path: Path) -> Describe:
    """Save a model, or write bytes, and describe the file."""

    def describe_it(model: Any, method: str = "predict") -> dict[str, Any]:
        return describe(saved(model, tmp_path), method=method)

    return describe_it


@pytest.fixture
def refused(tmp_path: Path) -> Describe:
    """Save something that cannot be used, and describe the file; the parts of the error."""

    def describe_it(model: Any, method: str = "predict") -> dict[str, Any]:
        with pytest.raises(OpenError) as caught:
            describe(saved(model, tmp_path), method=method)
        return caught.value.as_dict()

    return describe_it


@pytest.fixture
def printed(tmp_path: Path) -> Describe:
    """Describe the file in a process of its own; what it prints."""

    def describe_it(model: Any, *options: str, path: Path = SCORING_IMAGE) -> dict[str, Any]:
        command = [sys.executable, "-m", "scoring.describe", "--format", "joblib", *options]
        done = subprocess.run(
            [*command, "--model", str(saved(model, tmp_path))],
            env={"PATH": os.environ["PATH"], "PYTHONPATH": f"{path}:{SCORING_IMAGE}", "COUNT_FILE": os.devnull},
            capture_output=True,
            text=True,
            timeout=120,
        )
        (line,) = done.stdout.splitlines()
        told: dict[str, Any] = json.loads(line)
        assert done.returncode == (0 if told["ok"] else 1), done.stderr
        return told

    return describe_it


def saved(model: Any, folder: Path) -> Path:
    file = folder / "m.joblib"
    if isinstance(model, bytes):
        file.write_bytes(model)
    else:
        joblib.dump(model, file)
    return file


def test_a_pipeline_of_numbers(described: Describe, wine: Any) -> None:
    told = described(wine[0])
    (example,) = told["input"].pop("example")
    assert np.allclose(example, wine[1].mean(axis=0), rtol=1e-4)
    assert told == {
        "input": {
            "parameter": "data",
            "kind": "array",
            "features": 13,
            "columns": None,
            "dtype": "float64",
            "missing": "refuse",
        },
        "output": {"kind": "array", "dtype": "int64", "classes": [0, 1, 2], "outputs": 1, "shape": [None]},
        "estimator": "Pipeline(StandardScaler, SVC)",
        "methods": ["predict", "decision_function"],
        "trained_with": {"scikit-learn": sklearn.__version__},
        "warnings": [],
    }


def test_names_of_numbers_need_no_table(described: Describe) -> None:
    x, y = load_iris(return_X_y=True, as_frame=True)
    told = described(LogisticRegression(max_iter=300).fit(x, y), "predict_proba")
    assert told["input"]["kind"] == "array"
    assert told["input"]["columns"] == [{"name": name, "dtype": "float64"} for name in x.columns]
    assert told["output"] == {
        "kind": "array",
        "dtype": "float64",
        "classes": [0, 1, 2],
        "outputs": 3,
        "shape": [None, 3],
    }


def test_a_table_of_several_types(described: Describe) -> None:
    frame = pd.DataFrame(
        {
            "id": range(4),
            "age": [20.0, np.nan, 40.0, 60.0],
            "town": ["Porto", "Faro", None, "Porto"],
            "level": [1, 2, 3, 1],
            "member": [True, False, True, False],
            "note": ["good day", "bad day", "good night", "bad night"],
        }
    )
    columns = make_column_transformer(
        (make_pipeline(SimpleImputer(), StandardScaler()), ["age"]),
        (OneHotEncoder(), ["town", "level", "member"]),
        (TfidfVectorizer(), "note"),
    )
    model = GridSearchCV(make_pipeline(columns, Ridge()), {"ridge__alpha": [1.0]}, cv=[([0, 1, 2, 3], [0, 1])])
    told = described(model.fit(frame, [1.0, 2.0, 3.0, 4.0]))
    assert told["estimator"] == "GridSearchCV(Pipeline(ColumnTransformer, Ridge))"
    assert told["input"]["kind"] == "table"
    assert told["input"]["ignored"] == ["id"]
    assert told["input"]["missing"] == "allow"
    assert told["input"]["columns"] == [
        {"name": "age", "dtype": "float64"},
        {"name": "town", "dtype": "string", "categories": ["Faro", "Porto"]},
        {"name": "level", "dtype": "int64", "categories": [1, 2, 3]},
        {"name": "member", "dtype": "bool"},
        {"name": "note", "dtype": "string", "missing": "refuse"},
    ]
    (example,) = told["input"]["example"]
    assert (example["town"], example["level"], example["member"]) == ("Faro", 1, False)
    assert isinstance(model.predict(pd.DataFrame([example]))[0], float)


def test_texts(described: Describe) -> None:
    model = make_pipeline(TfidfVectorizer(), LogisticRegression()).fit(["good day", "bad day"], ["y", "n"])
    told = described(model)
    assert (told["input"]["dtype"], told["input"]["example"]) == ("string", ["some text to score"])
    assert told["output"] == {"kind": "array", "dtype": "string", "classes": ["n", "y"], "outputs": 1, "shape": [None]}


def test_missing_values_are_tried(described: Describe, wine: Any) -> None:
    target = np.arange(len(wine[1])) % 2
    assert described(HistGradientBoostingClassifier(max_iter=2).fit(wine[1], target))["input"]["missing"] == "allow"


def test_several_outputs(described: Describe, wine: Any) -> None:
    forest = RandomForestRegressor(2).fit(wine[1], wine[1][:, :2])
    assert described(forest)["output"] == {
        "kind": "array",
        "dtype": "float64",
        "classes": None,
        "outputs": 2,
        "shape": [None, 2],
    }


def test_another_version_of_scikit_learn_is_a_warning_with_its_cure(described: Describe, wine: Any) -> None:
    here = sklearn.__version__.encode()
    marked = bytes([0x8C, len(here)]) + here
    stored = pickle.dumps(LinearSVC().fit(wine[1], np.arange(len(wine[1])) % 2), protocol=4)
    assert marked in stored
    # The pickle is put into one frame, whose length must not change with the version's.
    older = b"9" * (len(here) - 4) + b".9.0"
    told = described(stored.replace(here, older))
    assert told["trained_with"] == {"scikit-learn": older.decode()}
    assert told["warnings"][0]["code"] == "version"
    assert f"scikit-learn=={older.decode()}" in told["warnings"][0]["hint"]


def test_a_model_with_helper_code(printed: Describe) -> None:
    model = b"ccounting\nCountingModel\n)\x81."
    told = printed(model, "--code", str(UPLOADS))["description"]
    assert (told["input"]["features"], told["estimator"]) == (2, "CountingModel")
    error = printed(model)["error"]
    assert (error["code"], error["module"]) == ("missing_module", "counting")


def test_a_model_that_does_not_say_what_it_takes(printed: Describe, tmp_path: Path) -> None:
    (tmp_path / "plain.py").write_text("class Plain:\n    def predict(self, rows): return [0]\n")
    told = printed(b"cplain\nPlain\n)\x81.", "--code", str(tmp_path))["description"]
    assert told["input"]["features"] is None
    assert [warning["code"] for warning in told["warnings"]] == ["unknown_features"]


@pytest.mark.parametrize(
    ("model", "code", "says"),
    [
        ({"model": LinearSVC(), "columns": ["a"]}, "not_a_model", "holds a dict with keys 'model', 'columns'"),
        (np.zeros(3), "not_a_model", "holds a ndarray"),
        (b"", "truncated", "ends too early"),
        (b"just text\n", "not_a_model", "is not a joblib or pickle file"),
        (b"PK\x03\x04" + bytes(100), "not_a_model", "is not a joblib or pickle file"),
        (b"cxgboost.sklearn\nXGBClassifier\n.", "missing_module", "needs the module xgboost"),
        (b"csklearn.linear_model.logistic\nLogisticRegression\n.", "version", "installed version of sklearn"),
        (b"c__main__\nMyScaler\n.", "missing_attribute", "needs MyScaler, which was defined in the notebook"),
        (b"csklearn.svm\nNoSuchModel\n.", "missing_attribute", "NoSuchModel"),
        (b"csys\nexit\n(I3\ntR.", "crashed", "SystemExit"),
    ],
)
def test_what_cannot_be_used_is_named(refused: Describe, model: Any, code: str, says: str) -> None:
    error = refused(model)
    assert error["code"] == code
    assert says in error["message"]
    assert error["cause"]
    assert error["action"]


@pytest.mark.parametrize("share", [0.02, 0.3, 0.6, 0.95, 0.999])
@pytest.mark.parametrize("compress", [0, 3, ("xz", 3)])
def test_a_file_that_was_cut_off_is_called_that(
    refused: Describe, tmp_path: Path, wine: Any, share: float, compress: Any
) -> None:
    joblib.dump(wine[0], tmp_path / "whole", compress=compress)
    whole = (tmp_path / "whole").read_bytes()
    assert refused(whole[: int(len(whole) * share)])["code"] == "truncated"


def test_the_key_that_holds_the_model_is_named(refused: Describe) -> None:
    assert "bundle['clf']" in refused({"scaler": 1, "clf": LinearSVC()})["action"]


def test_a_method_that_the_model_does_not_offer(refused: Describe, wine: Any) -> None:
    model = LinearSVC().fit(wine[1], np.arange(len(wine[1])) % 2)
    error = refused(model, "predict_proba")
    assert error["code"] == "no_method"
    assert "it has predict, decision_function" in error["message"]


def test_what_the_model_prints_does_not_disturb_the_answer(printed: Describe, tmp_path: Path) -> None:
    loud = """
        import os
        class Loud:
            n_features_in_ = 1
            def predict(self, rows):
                print("noise")
                os.system("echo more noise")
                return rows[:, 0]
    """
    (tmp_path / "loud.py").write_text(textwrap.dedent(loud))
    assert printed(b"cloud\nLoud\n)\x81.", "--code", str(tmp_path))["ok"]


def test_a_table_without_pandas_names_it(printed: Describe, tmp_path: Path) -> None:
    columns = make_column_transformer((StandardScaler(), ["a"]))
    model = make_pipeline(columns, Ridge()).fit(pd.DataFrame({"a": [1.0, 2.0]}), [1.0, 2.0])
    hidden = tmp_path / "hidden"
    hidden.mkdir()
    (hidden / "sitecustomize.py").write_text("import sys\nsys.modules['pandas'] = None\n")
    error = printed(model, path=hidden)["error"]
    assert (error["code"], error["module"]) == ("missing_module", "pandas")
