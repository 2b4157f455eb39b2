"""Whatever scikit-learn returns is valid JSON, or is named as what cannot be."""

from __future__ import annotations

import datetime
import json
import math
from typing import Any

import numpy as np
import pandas as pd
import pytest
import scipy.sparse
from hypothesis import given
from hypothesis import strategies as st

from scoring.outputs import OutputError, encode_output


@pytest.mark.parametrize(
    ("output", "shown"),
    [
        (np.array([1, 2]), [1, 2]),
        (np.array([[0.5, np.nan], [np.inf, -np.inf]]), [[0.5, None], [None, None]]),
        (np.array([2**63 - 1]), [2**63 - 1]),
        (np.array(["a", "é"]), ["a", "é"]),
        (np.array([True, False]), [True, False]),
        (np.array([1.5], dtype=np.float32), [1.5]),
        (np.array(["x", None, np.float64(2), np.int32(3)], dtype=object), ["x", None, 2.0, 3]),
        (np.array([[np.array([1]), "b"]], dtype=object), [[[1], "b"]]),
        (np.array(["2026-11-22"], dtype="datetime64[D]"), ["2026-11-22"]),
        (np.float64(0.25), 0.25),
        (np.float64("nan"), None),
        (np.str_("a"), "a"),
        (np.bool_(True), True),
        (3, 3),
        ("word", "word"),
        (None, None),
        ([np.array([[0.1]]), np.array([[0.2]])], [[[0.1]], [[0.2]]]),
        ((np.array([1.0]), np.array([2.0])), [[1.0], [2.0]]),
        ({"label": np.array([1])}, {"label": [1]}),
        (scipy.sparse.csr_matrix([[0, 1], [2, 0]]), [[0, 1], [2, 0]]),
        (pd.DataFrame({"a": [1.0, np.nan], "b": ["x", "y"]}), [{"a": 1.0, "b": "x"}, {"a": None, "b": "y"}]),
        (pd.Series([1, 2]), [1, 2]),
        (datetime.date(2026, 11, 22), "2026-11-22"),
    ],
)
def test_outputs_become_json(output: Any, shown: Any) -> None:
    assert json.loads(encode_output(output), parse_constant=pytest.fail) == shown


@given(st.lists(st.lists(st.floats(width=32), min_size=2, max_size=2), min_size=1))
def test_numbers_come_through_exactly_and_never_as_nan(rows: list[list[float]]) -> None:
    decoded = json.loads(encode_output(np.array(rows)), parse_constant=pytest.fail)
    assert decoded == [[cell if math.isfinite(cell) else None for cell in row] for row in rows]


@pytest.mark.parametrize("output", [object(), np.array([1j]), lambda: 1])
def test_what_has_no_json_form_is_said(output: Any) -> None:
    with pytest.raises(OutputError, match="no JSON form"):
        encode_output(output)
