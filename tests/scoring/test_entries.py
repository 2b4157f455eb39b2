"""What is stored can be read as it stands; what was not stored by us is no entry."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scoring.entries import encode_entry, output_of

VERSION = "ab" * 32


def test_an_entry_describes_itself() -> None:
    entry = json.loads(encode_entry(b"[1, 2.50]", model_version=VERSION, epoch=3, given=b"[[1.0]]"))
    assert entry.pop("at").endswith("Z")
    assert entry == {"output": [1, 2.5], "model_version": VERSION, "epoch": 3, "input": [[1.0]]}
    assert "input" not in json.loads(encode_entry(b"[]", model_version=VERSION, epoch=0))


@given(st.recursive(st.none() | st.integers() | st.text(), lambda inner: st.lists(inner)))
def test_the_output_comes_back_byte_for_byte(value: Any) -> None:
    written = json.dumps(value, indent=1, ensure_ascii=False, default=str).encode("utf-8", "replace")
    entry = encode_entry(written, model_version=VERSION, epoch=0, given=written)
    assert output_of(entry, model_version=VERSION, epoch=0) == written


@pytest.mark.parametrize(
    "stored",
    [
        b"",
        b"null",
        b"[1]",
        b"hello",
        b'{"output":[1]}',
        b'{"output":[1],"model_version":"%b","epoch":0' % VERSION.encode(),
        b'{"output":[1],"model_version":"%b","epoch":1}' % VERSION.encode(),
        b'{"output":[1],"model_version":"cd","epoch":0}',
        b'{"output":[1],"model_version":1,"epoch":0}',
        b'{"output":["\xff"],"model_version":"%b","epoch":0}' % VERSION.encode(),
        b'{"output":NaN,"model_version":"%b","epoch":0}' % VERSION.encode(),
        b"[" * 100_000,
        b'{"output":' + b"[" * 100_000,
        b"\x80\x04\x95pickle",
        7,
        [b"a"],
    ],
)
def test_anything_else_is_no_entry(stored: Any) -> None:
    assert output_of(stored, model_version=VERSION, epoch=0) is None


@given(st.binary())
def test_any_bytes_are_at_worst_no_entry(stored: bytes) -> None:
    assert output_of(stored, model_version=VERSION, epoch=0) is None
