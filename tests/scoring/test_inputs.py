"""Every request that does not fit is answered by what is wrong with it, where, and what to do."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from scoring.errors import ScoringError
from scoring.inputs import Reader, reader_for
from scoring.manifest import Column, Input, Limits

LIMITS = Limits(max_rows=3)
ARRAY = reader_for(Input(features=2), LIMITS)
NAMED = reader_for(Input(features=2, columns=(Column("a", "float64"), Column("b", "float64")), ignored=("id",)), LIMITS)
GAPS = reader_for(Input(features=2, missing="allow"), LIMITS)
FREE = reader_for(Input(features=None), LIMITS)
TEXTS = reader_for(Input(features=1, dtype="string"), LIMITS)
TABLE = reader_for(
    Input(
        kind="table",
        columns=(
            Column("age", "float64"),
            Column("visits", "int64"),
            Column("member", "bool"),
            Column("town", "string"),
            Column("note", "string", missing="refuse"),
        ),
        missing="allow",
        ignored=("id",),
    ),
    LIMITS,
)
ROW = {"age": 1.5, "visits": 2, "member": False, "town": "Porto", "note": "n"}


def refused(reader: Reader, body: str | bytes) -> ScoringError:
    with pytest.raises(ScoringError) as caught:
        reader.read(body if isinstance(body, bytes) else body.encode())
    assert caught.value.message.endswith(".")
    assert caught.value.hint.endswith(".")
    return caught.value


@pytest.mark.parametrize(
    ("body", "code", "at", "says"),
    [
        ("", "empty", None, "body is empty"),
        ("{", "bad_json", None, "ends too early"),
        ('{"data": [[1, 2]', "bad_json", None, "ends too early"),
        ('{"data": [[1, 2]]} x', "bad_json", None, "trailing characters"),
        ("data=1", "bad_json", None, "not JSON"),
        (b'{"data": ["\xff"]}', "bad_json", None, "not UTF-8"),
        ("[" * 100_000, "bad_json", None, "nested too deeply"),
        ('{"data": [[NaN, 1]]}', "not_finite", None, "JSON has no NaN (byte 11"),
        ('{"data": [[1, Infinity]]}', "not_finite", None, "JSON has no Infinity"),
        ('{"data": [[1, -Infinity]]}', "not_finite", None, "JSON has no -Infinity"),
        ('{"data": [[1, 1e999]]}', "out_of_range", "data[0][1]", "too large for a float64"),
        ('{"data": [[1, 1%s]]}' % ("0" * 400), "out_of_range", "data[0][1]", "too large for a float64"),
        ("[[1, 2]]", "bad_shape", None, "an object with"),
        ("null", "bad_shape", None, "not null"),
        ("{}", "missing_parameter", "data", "it is empty"),
        ('{"rows": [[1, 2]]}', "missing_parameter", "data", 'it has "rows"'),
        ('{"data": 1}', "bad_shape", "data", "a list of rows, not a number"),
        ('{"data": {"0": [1]}}', "bad_shape", "data", "not an object"),
        ('{"data": []}', "empty", "data", "holds no rows"),
        ('{"data": [1, 2]}', "bad_shape", "data[0]", "must be a list of numbers, not a number"),
        ('{"data": [[1, 2], [1]]}', "bad_shape", "data[1]", "has 1 value; this model takes 2"),
        ('{"data": [[1, 2, 3]]}', "bad_shape", "data[0]", "has 3 values; this model takes 2"),
        ('{"data": [[]]}', "bad_shape", "data[0]", "has 0 values; this model takes 2"),
        ('{"data": [[1, "2"]]}', "bad_type", "data[0][1]", "must be a number, not a string"),
        ('{"data": [[1, true]]}', "bad_type", "data[0][1]", "must be a number, not true"),
        ('{"data": [[1, [2]]]}', "bad_type", "data[0][1]", "must be a number, not a list"),
        ('{"data": [[1, null]]}', "missing_value", "data[0][1]", "is null"),
        ('{"data": [{"a": 1, "b": 2}]}', "bad_shape", "data[0]", "not an object"),
    ],
)
def test_an_array_is_refused_in_words(body: str | bytes, code: str, at: str | None, says: str) -> None:
    error = refused(ARRAY, body)
    assert (error.status, error.code, error.at) == (400, code, at)
    assert says in error.message


@pytest.mark.parametrize(
    ("change", "code", "at", "says"),
    [
        ({"age": "old"}, "bad_type", "data[1].age", "must be a number, not a string"),
        ({"age": "1"}, "bad_type", "data[1].age", "must be a number, not a string"),
        ({"visits": 1.5}, "bad_type", "data[1].visits", "whole number"),
        ({"visits": 2**63}, "bad_type", "data[1].visits", "64 bits"),
        ({"visits": None}, "missing_value", "data[1].visits", "is null"),
        ({"member": 1}, "bad_type", "data[1].member", "true or false, not a number"),
        ({"member": None}, "missing_value", "data[1].member", "is null"),
        ({"town": 5}, "bad_type", "data[1].town", "a string, not a number"),
        ({"note": None}, "missing_value", "data[1].note", "is null"),
        ({"age": 10**400}, "out_of_range", "data[1].age", "too large"),
        ({"colour": "red"}, "unknown_columns", "data[1]", '"colour"'),
    ],
)
def test_a_table_is_refused_in_words(change: dict[str, Any], code: str, at: str, says: str) -> None:
    error = refused(TABLE, json.dumps({"data": [ROW, {**ROW, **change}]}))
    assert (error.status, error.code, error.at) == (400, code, at)
    assert says in error.message


def test_missing_columns_are_named_with_the_ones_that_may_be_meant() -> None:
    row = {"Age" if name == "age" else name: value for name, value in ROW.items()}
    error = refused(TABLE, json.dumps({"data": [row]}))
    assert (error.code, error.at) == ("missing_columns", "data[0]")
    assert '"age"' in error.message
    assert '"Age"' in error.message
    assert '"visits"' in error.hint


def test_too_many_rows_are_not_scored() -> None:
    error = refused(ARRAY, json.dumps({"data": [[1, 2]] * 4}))
    assert (error.status, error.code) == (413, "too_many_rows")
    assert "up to 3" in error.message


def test_where_gaps_are_allowed_null_is_one_and_nan_is_still_not_json() -> None:
    assert np.isnan(GAPS.read(b'{"data": [[null, 1]]}').value[0, 0])
    assert refused(GAPS, '{"data": [[NaN, 1]]}').hint == "Write null for a missing value."


def test_rows_by_name_are_put_in_order_and_ignored_columns_make_no_difference() -> None:
    request = NAMED.read(b'{"data": [{"b": 2, "id": "x", "a": 1}, [3, 4]]}')
    assert request.value.tolist() == [[1, 2], [3, 4]]
    assert request.form == NAMED.read(b'{"data": [[1, 2], [3, 4]]}').form
    assert refused(NAMED, '{"data": [{"a": 1, "b": "2"}]}').at == "data[0].b"
    assert refused(NAMED, '{"data": [{"a": 1, "b": null}]}').code == "missing_value"
    assert refused(NAMED, '{"data": [{"a": 1}]}').code == "missing_columns"


def test_a_table_has_the_columns_types() -> None:
    rows = [{**ROW, "age": 1, "visits": 2.0}, {**ROW, "age": None, "town": None, "id": 5}]
    frame = TABLE.read(json.dumps({"data": rows}).encode()).value
    assert [str(dtype) for dtype in frame.dtypes[:3]] == ["float64", "int64", "bool"]
    assert all(pd.api.types.is_string_dtype(frame[name].dropna()) for name in ("town", "note"))
    assert frame.isna().sum().to_dict() == {"age": 1, "visits": 0, "member": 0, "town": 1, "note": 0}


def test_any_width_is_taken_where_none_is_known_but_one_only() -> None:
    assert FREE.read(b'{"data": [[1, 2, 3]]}').value.shape == (1, 3)
    assert refused(FREE, '{"data": [[1, 2], [1]]}').at == "data[1]"
    assert refused(FREE, '{"data": [[]]}').code == "bad_shape"


def test_texts_are_a_list_of_strings() -> None:
    assert TEXTS.read('{"data": ["olá"]}'.encode()).value == ["olá"]
    assert refused(TEXTS, '{"data": ["a", 1]}').at == "data[1]"
    assert refused(TEXTS, '{"data": []}').code == "empty"


@pytest.mark.parametrize(
    ("reader", "body", "masked", "shown"),
    [
        (ARRAY, {"data": [[1, 2]]}, ["1"], [[1.0, "***"]]),
        (NAMED, {"data": [[1, 2]]}, ["a"], [["***", 2.0]]),
        (TABLE, {"data": [ROW]}, ["town", "age"], [{**ROW, "town": "***", "age": "***"}]),
        (TEXTS, {"data": ["a"]}, ["anything"], ["***"]),
    ],
)
def test_masked_fields_do_not_show(reader: Reader, body: Any, masked: list[str], shown: Any) -> None:
    request = reader.read(json.dumps(body).encode())
    assert not reader.unknown(frozenset(masked))
    assert reader.stored(request, frozenset(masked)) == shown


def test_a_field_that_cannot_be_masked_is_known_beforehand() -> None:
    assert ARRAY.unknown(frozenset({"age", "1"})) == {"age"}
    assert TABLE.unknown(frozenset({"age", "salary"})) == {"salary"}


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=3),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from([*ROW, "id"]), inner),
)


@pytest.mark.parametrize("reader", [ARRAY, NAMED, GAPS, FREE, TEXTS, TABLE], ids=lambda r: type(r).__name__)
@given(body=st.binary(max_size=30) | VALUES.map(lambda v: json.dumps({"data": [v, v]}).encode()))
def test_whatever_comes_is_read_or_refused(reader: Reader, body: bytes) -> None:
    try:
        read = bool(reader.read(body).form)
    except ScoringError as error:
        read = error.status == 400
    assert read
