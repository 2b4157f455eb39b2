"""Equal inputs have one key, however they are written; different inputs have different ones."""

from __future__ import annotations

import json
import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from scoring import keys
from scoring.inputs import ArrayReader, TableReader
from scoring.manifest import Column, Input

FINITE = st.floats(allow_nan=False, allow_infinity=False)
ROWS = st.integers(1, 4).flatmap(lambda width: st.lists(st.lists(FINITE, min_size=width, max_size=width), min_size=1))
ARRAY = ArrayReader(Input(features=None), 10_000)
COLUMNS = (
    Column("age", "float64"),
    Column("visits", "int64"),
    Column("member", "bool"),
    Column("town", "string"),
)
TABLE = TableReader(Input(kind="table", columns=COLUMNS, missing="allow"), 10_000)
RECORD = st.fixed_dictionaries(
    {
        "age": FINITE | st.none(),
        "visits": st.integers(-(2**63), 2**63 - 1),
        "member": st.booleans(),
        "town": st.text() | st.none(),
    }
)


def spelled(number: float, style: int) -> str:
    """The number as different writers would put it; every style reads back as the same float64."""
    if style == 0:
        return repr(number)
    if style == 1:
        return f"{number:.17e}"
    if style == 2 and number.is_integer():
        return str(int(number)) if number else "-0"
    return f"{number:.25g}".replace("e+", "E")


def array_key(rows: str) -> bytes:
    return ARRAY.read(b'{"data":' + rows.encode() + b"}").form


def table_key(rows: Any) -> bytes:
    return TABLE.read(json.dumps({"data": rows}).encode()).form


@given(ROWS, st.data())
def test_the_same_numbers_have_the_same_key(rows: list[list[float]], data: st.DataObject) -> None:
    spellings = [[spelled(cell, data.draw(st.integers(0, 3))) for cell in row] for row in rows]
    written = "[" + " , ".join("[" + ",\n".join(row) + "]" for row in spellings) + "]"
    assert array_key(written) == array_key(json.dumps(rows))


@given(ROWS, ROWS)
def test_different_numbers_have_different_keys(one: list[list[float]], other: list[list[float]]) -> None:
    same = np.shape(one) == np.shape(other) and np.array_equal(one, other)
    assert (array_key(json.dumps(one)) == array_key(json.dumps(other))) == same


@pytest.mark.parametrize("written", ["1", "1.0", "1e0", "10e-1", "0.1E1", "1.00000000000000000001"])
def test_one_is_one(written: str) -> None:
    assert array_key(f"[[{written}]]") == array_key("[[1]]")


def test_the_sign_of_zero_is_not_seen_by_key_or_model() -> None:
    read = ARRAY.read(b'{"data":[[-0.0]]}')
    assert read.form == array_key("[[0]]")
    assert math.copysign(1, read.value[0, 0]) == 1


def test_the_shape_is_part_of_the_key() -> None:
    assert len({array_key("[[1,2,3,4]]"), array_key("[[1,2],[3,4]]"), array_key("[[1],[2],[3],[4]]")}) == 3


@given(st.lists(RECORD, min_size=1, max_size=4), st.randoms())
def test_the_order_of_a_rows_columns_makes_no_difference(rows: list[dict[str, Any]], random: Any) -> None:
    mixed = [dict(random.sample(list(row.items()), len(row))) for row in rows]
    listed = [[row[column.name] for column in COLUMNS] for row in rows]
    assert table_key(rows) == table_key(mixed) == table_key(listed)


@given(st.lists(RECORD, min_size=1, max_size=3), st.lists(RECORD, min_size=1, max_size=3))
def test_different_tables_have_different_keys(one: list[dict[str, Any]], other: list[dict[str, Any]]) -> None:
    assert (table_key(one) == table_key(other)) == (one == other)


def test_a_whole_number_is_the_same_in_every_spelling() -> None:
    row = {"age": 1, "visits": 2, "member": True, "town": "1"}
    assert table_key([row]) == table_key([{**row, "age": 1.0, "visits": 2.0}])


@given(st.lists(st.text(), min_size=1), st.lists(st.text(), min_size=1))
def test_texts_do_not_run_into_each_other(one: list[str], other: list[str]) -> None:
    assert (keys.texts_form(one) == keys.texts_form(other)) == (one == other)


def test_a_digest_is_plain_or_needs_the_secret() -> None:
    plain, keyed, other = (keys.digester(secret) for secret in (b"", b"secret", b"other"))
    form = keys.texts_form(["a"])
    assert len({plain(form), keyed(form), other(form)}) == 3
    assert plain(form) == plain(keys.texts_form(["a"]))
    assert {len(digest(form)) for digest in (plain, keyed)} == {keys.DIGEST_HEX}


def test_a_row_and_a_request_that_holds_it_alone_stay_apart() -> None:
    form = array_key("[[1]]")
    assert keys.row_form(form) != form


def test_a_data_epoch_moves_the_key_space() -> None:
    version = "0123456789abcdef" * 4
    assert keys.key_space("iris", version, 0) == "iris:0123456789abcdef"
    assert keys.key_space("iris", version, 7) == "iris:0123456789abcdef-e7"
