"""A model's bad days: it raises, or returns something odd; the answer is right JSON or a 500, and the next is well."""

from __future__ import annotations

import importlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.scoring.packages import write_package
from tests.scoring.processes import Function


@pytest.fixture(scope="module")
def troubled(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Function]:
    """A server of a model whose first number chooses its trouble."""
    root: Path = tmp_path_factory.mktemp("troubled") / "package"
    model = importlib.import_module("troubled").TroubledModel()
    write_package(root, model, input={"example": [[0, 0]]}, uploads=("troubled.py",))
    function = Function(root).ready()
    yield function
    function.stop()


@pytest.mark.parametrize(
    ("trouble", "answer"),
    [
        (0, [0.0]),
        (3, [None, None, None]),
        (4, [0.5, 7, True, "a", "2026-11-22"]),
        (5, [[1.0, 0.0], [0.0, 1.0]]),
        (6, [{"a": 1, "b": "x"}, {"a": 2, "b": None}]),
        (7, [1.5, 2.5]),
        # How many rows come back is the model's business.
        (8, [0.0] * 6),
        (9, [[1.0] * 400] * 1000),
        (11, None),
    ],
)
def test_what_it_returns_is_sent_as_json(troubled: Function, trouble: int, answer: Any) -> None:
    given = troubled.score([[trouble, 1]])
    assert (given.status_code, given.json()) == (200, answer)


@pytest.mark.parametrize(
    ("trouble", "code", "says"),
    [
        (1, "model_error", "RuntimeError: the weights are gone"),
        (2, "model_error", "SystemExit"),
        (10, "bad_output", "an object of object cannot be sent as JSON"),
    ],
)
def test_what_has_no_answer_is_a_500_that_says_why(troubled: Function, trouble: int, code: str, says: str) -> None:
    given = troubled.score([[trouble, 1]])
    assert given.status_code == 500
    error = given.json()["error"]
    assert (error["code"], says in error["message"]) == (code, True), error
    assert error["hint"]
    assert troubled.score([[0, 1]]).json() == [0.0]
