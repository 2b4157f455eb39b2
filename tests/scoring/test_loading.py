"""What is opened, what is refused to be opened, and how that is said."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from sklearn.compose import make_column_transformer
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

from tests.scoring.packages import write_package
from tests.scoring.processes import Function, Redis, wait_for

Serve = Callable[..., Function]


def failure(function: Function) -> dict[str, Any]:
    health = wait_for(lambda: (found := function.health())["status"] != "loading" and found, seconds=40)
    assert health["status"] == "failed"
    answer = function.client.get("/healthz")
    assert answer.status_code == 503
    scored = function.score([[1, 2]])
    assert scored.status_code == 503
    error: dict[str, Any] = scored.json()["error"]
    assert error == health["error"]
    return error


def test_a_model_that_was_exchanged_is_not_opened(serve: Serve, counting: Path) -> None:
    with (counting / "model/model.joblib").open("ab") as file:
        file.write(b"x")
    function = serve(counting)
    error = failure(function)
    assert error["code"] == "wrong_digest"
    assert function.process.poll() is None


def test_a_model_that_is_not_there_is_named(serve: Serve, counting: Path) -> None:
    (counting / "model/model.joblib").unlink()
    assert "model.joblib cannot be read" in failure(serve(counting))["message"]


def test_a_missing_module_is_named(serve: Serve, counting: Path) -> None:
    (counting / "code/counting.py").unlink()
    error = failure(serve(counting))
    assert (error["code"], "counting" in error["message"]) == ("missing_module", True)
    assert "upload counting.py as code" in error["hint"]


def test_what_fails_after_the_model_is_open_is_a_failure_as_well(serve: Serve, counting: Path) -> None:
    error = failure(serve(counting, SCORING_PREDICTOR_FD="999"))
    assert (error["code"], "Bad file descriptor" in error["message"]) == ("crashed", True)


@pytest.mark.parametrize("text", ["", "{", '{"manifest_version": 2}', "[]"])
def test_a_package_without_a_usable_manifest_does_not_start(serve: Serve, tmp_path: Path, text: str) -> None:
    (tmp_path / "manifest.json").write_text(text)
    function = serve(tmp_path)
    assert function.process.wait(20) == 2
    assert "manifest" in function.log


def test_a_table_is_scored_as_the_model_was_trained(serve: Serve, cache_server: Redis, tmp_path: Path) -> None:
    frame = pd.DataFrame(
        {"age": [20.0, None, 40.0, 60.0], "town": ["Porto", "Faro", None, "Porto"], "id": [1, 2, 3, 4]}
    )
    columns = make_column_transformer(
        (make_pipeline(SimpleImputer(), StandardScaler()), ["age"]),
        (OneHotEncoder(handle_unknown="ignore"), ["town"]),
    )
    model = make_pipeline(columns, LogisticRegression()).fit(frame, ["no", "yes", "no", "yes"])
    schema = {
        "kind": "table",
        "features": 2,
        "columns": [{"name": "age", "dtype": "float64"}, {"name": "town", "dtype": "string"}],
        "missing": "allow",
        "ignored": ["id"],
        "example": [{"age": 30, "town": "Faro"}],
    }
    write_package(tmp_path / "table", model, input=schema)
    function = serve(tmp_path / "table", SCORING_CACHE_URL=cache_server.url, SCORING_CACHE_PREFIX="table").ready()
    records = json.loads(frame.to_json(orient="records"))
    answer = function.score(records)
    assert answer.json() == model.predict(frame).tolist()
    assert function.verdict([[row["age"], row["town"]] for row in records]) == "HIT"
    refused = function.score([{"age": "20", "town": "Porto"}])
    assert (refused.status_code, refused.json()["error"]["at"]) == (400, "data[0].age")
    key = answer.headers["x-cache-key"]
    assert json.loads(cache_server.stored(key))["input"][1] == {"age": None, "town": "Faro"}


def test_texts_are_scored(serve: Serve, tmp_path: Path) -> None:
    model = make_pipeline(TfidfVectorizer(), LogisticRegression()).fit(["good day", "bad night"], [1, 0])
    write_package(tmp_path / "texts", model, input={"dtype": "string", "features": 1})
    function = serve(tmp_path / "texts").ready()
    assert function.score(["a good one", "a bad one"]).json() == [1, 0]


def test_a_compressed_model_is_opened(serve: Serve, tmp_path: Path, wine: Any) -> None:
    write_package(tmp_path / "compressed", wine[0], compress=("xz", 3))
    assert serve(tmp_path / "compressed").ready().score(wine[1][:1].tolist()).json() == [0]
