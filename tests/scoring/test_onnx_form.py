"""The ONNX form is executed where the manifest says so, lightly, and only if it is the file that was proved equal."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import joblib
import numpy as np
import pytest
from sklearn.ensemble import RandomForestClassifier

from scoring.convert import convert
from scoring.describe import describe
from scoring.manifest import read_manifest
from scoring.model import open_scorer
from scoring.opening import OpenError
from tests.scoring.packages import write_package
from tests.scoring.processes import SCORING_IMAGE, Function


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory, wine: Any) -> Path:
    """A package whose forest runs as ONNX, made once."""
    root: Path = tmp_path_factory.mktemp("made")
    forest = RandomForestClassifier(30, random_state=0).fit(wine[1], wine[0].predict(wine[1]))
    file, out = root / "forest.joblib", root / "executed.onnx"
    joblib.dump(forest, file)
    verdict = convert(forest, "predict", describe(file, method="predict"), out, faster_only=False)
    execution = {
        "requested": "auto",
        "executes": "onnx",
        "reason": verdict["reason"],
        "file": "model/executed.onnx",
        "sha256": hashlib.sha256(out.read_bytes()).hexdigest(),
        "outputs": verdict["outputs"],
    }
    write_package(root / "package", forest, execution=execution)
    out.rename(root / "package/model/executed.onnx")
    return root / "package"


@pytest.fixture
def executed(made: Path, tmp_path: Path) -> Path:
    """A copy of that package."""
    return Path(shutil.copytree(made, tmp_path / "package"))


def test_it_answers_in_place_of_the_model(serve: Callable[..., Function], executed: Path, wine: Any) -> None:
    model = joblib.load(executed / "model/model.joblib")
    (executed / "model/model.joblib").write_bytes(b"never opened")
    function = serve(executed).ready()
    assert function.score(wine[1].tolist()).json() == model.predict(wine[1]).tolist()
    health = function.health()
    assert (health["executes"], "answers as the original on all" in health["reason"]) == ("onnx", True)


def test_nothing_of_scikit_learn_is_imported_for_it(executed: Path) -> None:
    look = (
        "import sys; from pathlib import Path; from scoring.manifest import read_manifest;"
        "from scoring.model import open_scorer; root = Path(sys.argv[1]);"
        "scorer = open_scorer(root, read_manifest(root));"
        "print(scorer.score(scorer.reader.read(sys.argv[2].encode())).decode(), sorted(sys.modules))"
    )
    body = json.dumps({"data": [[1.0] * 13]})
    done = subprocess.run(
        [sys.executable, "-c", look, str(executed), body],
        env={"PATH": os.environ["PATH"], "PYTHONPATH": str(SCORING_IMAGE)},
        capture_output=True,
        text=True,
        timeout=120,
    )
    answer, _, modules = done.stdout.partition(" ")
    assert json.loads(answer) in ([0], [1], [2]), done.stderr
    assert not {"sklearn", "scipy", "pandas", "joblib", "onnx", "skl2onnx"} & set(eval(modules))


def test_another_file_in_its_place_is_not_executed(executed: Path) -> None:
    with (executed / "model/executed.onnx").open("ab") as file:
        file.write(b"x")
    with pytest.raises(OpenError) as caught:
        open_scorer(executed, read_manifest(executed))
    assert caught.value.code == "wrong_digest"


def test_numbers_that_the_original_refuses_are_refused(executed: Path) -> None:
    scorer = open_scorer(executed, read_manifest(executed))
    request = scorer.reader.read(json.dumps({"data": [[1e39] * 13]}).encode())
    with pytest.raises(ValueError, match="too large for dtype"):
        scorer.score(request)


def test_several_threads_may_ask_at_once(executed: Path, wine: Any) -> None:
    scorer = open_scorer(executed, read_manifest(executed))
    requests = [scorer.reader.read(json.dumps({"data": [row]}).encode()) for row in wine[1].tolist()]
    alone = [scorer.score(request) for request in requests]
    answers: list[list[bytes]] = []
    threads = [
        threading.Thread(target=lambda: answers.append([scorer.score(request) for request in requests]))
        for _ in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert answers == [alone] * 4
    assert np.unique(alone).size > 1
