"""A model's ONNX form is taken only where it answers alike, and what stands in its way is said in a sentence."""

from __future__ import annotations

import copy
import importlib
import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import joblib
import msgspec
import numpy as np
import pytest
from sklearn.ensemble import (
    ExtraTreesClassifier,
    GradientBoostingClassifier,
    GradientBoostingRegressor,
    HistGradientBoostingClassifier,
    RandomForestClassifier,
)
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, StandardScaler
from sklearn.tree import DecisionTreeClassifier, DecisionTreeRegressor

from scoring.convert import convert, verdict_of
from scoring.describe import describe
from scoring.onnx_form import OnnxForm, Outputs
from scoring.proof import compare
from scoring.proof_rows import chunks, count
from scoring.sessions import open_session
from scoring.trees import forest_of
from tests.scoring.processes import SCORING_IMAGE

Convert = Callable[..., dict[str, Any]]

SCHEMA = {"kind": "array", "dtype": "float64", "features": 13, "columns": None, "missing": "refuse"}


@pytest.fixture
def converted(tmp_path: Path) -> Convert:
    """Save, describe and convert a model; the verdict and the `input`, and the form under `call` where accepted."""

    def convert_it(model: Any, method: str = "predict", *, faster_only: bool = False) -> dict[str, Any]:
        file, out = tmp_path / "m.joblib", tmp_path / "m.onnx"
        joblib.dump(model, file)
        described = describe(file, method=method)
        verdict = convert(model, method, described, out, faster_only=faster_only)
        verdict["input"] = described["input"]
        assert out.exists() == verdict["accepted"]
        if verdict["accepted"]:
            verdict["call"] = OnnxForm(open_session(out.read_bytes()), msgspec.convert(verdict["outputs"], Outputs))
        return verdict

    return convert_it


def test_the_command_prints_a_verdict_and_writes_the_form(tmp_path: Path, digits: Any) -> None:
    joblib.dump(digits[0], tmp_path / "m.joblib")
    command = [sys.executable, "-m", "scoring.convert", "--package-model", str(tmp_path / "m.joblib")]
    done = subprocess.run(
        [*command, "--format", "joblib", "--method", "predict_proba", "--out", str(tmp_path / "o.onnx")],
        env={"PATH": os.environ["PATH"], "PYTHONPATH": str(SCORING_IMAGE)},
        capture_output=True,
        text=True,
        timeout=120,
    )
    (line,) = done.stdout.splitlines()
    told = json.loads(line)
    assert (told["ok"], told["accepted"], told["code"]) == (True, True, "equal"), done.stderr
    assert told["rows"] > 2000
    assert told["gain"] > 1.2
    form = OnnxForm(open_session((tmp_path / "o.onnx").read_bytes()), msgspec.convert(told["outputs"], Outputs))
    wanted = digits[0].predict_proba(digits[1])
    assert abs(form(digits[1]) - wanted).max() < 1e-5


def test_what_has_no_converter_is_said(converted: Convert, wine: Any) -> None:
    verdict = converted(importlib.import_module("unknown").OwnRegressor().fit(wine[1], wine[1][:, 0]))
    assert (verdict["accepted"], verdict["code"], verdict["gain"]) == (False, "no_converter", None)
    assert verdict["reason"].endswith("there is no converter for OwnRegressor.")


def test_what_is_no_estimator_is_not_converted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COUNT_FILE", str(tmp_path / "count"))
    joblib.dump(importlib.import_module("counting").CountingModel(), tmp_path / "m.joblib")
    options = ["--package-model", str(tmp_path / "m.joblib"), "--format", "joblib", "--out", str(tmp_path / "o.onnx")]
    told = verdict_of(options)
    assert (told["accepted"], told["code"]) == (False, "no_converter")
    assert told["reason"].startswith("skl2onnx cannot read this model: AttributeError")


@pytest.mark.parametrize(
    ("form", "exact", "code", "says"),
    [
        (lambda rows: rows[:, 0] + 1e-7, False, "equal", "answers as the original on all 148 rows"),
        (lambda rows: rows[:, 0] + 1e-3, False, "scores_differ", "on 148 of 148 rows, by up to 0.001"),
        (lambda rows: rows[:, 0] + 1e-7, True, "labels_differ", "other labels than the original on 148 of 148 rows"),
        (lambda rows: rows, False, "shape_differs", "another shape than the original's on 148 of 148 rows"),
        (lambda rows: np.full(len(rows), np.nan), False, "scores_differ", "by up to inf"),
        (lambda rows: refusing(rows, 0.5), False, "refusals_differ", "Only one of the original and the ONNX form"),
    ],
)
def test_what_differs_is_found_and_said(form: Any, exact: bool, code: str, says: str) -> None:
    rows = np.linspace(0.0, 1.0, 200).reshape(100, 2)
    # The first rows are asked once more, one by one.
    finding = compare(lambda rows: rows[:, 0], form, [rows], exact=exact)
    assert (finding.code, says in finding.sentence()) == (code, True), finding.sentence()


def refusing(rows: Any, beyond: float) -> Any:
    if (rows[:, 0] > beyond).any():
        raise ValueError("too large")
    return rows[:, 0]


def test_both_may_refuse_the_same_rows() -> None:
    rows = np.linspace(0.0, 1.0, 200).reshape(100, 2)
    finding = compare(lambda rows: refusing(rows, 0.5), lambda rows: refusing(rows, 0.5), [rows], exact=False)
    assert finding.equal
    finding = compare(lambda rows: refusing(rows, 0.5), lambda rows: refusing(rows, 0.7), [rows], exact=False)
    assert (finding.code, finding.differing) == ("refusals_differ", 20)


def test_a_form_that_is_not_faster_is_taken_only_where_it_is_asked_for(converted: Convert) -> None:
    # It returns what it is given, which nothing does faster.
    model = FunctionTransformer().fit(np.eye(3))
    verdict = converted(model, "transform", faster_only=True)
    assert (verdict["accepted"], verdict["code"]) == (False, "not_faster")
    assert verdict["gain"] < 1.2
    assert converted(model, "transform")["accepted"]


@pytest.mark.parametrize("before", [False, True])
@pytest.mark.parametrize(
    "make",
    [
        lambda: RandomForestClassifier(8, random_state=1),
        lambda: ExtraTreesClassifier(8, random_state=1),
        lambda: DecisionTreeRegressor(random_state=1),
        lambda: HistGradientBoostingClassifier(max_iter=4),
        lambda: GradientBoostingClassifier(n_estimators=8, random_state=1),
        lambda: GradientBoostingRegressor(n_estimators=8, random_state=1),
    ],
)
def test_trees_are_equal_to_the_last_threshold(converted: Convert, wine: Any, make: Any, before: bool) -> None:
    model = make_pipeline(StandardScaler(), make()) if before else make()
    verdict = converted(model.fit(wine[1], wine[0].predict(wine[1])))
    assert verdict["accepted"], verdict["reason"]
    drawn = sum(count(value) for value in chunks(model, verdict["input"], None, 0))
    assert verdict["rows"] > drawn, "no row stood on a threshold"


def test_a_threshold_moved_by_one_step_is_found(wine: Any) -> None:
    tree = DecisionTreeClassifier(max_depth=4, random_state=0).fit(wine[1], wine[0].predict(wine[1]))
    moved = copy.deepcopy(tree)
    root = moved.tree_.threshold
    root[0] = np.nextafter(np.float32(root[0]), np.float32(np.inf))
    rows = chunks(tree, {**SCHEMA, "example": [wine[1][0].tolist()]}, forest_of(tree), 100)
    assert compare(tree.predict, moved.predict, rows, exact=True).code == "labels_differ"


def test_what_takes_too_long_is_given_up(tmp_path: Path, wine: Any) -> None:
    joblib.dump(wine[0], tmp_path / "m.joblib")
    options = ["--package-model", str(tmp_path / "m.joblib"), "--format", "joblib", "--out", str(tmp_path / "o.onnx")]
    options += ["--seconds", "0.02"]
    told = verdict_of(options)
    assert (told["accepted"], told["code"]) == (False, "too_slow")
    assert not (tmp_path / "o.onnx").exists()
