"""The manifest says what was asked and found, and the model version follows what can change an answer."""

import json
from dataclasses import replace

import pytest

from deployments.packaging.manifest import Executed, build_manifest, model_format, model_version, safe_model_name

from .parts import PARTS, SPEC, spec_with


def test_the_model_version_follows_what_can_change_an_answer() -> None:
    base = model_version(SPEC, PARTS)
    assert base == model_version(spec_with(tags={"team": "x"}, cache={"policy": "off"}), PARTS)
    # Why a form was chosen changes no answer, nor does how it was asked for.
    assert base == model_version(
        spec_with(execution="original"), replace(PARTS, executed=Executed(reason="No converter."))
    )
    others = [
        model_version(SPEC, replace(PARTS, model_sha256="1" * 64)),
        model_version(SPEC, replace(PARTS, lock="scikit-learn==1.7.1\n")),
        model_version(SPEC, replace(PARTS, scoring_version="2")),
        model_version(spec_with(runtime={"python": "3.12"}), PARTS),
        model_version(SPEC, replace(PARTS, code_files={"features.py": "2" * 64})),
        model_version(SPEC, replace(PARTS, wheels={"mine-1.0-py3-none-any.whl": "2" * 64})),
        model_version(SPEC, replace(PARTS, executed=Executed("onnx", "Equal.", "3" * 64))),
        model_version(SPEC, replace(PARTS, executed=Executed("onnx", "Equal.", "4" * 64))),
        model_version(spec_with(model={"artifact": "0" * 64, "method": "predict_proba"}), PARTS),
    ]
    assert len({base, *others}) == 10


def test_the_manifest_says_what_was_asked_and_found() -> None:
    spec = spec_with(input={"parameter": "rows", "missing": "allow", "max_rows": 7})
    manifest = json.loads(json.dumps(build_manifest(spec, PARTS)))
    assert manifest["manifest_version"] == 1
    assert manifest["input"] == {"kind": "array", "features": 2, "parameter": "rows", "missing": "allow"}
    assert manifest["limits"]["max_rows"] == 7
    assert manifest["model"] == {
        "file": "model/digits.joblib", "name": "digits.joblib", "sha256": "0" * 64, "format": "joblib",
        "method": "predict",
    }  # fmt: skip
    assert manifest["trigger"]["function"] == "score"
    assert manifest["execution"] == {
        "requested": "auto", "executes": "original", "reason": "The model runs as it was uploaded.", "file": None,
        "sha256": None, "outputs": None,
    }  # fmt: skip


def test_the_manifest_names_the_form_that_executes() -> None:
    executed = Executed("onnx", "Equal on 4,096 rows.", "5" * 64, {"name": "label", "take": "flat"})
    told = build_manifest(SPEC, replace(PARTS, executed=executed))["execution"]
    assert told["executes"] == "onnx"
    assert (told["file"], told["sha256"], told["outputs"]) == ("model/executed.onnx", "5" * 64, executed.outputs)


@pytest.mark.parametrize(
    ("given", "plain"),
    [("../../x.pkl", "x.pkl"), ("my model (1).joblib", "my_model_1_.joblib"), (".hidden", "hidden"), ("…", "_")],
)
def test_names_of_models_are_made_plain(given: str, plain: str) -> None:
    assert safe_model_name(given) == plain


@pytest.mark.parametrize(
    ("name", "form"),
    [("a.joblib", "joblib"), ("a.PKL", "pickle"), ("a.skops", "skops"), ("a.onnx", "onnx"), ("a", "joblib")],
)
def test_the_format_is_told_by_the_name(name: str, form: str) -> None:
    assert model_format(name) == form
