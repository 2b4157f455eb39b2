"""Keys by row: only missing rows are predicted, answers are put together in order, and nothing else changes."""

from __future__ import annotations

import importlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from sklearn.compose import make_column_transformer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder

from tests.scoring.packages import write_package
from tests.scoring.processes import Function, Redis, wait_for

Serve = Callable[..., Function]


def served(serve: Serve, redis: Redis, root: Path, prefix: str, **environment: str) -> Function:
    settings = {"SCORING_CACHE_URL": redis.url, "SCORING_CACHE_PREFIX": prefix, "SCORING_KEYS": "row", **environment}
    return serve(root, **settings).ready()


def rows_in(redis: Redis, prefix: str) -> dict[str, Any]:
    return {key.decode(): json.loads(redis.client.get(key)) for key in redis.client.scan_iter(f"{prefix}:*:r:*")}


def predicted(function: Function) -> list[str]:
    """The inputs of the predictions so far."""
    return (function.root / "count").read_text().splitlines()


@pytest.mark.parametrize("local", ["0", "1"])
def test_only_missing_rows_are_predicted(serve: Serve, cache_server: Redis, counting: Path, local: str) -> None:
    prefix = f"rows{local}"
    function = served(serve, cache_server, counting, prefix, SCORING_LOCAL_MB=local)
    first = function.score([[1, 2], [3, 4]])
    assert (first.json(), first.headers["x-cache"]) == ([3.0, 7.0], "MISS")
    wait_for(lambda: len(rows_in(cache_server, prefix)) == 2)
    mixed = function.score([[5, 6], [3, 4], [5, 6], [1, 2]])
    assert (mixed.json(), mixed.headers["x-cache"]) == ([11.0, 7.0, 11.0, 3.0], "MISS")
    assert predicted(function) == ["[[1.0, 2.0], [3.0, 4.0]]", "[[5.0, 6.0]]"]
    again = wait_for(lambda: (answer := function.score([[3, 4], [5, 6]])).headers["x-cache"] == "HIT" and answer)
    assert again.text == "[7.0,11.0]"
    # The request's own key, which names what was asked; its rows are stored under keys of their own.
    assert ":q:" in again.headers["x-cache-key"]
    stored = rows_in(cache_server, prefix)
    assert sorted(entry["output"] for entry in stored.values()) == [3.0, 7.0, 11.0]
    assert sorted(entry["input"] for entry in stored.values()) == [[1.0, 2.0], [3.0, 4.0], [5.0, 6.0]]
    assert not [key for key in cache_server.entries() if key.startswith(prefix)]


def test_who_wants_it_fresh_gets_it_and_everybody_after(serve: Serve, cache_server: Redis, counting: Path) -> None:
    function = served(serve, cache_server, counting, "fresh")
    function.score([[1, 2], [3, 4]])
    wait_for(lambda: len(rows_in(cache_server, "fresh")) == 2)
    for key, entry in rows_in(cache_server, "fresh").items():
        cache_server.client.set(key, json.dumps({**entry, "output": 99}))
    assert function.score([[3, 4], [1, 2]]).json() == [99, 99]
    fresh = function.score([[3, 4], [3, 4], [1, 2]], cache_control="no-cache")
    assert (fresh.json(), fresh.headers["x-cache"]) == ([7.0, 7.0, 3.0], "MISS")
    wait_for(lambda: sorted(entry["output"] for entry in rows_in(cache_server, "fresh").values()) == [3.0, 7.0])
    again = function.score([[1, 2], [3, 4]])
    assert (again.json(), again.headers["x-cache"]) == ([3.0, 7.0], "HIT")
    assert not [key for key in cache_server.entries() if key.startswith("fresh:")]


def test_a_poisoned_row_is_predicted_again(serve: Serve, cache_server: Redis, tmp_path: Path) -> None:
    output = {"kind": "array", "dtype": "float64", "classes": None, "outputs": 2, "shape": [None, 2]}
    write_package(
        tmp_path / "two", importlib.import_module("shapes").PairModel(), uploads=("shapes.py",), output=output
    )
    function = served(serve, cache_server, tmp_path / "two", "two")
    assert function.score([[1, 2]]).json() == [[3.0, 2.0]]
    ((key, entry),) = wait_for(lambda: rows_in(cache_server, "two")).items()
    for poison in (7, [7], [7, "8"], {"a": 7}):
        cache_server.client.set(key, json.dumps({**entry, "output": poison}))
        answer = function.score([[1, 2]])
        assert (answer.json(), answer.headers["x-cache"]) == ([[3.0, 2.0]], "MISS")
        wait_for(lambda: rows_in(cache_server, "two")[key]["output"] == [3.0, 2.0])


def test_an_array_for_each_output_is_no_list_of_rows(serve: Serve, cache_server: Redis, tmp_path: Path) -> None:
    output = {"kind": "list", "dtype": "float64", "classes": None, "outputs": 2, "shape": None}
    model = importlib.import_module("shapes").OutputsModel()
    write_package(tmp_path / "outputs", model, uploads=("shapes.py",), output=output)
    function = served(serve, cache_server, tmp_path / "outputs", "outputs")
    assert function.score([[1, 2], [3, 4]]).json() == [[3.0, 7.0], [2.0, 4.0]]
    assert function.score([[1, 2]]).json() == [[3.0], [2.0]]
    assert function.verdict([[1, 2]]) == "HIT"
    assert not rows_in(cache_server, "outputs")


def test_rows_are_counted(serve: Serve, cache_server: Redis, counting: Path) -> None:
    function = served(serve, cache_server, counting, "counted")
    function.score([[1, 2], [3, 4]])
    wait_for(lambda: len(rows_in(cache_server, "counted")) == 2)
    function.score([[1, 2], [3, 4], [5, 6]])

    def totals() -> tuple[int, int]:
        minutes = [cache_server.client.hgetall(key) for key in cache_server.client.scan_iter("counted:stats:*")]
        hit, missed = (sum(int(minute.get(name, 0)) for minute in minutes) for name in (b"rows_hit", b"rows_missed"))
        return hit, missed

    wait_for(lambda: totals() == (2, 3))


def test_without_a_cache_rows_are_answered_together(serve: Serve, counting: Path) -> None:
    function = serve(counting, SCORING_CACHE_URL="redis://127.0.0.1:1/0", SCORING_KEYS="row").ready()
    answer = function.score([[1, 2], [1, 2], [3, 4]])
    assert (answer.json(), answer.headers["x-cache"]) == ([3.0, 3.0, 7.0], "BYPASS")


def test_who_only_looks_finds_all_rows_or_nothing(serve: Serve, cache_server: Redis, counting: Path) -> None:
    function = served(serve, cache_server, counting, "looking")
    function.score([[1, 2], [3, 4]])
    wait_for(lambda: len(rows_in(cache_server, "looking")) == 2)
    found = function.score([[3, 4]], cache_control="only-if-cached")
    assert (found.json(), found.headers["x-cache"]) == ([7.0], "HIT")
    missing = function.score([[3, 4], [9, 9]], cache_control="only-if-cached")
    assert (missing.status_code, missing.json()["error"]["code"]) == (504, "not_cached")
    assert ":q:" in missing.headers["x-cache-key"]
    assert len(predicted(function)) == 1


def test_answers_with_several_values_a_row_and_answers_without_rows(
    serve: Serve, cache_server: Redis, tmp_path: Path
) -> None:
    shapes = importlib.import_module("shapes")
    write_package(tmp_path / "pairs", shapes.PairModel(), uploads=("shapes.py",))
    pairs = served(serve, cache_server, tmp_path / "pairs", "pairs")
    assert pairs.score([[1, 2]]).json() == [[3.0, 2.0]]
    wait_for(lambda: rows_in(cache_server, "pairs"))
    assert pairs.score([[4, 3], [1, 2]]).json() == [[7.0, 4.0], [3.0, 2.0]]
    write_package(tmp_path / "whole", shapes.WholeModel(), uploads=("shapes.py",))
    whole = served(serve, cache_server, tmp_path / "whole", "whole")
    for _ in range(2):
        answer = whole.score([[1, 2], [1, 2], [3, 4]])
        assert (answer.json(), answer.headers["x-cache"]) == ({"rows": 3, "sum": 13.0}, "BYPASS")
    assert not rows_in(cache_server, "whole")


def test_rows_of_tables(serve: Serve, cache_server: Redis, tmp_path: Path) -> None:
    frame = pd.DataFrame({"town": ["a", "b", "a", "b"], "age": [1.0, 2.0, 3.0, 4.0]})
    encoder = make_column_transformer((OneHotEncoder(), ["town"]), remainder="passthrough")
    model = make_pipeline(encoder, LogisticRegression()).fit(frame, ["x", "y", "x", "y"])
    columns = [{"name": "town", "dtype": "string"}, {"name": "age", "dtype": "float64"}]
    example = [{"town": "a", "age": 1.0}]
    write_package(tmp_path / "table", model, input={"kind": "table", "columns": columns, "example": example})
    function = served(serve, cache_server, tmp_path / "table", "table")
    rows = frame.to_dict(orient="records")
    assert function.score(rows[:2]).json() == ["x", "y"]
    wait_for(lambda: len(rows_in(cache_server, "table")) == 2)
    mixed = function.score([rows[3], rows[0], rows[2]])
    assert (mixed.json(), mixed.headers["x-cache"]) == (["y", "x", "x"], "MISS")
    stored = [entry["input"] for entry in rows_in(cache_server, "table").values()]
    assert {"town": "a", "age": 3.0} in stored
