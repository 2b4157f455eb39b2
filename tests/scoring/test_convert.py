"""A model's ONNX form is taken only where it answers alike, and what stands in its way is said in a sentence."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import joblib
import msgspec
import pytest
from sklearn.linear_model import LogisticRegression

from scoring.convert import convert
from scoring.describe import describe
from scoring.onnx_form import OnnxForm, Outputs
from scoring.sessions import open_session
from tests.scoring.processes import SCORING_IMAGE

Convert = Callable[..., dict[str, Any]]


@pytest.fixture
def converted(tmp_path: Path) -> Convert:
    """Save, describe and convert a model; the verdict, and the form under `call` where it is accepted."""

    def convert_it(model: Any, method: str = "predict", *, faster_only: bool = False) -> dict[str, Any]:
        file, out = tmp_path / "m.joblib", tmp_path / "m.onnx"
        joblib.dump(model, file)
        verdict = convert(model, method, describe(file, method=method), out, faster_only=faster_only)
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
    labels = wine[0].predict(wine[1])

    class Own(LogisticRegression):  # type: ignore[misc]
        pass

    Own.__qualname__, Own.__module__ = "Own", __name__
    globals()["Own"] = Own
    verdict = converted(Own().fit(wine[1][:, :2], labels))
    assert (verdict["accepted"], verdict["code"]) == (False, "no_converter")
