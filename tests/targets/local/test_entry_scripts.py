"""An entry script for Azure Machine Learning, deployed as it is and called."""

import io
import json
import textwrap
import zipfile
from collections.abc import Iterator

import httpx
import pytest

from deployments.domain.spec import Spec
from tests.targets.driving import Driven, Failed, text_of

from .conftest import SAVE_BY_CODE, TINY, LocalHarness

SCRIPT = """
    import os
    import pickle
    from pathlib import Path

    import numpy as np
    from inference_schema.parameter_types.numpy_parameter_type import NumpyParameterType
    from inference_schema.parameter_types.standard_py_parameter_type import StandardPythonParameterType
    from inference_schema.schema_decorators import input_schema, output_schema
    from shared.words import word

    def init():
        global model
        print("the script starts")
        with open(os.path.join(os.environ["AZUREML_MODEL_DIR"], "tiny.pkl"), "rb") as file:
            model = pickle.load(file)

    @input_schema("rows", NumpyParameterType(np.array([[1.0, 2.0, 3.0, 4.0]])))
    @input_schema("unit", StandardPythonParameterType("cm"))
    @output_schema(StandardPythonParameterType({"sums": [10.0]}))
    def run(rows, unit):
        return {"sums": model.predict(rows), "unit": unit, "word": word(), "note": Path("shared/note.txt").read_text()}
"""

FILES = {
    "project/score.py": textwrap.dedent(SCRIPT),
    "shared/__init__.py": "",
    "shared/words.py": "def word():\n    return 'helped'\n",
    "shared/note.txt": "read",
    "tiny.py": TINY.decode(),
}


def packed(files: dict[str, str]) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name, text in files.items():
            archive.writestr(name, text)
    return buffer.getvalue()


@pytest.fixture
def driven(harness: LocalHarness) -> Iterator[Driven]:
    driven = harness.driven("scripted")
    yield driven
    driven.destroy()


def spec_of(harness: LocalHarness, files: dict[str, str]) -> Spec:
    code = harness.files.add("code.zip", packed(files))
    model = harness.files.run("tiny.pkl", SAVE_BY_CODE, f"Tiny:{TINY.decode()}")
    return harness.spec(
        model={"artifact": model},
        code={"artifact": code, "entry_script": "project/score.py", "deterministic": True},
        trigger={"kind": "http", "methods": ["POST", "GET"]},
        hosting={"processes": 1},
    )


def test_a_decorated_script_with_helpers_answers_and_is_kept(harness: LocalHarness, driven: Driven) -> None:
    spec = spec_of(harness, FILES)
    url = str(driven.deploy(spec)["function"]["url"])
    key = driven.resource(spec, "function").secrets(driven.context())["key"]
    with httpx.Client(headers={"x-functions-key": key}, timeout=20, trust_env=False) as client:
        answers = [client.post(url, json={"rows": [[1, 2, 3, 4]], "unit": "mm"}) for _ in range(2)]
        told = {"sums": [10.0], "unit": "mm", "word": "helped", "note": "read"}
        assert [answer.json() for answer in answers] == [told, told]
        assert [answer.headers["x-cache"] for answer in answers] == ["MISS", "HIT"]
        asked = client.get(url, params={"rows": json.dumps([[1, 1, 1, 1]]), "unit": "m"})
        assert asked.json()["sums"] == [4.0]
        missing = client.post(url, json={"rows": [[1, 2, 3, 4]]})
        assert (missing.status_code, list(missing.json())) == (400, ["message"])
        assert client.get(url.replace("/api/score", "/openapi.json")).status_code == 200
    assert httpx.post(url, json={}, trust_env=False).status_code == 401
    assert "the script starts" in text_of(driven, driven.resource(spec, "function"))


def test_a_script_that_needs_what_is_not_there_is_said(harness: LocalHarness, driven: Driven) -> None:
    broken = {**FILES, "project/score.py": "import nowhere\n" + FILES["project/score.py"]}
    with pytest.raises(Failed) as failed:
        driven.deploy(spec_of(harness, broken))
    assert "nowhere" in failed.value.error.message
    assert failed.value.error.code == "missing_module"
