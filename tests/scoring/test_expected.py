"""What a stored answer must look like to be taken for the model's."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from scoring.expected import Expected
from scoring.manifest import Output

LABELS = {"dtype": "int64", "outputs": 1, "shape": [None]}
SCORES = {"dtype": "float64", "outputs": 2, "shape": [None, 2]}
TEXTS = {"dtype": "string", "outputs": 1, "shape": [None]}
FLAGS = {"dtype": "bool", "outputs": 1, "shape": [None]}
OBJECTS = {"dtype": "object", "outputs": 1, "shape": [None]}
RECORDS = {"kind": "records", "dtype": "object", "outputs": 2, "shape": [None, 2]}
LISTS = {"kind": "list", "dtype": "float64", "outputs": 2}
SCALAR = {"kind": "scalar", "dtype": "float64", "outputs": 1, "shape": []}
UNKNOWN = {"dtype": "object", "outputs": None}


def expected(output: dict[str, Any] | None) -> Expected:
    return Expected(None if output is None else msgspec.convert(output, Output))


@pytest.mark.parametrize(
    ("output", "rows", "fitting", "others"),
    [
        (LABELS, 2, [b"[1,2]", b"[-1, 18446744073709551615]"], [b"[1]", b"[1,2,3]", b"[1,null]", b"[1,true]", b"{}"]),
        (SCORES, 1, [b"[[0.5,1]]", b"[[null,-2e300]]"], [b"[[0.5]]", b"[[1,2,3]]", b"[1,2]", b'[[1,"2"]]', b"null"]),
        (TEXTS, 2, [b'["a","b"]', b'["a",null]'], [b'["a",1]', b'"ab"', b'[["a"],["b"]]']),
        (FLAGS, 1, [b"[true]"], [b"[1]", b"[null]"]),
        (OBJECTS, 2, [b'["a",1]', b"[[1],{}]"], [b"[1]", b'{"a":1,"b":2}']),
        (RECORDS, 1, [b'[{"a":1,"b":null}]'], [b"[[1,2]]", b'{"a":1}', b"[{},{}]"]),
        (LISTS, 1, [b"[[1],[2]]", b"[[[0.1,0.9]],[[1,0]]]"], [b"[[1]]", b"[[1,2],[3,4]]", b"[1,2]", b'[["a"],["b"]]']),
        (SCALAR, 3, [b"1.5", b"null"], [b"[1.5]", b'"a"']),
        (UNKNOWN, 1, [b"[1]", b"[[]]"], [b"[]", b"1", b"{}"]),
        (None, 1, [b"1", b"{}", b"[1,2]"], []),
    ],
)
def test_shape_and_type_and_number_of_rows(
    output: dict[str, Any] | None, rows: int, fitting: list[bytes], others: list[bytes]
) -> None:
    here = expected(output)
    for answer in fitting:
        assert here.fits(answer, rows), answer
    for answer in others:
        assert not here.fits(answer, rows), answer


@pytest.mark.parametrize(
    ("output", "fitting", "others"),
    [
        (LABELS, [b"1"], [b"[1]", b"1.5", b"null"]),
        (SCORES, [b"[1,null]"], [b"[[1,2]]", b"[1]", b"1"]),
        (RECORDS, [b"{}"], [b"[]"]),
        (UNKNOWN, [b"1", b"[]"], []),
    ],
)
def test_a_row_within_an_answer(output: dict[str, Any], fitting: list[bytes], others: list[bytes]) -> None:
    here = expected(output)
    assert all(here.fits(answer, None) for answer in fitting)
    assert not any(here.fits(answer, None) for answer in others)


def test_the_model_s_own_answers_are_right_whatever_the_manifest_says() -> None:
    here = expected(LABELS)
    here.learn(b"[1]", 1)
    assert not here.fits(b"[1.5]", 1)
    here.learn(b"[1.5]", 1)
    assert here.fits(b"[2.5]", 1)
    assert here.fits(b"2.5", None)


def test_what_is_nested_too_deeply_does_not_fit() -> None:
    assert not expected(UNKNOWN).fits(b"[" * 100_000, 1)
