"""In which form a model executes: ONNX where it proves equal, else as it was uploaded, and always said."""

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from deployments.domain.errors import ResourceFailed
from deployments.domain.resources import Outputs
from deployments.domain.spec import Spec
from deployments.packaging.digests import file_digest
from deployments.packaging.scoring import scoring_version
from deployments.targets.local.environments import MadeEnvironment, Wanted
from deployments.targets.local.executed import choose_form
from deployments.targets.local.opened import Opened
from deployments.targets.local.target import LocalTarget
from deployments.targets.local.work import Work
from tests.targets.driving import Driven, Failed, text_of

from .conftest import SCORING_ROOT, Files, LocalHarness, frozen_harness

_UNKNOWN = """
    import joblib, sys
    from sklearn.datasets import load_iris
    from sklearn.neighbors import NearestCentroid
    joblib.dump(NearestCentroid(shrink_threshold=0.1).fit(*load_iris(return_X_y=True)), sys.argv[1])
"""
_TABLE = """
    import joblib, sys
    import pandas as pd
    from sklearn.compose import ColumnTransformer
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import OneHotEncoder
    table = pd.DataFrame({"age": [20.0, 40.0, 60.0, 80.0], "city": ["Ulm", "Bonn", "Ulm", "Bonn"]})
    columns = ColumnTransformer([("city", OneHotEncoder(handle_unknown="ignore"), ["city"])], remainder="passthrough")
    joblib.dump(make_pipeline(columns, LogisticRegression()).fit(table, [0, 0, 1, 1]), sys.argv[1])
"""


_SKOPS = """
    import sys
    import skops.io
    from sklearn.datasets import load_iris
    from sklearn.linear_model import LogisticRegression
    skops.io.dump(LogisticRegression(max_iter=500).fit(*load_iris(return_X_y=True)), sys.argv[1])
"""
_ONNX = """
    import sys
    from skl2onnx import to_onnx
    from sklearn.datasets import load_iris
    from sklearn.linear_model import LogisticRegression
    rows, labels = load_iris(return_X_y=True)
    model = to_onnx(LogisticRegression(max_iter=500).fit(rows, labels), rows[:1], options={"zipmap": False})
    open(sys.argv[1], "wb").write(model.SerializeToString())
"""


def image_spec(model: str, **more: Any) -> Spec:
    return Spec.load({"model": {"artifact": model}, "cache": {"policy": "off"}, **more})


@pytest.fixture(scope="module")
def forms(files: Files, tmp_path_factory: pytest.TempPathFactory) -> LocalHarness:
    return frozen_harness(files, tmp_path_factory.mktemp("forms"))


@pytest.fixture
def driven(forms: LocalHarness) -> Iterator[Driven]:
    made = forms.driven("forms")
    yield made
    made.destroy()


def built(driven: Driven, spec: Spec) -> tuple[Outputs, str, dict[str, Any], list[str]]:
    """The image's outputs, its log, its manifest and the lines of its requirements."""
    image = driven.resource(spec, "image")
    outputs = driven.bring(image)
    package = Path(str(outputs["package"]))
    manifest = json.loads((package / "manifest.json").read_text())
    return outputs, text_of(driven, image), manifest, (package / "requirements.txt").read_text().splitlines()


def holds(requirements: list[str], name: str) -> bool:
    return any(line.startswith(f"{name}==") for line in requirements)


def test_a_model_that_proves_equal_executes_as_onnx_with_the_same_digest_wherever_it_is_made(
    driven: Driven, forms: LocalHarness, iris: str, tmp_path: Path
) -> None:
    outputs, log, manifest, requirements = built(driven, image_spec(iris))
    assert outputs["executes"] == manifest["execution"]["executes"] == "onnx"
    assert outputs["reason"] == manifest["execution"]["reason"]
    assert float(outputs["gain"]) > 1
    assert "gain" not in manifest["execution"]
    assert "Executes as ONNX: " in log
    assert f"{outputs['gain']} times faster" in log
    file = Path(str(outputs["package"])) / manifest["execution"]["file"]
    assert file_digest(file) == manifest["execution"]["sha256"]
    # What serves is pinned, what only converted is not there, and the original still ships.
    assert holds(requirements, "onnxruntime")
    assert holds(requirements, "scikit-learn")
    assert not holds(requirements, "skl2onnx")
    assert (file.parent / "iris.joblib").exists()

    config = replace(forms.target.config, root=tmp_path / "elsewhere")
    elsewhere = LocalHarness(LocalTarget(config), forms.files).driven("forms")
    again, log, *_ = built(elsewhere, image_spec(iris))
    assert "Trying the model as ONNX." in log
    assert again["executes"] == "onnx", log
    assert (again["digest"], again["model_version"]) == (outputs["digest"], outputs["model_version"])
    elsewhere.destroy()


def test_a_form_that_was_proved_is_not_proved_again(driven: Driven, iris: str) -> None:
    first, *_ = built(driven, image_spec(iris))
    other = image_spec(iris, input={"parameter": "rows"})
    again, log, *_ = built(driven, other)
    assert "The conversion to ONNX was tried before." in log
    assert (again["executes"], again["reason"], again["gain"]) == (first["executes"], first["reason"], first["gain"])


def test_the_original_executes_where_the_spec_says_so(driven: Driven, iris: str) -> None:
    outputs, log, manifest, requirements = built(driven, image_spec(iris, execution="original"))
    assert (outputs["executes"], outputs["gain"], manifest["execution"]["file"]) == ("original", "", None)
    assert "Runs as uploaded: the spec or its environment asks for the original." in log
    assert not holds(requirements, "onnxruntime")


def test_a_model_without_a_converter_runs_as_uploaded_and_the_log_says_why(driven: Driven, files: Files) -> None:
    outputs, log, manifest, requirements = built(driven, image_spec(files.run("centroid.joblib", _UNKNOWN)))
    assert outputs["executes"] == "original"
    assert outputs["reason"] == manifest["execution"]["reason"] != ""
    assert "Runs as uploaded: " in log
    assert not holds(requirements, "onnxruntime")


def test_pandas_is_added_by_itself_for_a_model_of_tables(driven: Driven, files: Files) -> None:
    spec = image_spec(files.run("table.joblib", _TABLE), execution="original")
    _, log, manifest, requirements = built(driven, spec)
    assert manifest["input"]["kind"] == "table"
    assert holds(requirements, "pandas")
    assert "pandas is added" in log


def test_a_skops_file_is_packaged_with_its_reader(driven: Driven, files: Files) -> None:
    _, log, manifest, requirements = built(driven, image_spec(files.run("iris.skops", _SKOPS), execution="original"))
    assert manifest["model"]["format"] == "skops"
    assert manifest["trained_with"].get("scikit-learn")
    assert holds(requirements, "skops")
    assert "with which the model was saved" in log


def test_an_uploaded_onnx_model_executes_as_it_is_and_needs_no_scikit_learn(driven: Driven, files: Files) -> None:
    model = files.run("iris.onnx", _ONNX)
    outputs, _, manifest, requirements = built(driven, image_spec(model))
    assert (outputs["executes"], manifest["model"]["format"]) == ("onnx", "onnx")
    assert outputs["reason"] == "It was uploaded as ONNX."
    assert manifest["execution"]["file"] is None
    assert holds(requirements, "onnxruntime")
    assert not holds(requirements, "scikit-learn")
    with pytest.raises(Failed) as caught:
        built(driven, image_spec(model, execution="original"))
    assert (caught.value.error.code, caught.value.error.fix) == ("no_original", {})


def test_versions_that_no_converter_knows_leave_the_original_unless_onnx_is_asked_for(
    tmp_path: Path, files: Files, iris: str
) -> None:
    def work(execution: str) -> Work:
        spec = image_spec(iris, execution=execution)
        return Work(
            name="forms",
            spec=spec,
            artifacts={iris: files.get(iris)},
            scoring_root=SCORING_ROOT,
            root=tmp_path,
            index_env={"UV_DEFAULT_INDEX": tmp_path.as_uri(), "UV_CACHE_DIR": str(tmp_path / "cache")},
            sandbox="auto",
            staging=tmp_path,
        )

    served = MadeEnvironment(Path("/nowhere"), "scikit-learn==0.18\n")
    opened = Opened(Wanted("3.11", ("scikit-learn==0.18",)), served, {"input": {}})
    form = choose_form(work("auto"), opened)
    assert (form.executed.executes, form.environment) == ("original", served)
    assert form.executed.reason.startswith("There is no conversion to ONNX for these versions. ")
    with pytest.raises(ResourceFailed, match="cannot execute as ONNX") as caught:
        choose_form(work("onnx"), opened)
    assert caught.value.detail.code == "no_onnx"


def test_other_scoring_code_is_another_model_version(forms: LocalHarness, tmp_path: Path) -> None:
    harness = frozen_harness(forms.files, tmp_path)
    driven = harness.driven("release")
    spec = harness.spec()
    outputs, _, manifest, _ = built(driven, spec)
    assert manifest["scoring_version"] == scoring_version(harness.target.config.scoring_root)
    with (harness.target.config.scoring_root / "scoring" / "keys.py").open("a") as file:
        file.write("# The next release.\n")
    again, _, changed, _ = built(driven, spec)
    assert again["model_version"] != outputs["model_version"]
    assert changed["scoring_version"] != manifest["scoring_version"]
    driven.destroy()
