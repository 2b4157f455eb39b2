"""Every kind of model is described, served by the real server, and answers as it does without it; as ONNX too."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import joblib
import numpy as np
import pandas as pd
import pytest
from sklearn.compose import make_column_transformer
from sklearn.ensemble import (
    HistGradientBoostingClassifier,
    IsolationForest,
    RandomForestClassifier,
    RandomForestRegressor,
)
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.model_selection import GridSearchCV
from sklearn.multioutput import MultiOutputRegressor
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, OrdinalEncoder, StandardScaler
from sklearn.svm import SVC, OneClassSVM

from scoring.convert import convert
from scoring.describe import describe
from scoring.manifest import read_manifest
from scoring.model import open_scorer
from tests.scoring.processes import Function

RANDOM = np.random.default_rng(3)
ROWS = RANDOM.normal(size=(80, 4))
LABELS = np.where(ROWS[:, 0] + ROWS[:, 1] > 0, "yes", "no")
HOLES = np.where(RANDOM.random(ROWS.shape) < 0.1, np.nan, ROWS)
FRAME = pd.DataFrame(
    {
        "age": np.where(np.arange(80) % 9 == 0, np.nan, 40 + 10 * ROWS[:, 0]),
        "town": np.where(ROWS[:, 1] > 0, "Porto", "Faro"),
        "level": RANDOM.integers(1, 4, 80),
    }
)
TEXTS = ["good day", "bad night", "good good night", "bad bad day"] * 5


def table(estimator: Any) -> Any:
    columns = make_column_transformer(
        (make_pipeline(SimpleImputer(), StandardScaler()), ["age"]),
        (OneHotEncoder(handle_unknown="ignore"), ["town"]),
        (OneHotEncoder(), ["level"]),
    )
    return make_pipeline(columns, estimator)


def written(root: Path, model: Any, method: str, *, onnx: bool = False) -> dict[str, Any]:
    """A package as packaging writes it; what the model was described as."""
    (root / "model").mkdir(parents=True)
    file = root / "model/m.joblib"
    joblib.dump(model, file)
    described = describe(file, method=method)
    sha256 = hashlib.sha256(file.read_bytes()).hexdigest()
    execution: dict[str, Any] = {"executes": "original"}
    if onnx:
        verdict = convert(model, method, described, root / "model/executed.onnx", faster_only=False)
        assert verdict["accepted"], verdict
        executed = hashlib.sha256((root / "model/executed.onnx").read_bytes()).hexdigest()
        execution = {
            "executes": "onnx",
            "file": "model/executed.onnx",
            "sha256": executed,
            "outputs": verdict["outputs"],
        }
    manifest = {
        "manifest_version": 1,
        "model_version": sha256,
        "model": {"file": "model/m.joblib", "name": "m.joblib", "sha256": sha256, "format": "joblib", "method": method},
        "execution": execution,
        **{part: described[part] for part in ("input", "output", "trained_with", "estimator")},
    }
    (root / "manifest.json").write_text(json.dumps(manifest))
    return described


def sent(rows: Any) -> Any:
    """Rows as a caller writes them."""
    if isinstance(rows, pd.DataFrame):
        return json.loads(rows.to_json(orient="records"))
    return rows if isinstance(rows, list) else json.loads(pd.DataFrame(rows).to_json(orient="values"))


def plain(answer: Any) -> Any:
    if isinstance(answer, list):
        return [plain(part) for part in answer]
    return (answer.toarray() if hasattr(answer, "toarray") else np.asarray(answer)).tolist()


def same(given: Any, wanted: Any) -> bool:
    if isinstance(wanted, list):
        return len(given) == len(wanted) and all(same(one, other) for one, other in zip(given, wanted, strict=True))
    if isinstance(wanted, float):
        return bool(np.isclose(given, wanted, atol=1e-5, rtol=1e-5))
    return type(given) is type(wanted) and bool(given == wanted)


KINDS: dict[str, tuple[Callable[[], Any], Any, str, dict[str, Any]]] = {
    "labels of text": (
        lambda: make_pipeline(StandardScaler(), SVC()).fit(ROWS, LABELS),
        ROWS,
        "predict",
        {"dtype": "string", "classes": ["no", "yes"], "shape": [None]},
    ),
    "probabilities of a forest": (
        lambda: RandomForestClassifier(20, random_state=0).fit(ROWS, LABELS),
        ROWS,
        "predict_proba",
        {"dtype": "float64", "classes": ["no", "yes"], "shape": [None, 2]},
    ),
    "truth values": (
        lambda: LogisticRegression().fit(ROWS, ROWS[:, 0] > 0),
        ROWS,
        "predict",
        {"dtype": "bool", "classes": [False, True]},
    ),
    "a score of two classes": (
        lambda: LogisticRegression().fit(ROWS, LABELS),
        ROWS,
        "decision_function",
        {"dtype": "float64", "shape": [None]},
    ),
    "missing numbers": (
        lambda: HistGradientBoostingClassifier(max_iter=5).fit(HOLES, LABELS),
        HOLES,
        "predict_proba",
        {"shape": [None, 2]},
    ),
    "several numbers": (
        lambda: RandomForestRegressor(5, random_state=0).fit(ROWS, ROWS[:, :2]),
        ROWS,
        "predict",
        {"outputs": 2, "shape": [None, 2], "classes": None},
    ),
    "outliers": (
        lambda: IsolationForest(n_estimators=20, random_state=0).fit(ROWS),
        ROWS,
        "predict",
        {"classes": [-1, 1], "dtype": "int64"},
    ),
    "scores of outliers": (
        lambda: OneClassSVM(gamma=0.5).fit(ROWS),
        ROWS,
        "decision_function",
        {"classes": None, "shape": [None]},
    ),
    "texts": (
        lambda: make_pipeline(TfidfVectorizer(), LogisticRegression()).fit(TEXTS, ["y", "n", "y", "n"] * 5),
        TEXTS,
        "predict_proba",
        {"shape": [None, 2], "classes": ["n", "y"]},
    ),
    "a table": (
        lambda: table(LogisticRegression()).fit(FRAME, LABELS),
        FRAME,
        "predict_proba",
        {"shape": [None, 2]},
    ),
    "a transformed array": (
        lambda: StandardScaler().fit(ROWS),
        ROWS,
        "transform",
        {"shape": [None, 4], "classes": None},
    ),
}
# Of these, ONNX forms are refused, or are not asked for here.
ORIGINALS: dict[str, tuple[Callable[[], Any], Any, str, dict[str, Any]]] = {
    "labels of several outputs": (
        lambda: KNeighborsClassifier(3).fit(ROWS, np.stack([LABELS, LABELS == "no"], axis=1)),
        ROWS,
        "predict",
        {"outputs": 2, "shape": [None, 2]},
    ),
    "probabilities of several outputs": (
        lambda: RandomForestClassifier(3, random_state=0).fit(ROWS, np.stack([LABELS, ROWS[:, 0].round()], axis=1)),
        ROWS,
        "predict_proba",
        {"kind": "list", "outputs": 2, "shape": None},
    ),
    "regressors of several outputs": (
        lambda: MultiOutputRegressor(Ridge()).fit(ROWS, ROWS[:, :3]),
        ROWS,
        "predict",
        {"shape": [None, 3]},
    ),
    "a sparse answer": (
        lambda: OneHotEncoder(handle_unknown="ignore").fit(FRAME[["town", "level"]]),
        FRAME[["town", "level"]],
        "transform",
        {"shape": [None, 5]},
    ),
    "a search": (
        lambda: GridSearchCV(Ridge(), {"alpha": [1.0]}, cv=2).fit(ROWS, ROWS[:, 0]),
        ROWS,
        "predict",
        {"shape": [None]},
    ),
    "categories that trees split by": (
        lambda: HistGradientBoostingClassifier(max_iter=5, categorical_features=["town"]).fit(
            FRAME.assign(town=FRAME["town"].astype("category")), LABELS
        ),
        FRAME,
        "predict",
        {"classes": ["no", "yes"]},
    ),
    "ordered categories": (
        lambda: make_pipeline(
            make_column_transformer((OrdinalEncoder(), ["town", "level"]), remainder="drop"), Ridge()
        ).fit(FRAME, ROWS[:, 0]),
        FRAME,
        "predict",
        {"shape": [None]},
    ),
}


# Served by a process of its own; the others by the same code in this one, for starting takes long.
SERVED = ("a table", "probabilities of several outputs", "a sparse answer", "categories that trees split by", "texts")


@pytest.mark.parametrize("kind", [*KINDS, *ORIGINALS])
def test_it_is_described_and_answers_as_the_model_does(
    serve: Callable[..., Function], tmp_path: Path, kind: str
) -> None:
    make, rows, method, output = {**KINDS, **ORIGINALS}[kind]
    model = make()
    described = written(tmp_path, model, method)
    assert {part: described["output"][part] for part in output} == output
    assert method in described["methods"]
    wanted = plain(getattr(model, method)(rows))
    example = described["input"]["example"]
    if kind in SERVED:
        function = serve(tmp_path).ready()
        answer = function.score(sent(rows))
        assert answer.status_code == 200, answer.text
        assert same(answer.json(), wanted)
        assert function.score(example).status_code == 200
    else:
        assert same(scored(tmp_path, sent(rows)), wanted)
        assert len(scored(tmp_path, example)) == 1


@pytest.mark.parametrize("kind", KINDS)
def test_its_onnx_form_answers_as_the_model_does(tmp_path: Path, kind: str) -> None:
    make, rows, method, _ = KINDS[kind]
    model = make()
    written(tmp_path, model, method, onnx=True)
    assert same(scored(tmp_path, sent(rows)), plain(getattr(model, method)(rows)))
    assert same(scored(tmp_path, sent(rows)[:1]), plain(getattr(model, method)(rows[:1])))


def scored(root: Path, rows: Any) -> Any:
    scorer = open_scorer(root, read_manifest(root))
    return json.loads(scorer.score(scorer.reader.read(json.dumps({"data": rows}).encode())))
