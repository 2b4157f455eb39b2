"""What a database cannot keep is found at any depth, and what only looks like it is left alone."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from deployments.domain.storable import finite, is_storable, mended_json

# Every sign, surrogates and U+0000 included, and many of those that make up escapes.
SIGNS = st.text(st.one_of(st.characters(), st.sampled_from("\0\\u0\ud83d\ude00")))


@given(SIGNS)
def test_a_text_is_storable_when_it_has_neither_nul_nor_half_a_pair(text: str) -> None:
    # JSON makes one sign of two halves that follow each other.
    whole = json.loads(json.dumps(text))
    bad = "\0" in whole or any("\ud800" <= sign <= "\udfff" for sign in whole)
    assert is_storable({"a": [text]}) is is_storable({text: 1}) is not bad
    mended = json.loads(mended_json(json.dumps(text)))
    assert is_storable(mended)
    assert len(mended) == len(whole)
    assert bad or mended == whole


@pytest.mark.parametrize("value", [None, 1.5, [], {"a": [True]}])
def test_what_holds_no_text_is_storable(value: Any) -> None:
    assert is_storable(value)


def test_a_number_that_no_float_holds_is_refused() -> None:
    assert finite("1e308") == 1e308
    with pytest.raises(ValueError, match="too large"):
        finite("-1e309")
