"""JSON, CSV and npy of equal rows become one request, and what is none of them is refused by name."""

from __future__ import annotations

import io
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from scoring.contents import body_of, form_of
from scoring.errors import ScoringError
from scoring.inputs import Request, reader_for
from scoring.manifest import Column, Input, Limits

LIMITS = Limits(max_rows=100)
ARRAY = Input(features=2)
GAPS = Input(features=2, missing="allow")
NAMED = Input(features=2, columns=(Column("a", "float64"), Column("b", "float64")), ignored=("id",))
TEXTS = Input(features=1, dtype="string", parameter="text")
TABLE = Input(
    kind="table",
    columns=(
        Column("age", "float64"),
        Column("visits", "int64"),
        Column("member", "bool"),
        Column("town", "string"),
    ),
    missing="allow",
)


def read(content: bytes, schema: Input, **told: str) -> Request:
    return reader_for(schema, LIMITS).read(body_of(content, schema, **told))


def npy(rows: Any, *, pickled: bool = False) -> bytes:
    file = io.BytesIO()
    np.save(file, rows, allow_pickle=pickled)
    return file.getvalue()


@pytest.mark.parametrize(
    ("content", "content_type", "name", "form"),
    [
        (b"1,2", "application/json; charset=utf-8", "rows.csv", "json"),
        (b"1,2", "application/vnd.rows+json", "", "json"),
        (b"[1]", "text/csv", "", "csv"),
        (b"[1]", "application/octet-stream", "in/ROWS.NPY", "npy"),
        (b"[1]", "", "in/rows.csv", "csv"),
        (b"\x93NUMPY...", "", "in/rows", "npy"),
        (b"\xef\xbb\xbf \n[[1]]", "", "", "json"),
        (b'{"data": 1}', "", "rows.txt", "json"),
        (b"a,b\n1,2", "", "", "csv"),
        (b"", "", "", "csv"),
    ],
)
def test_a_form_is_told_by_type_then_name_then_bytes(content: bytes, content_type: str, name: str, form: str) -> None:
    assert form_of(content, content_type=content_type, name=name) == form


@given(st.lists(st.lists(st.floats(allow_nan=False, allow_infinity=False), min_size=2, max_size=2), min_size=1))
def test_equal_rows_meet_in_one_entry_whatever_their_form(rows: list[list[float]]) -> None:
    lines = "\r\n".join(",".join(map(repr, row)) for row in rows)
    contents = [
        ("{" + f'"data": {rows}' + "}").encode(),
        f" {rows}".encode(),
        lines.encode(),
        f"first,second\n{lines}\n".encode("utf-8-sig"),
        npy(np.array(rows)),
        npy(np.asfortranarray(rows)),
    ]
    assert len({read(content, ARRAY).form for content in contents}) == 1


def test_missing_values_meet_too() -> None:
    contents = [b"[[null, 1]]", b",1", b"NaN,1\n", npy(np.array([[np.nan, 1]])), npy(np.array([np.nan, 1], dtype="f4"))]
    assert len({read(content, GAPS).form for content in contents}) == 1
    with pytest.raises(ScoringError, match="null"):
        read(b",1", ARRAY)


def test_columns_are_told_by_their_names_in_any_order() -> None:
    assert read(b"b,a\n2,1", NAMED).value.tolist() == [[1, 2]]
    assert read(b"id,b,a\n7,2,1", NAMED).value.tolist() == [[1, 2]]
    assert read(b"1,2", NAMED).value.tolist() == [[1, 2]]
    records = np.array([(2, 1)], dtype=[("b", "i4"), ("a", "f4")])
    assert read(npy(records), NAMED).value.tolist() == [[1, 2]]
    with pytest.raises(ScoringError) as refused:
        read(b"a,c\n1,2", NAMED)
    assert refused.value.at == "line 1, column 1"


def test_a_table_gets_every_column_in_its_own_type() -> None:
    contents = [
        b'[{"age": 1.5, "visits": 2, "member": true, "town": "Ponte, Lima"}]',
        b'1.5,2,true,"Ponte, Lima"',
        b'town,member,visits,age\n"Ponte, Lima",1,2.0,1.5\n',
        npy(
            np.array(
                (1.5, 2, True, "Ponte, Lima"), dtype=[("age", "f8"), ("visits", "i8"), ("member", "?"), ("town", "U20")]
            )
        ),
    ]
    requests = [read(content, TABLE) for content in contents]
    assert len({request.form for request in requests}) == 1
    assert read(b",2,false,", TABLE).value.isna().to_numpy().tolist() == [[True, False, False, True]]


def test_numbers_alone_can_fill_a_table() -> None:
    schema = Input(kind="table", columns=(Column("n", "int64"), Column("yes", "bool"), Column("x", "float64")))
    assert read(npy(np.array([[1, 0, 2.5]])), schema).form == read(b"1,false,2.5", schema).form


def test_texts_come_one_a_row() -> None:
    wanted = read(b'["good, really", "bad"]', TEXTS).form
    assert read(b'"good, really"\nbad', TEXTS).form == wanted
    assert read(b'text\n"good, really"\nbad', TEXTS).form == wanted
    assert read(npy(np.array(["good, really", "bad"])), TEXTS).form == wanted
    with pytest.raises(ScoringError, match="one text"):
        read(b"good, really", TEXTS)


class Opened:
    """Says so when it is unpickled."""

    def __reduce__(self) -> tuple[Any, tuple[str]]:
        return exec, ("raise SystemExit('opened')",)


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (b"", "no row"),
        (b"a,b\n", "no row"),
        (b"1,2\n3,x", "“x” is not a finite number"),
        (b"1,inf", "“inf” is not"),
        (b"1_0,2", "“1_0” is not"),
        (b"1,\xff", "not UTF-8"),
        (b'1,"2', "cannot be read"),
        (b"[[1, 2]", "JSON"),
        (b'[[1, 2]], "data": [[3, 4]', "JSON"),
        (b"[[1, 2, 3]]", "3"),
        (b"1,2,3", "3"),
        (b"\x93NUMPY", "cannot be read"),
        (npy(np.ones((2, 2)))[:-1], "another number of bytes"),
        (npy(np.ones((1, 2))).replace(b"(1, 2), ", b"(10000000000000, 2), ")[:999], "cannot be read"),
        (npy(np.array([Opened()], dtype=object), pickled=True), "pickled"),
        (npy(np.ones((1, 1, 2))), "3 dimensions"),
        (npy(np.array([[1j, 2]])), "complex"),
        (npy(np.array([[np.inf, 2]])), "infinite"),
        (npy(np.array(["a", "b"])), "data"),
    ],
)
def test_what_cannot_be_read_is_refused_with_a_reason(content: bytes, told: str) -> None:
    with pytest.raises(ScoringError) as refused:
        read(content, ARRAY)
    assert refused.value.status == 400
    assert told in f"{refused.value.message} {refused.value.at}"
    assert refused.value.hint
