"""The redactor: a known secret survives in no form, and other text is left as it is."""

import base64
from urllib.parse import quote, quote_plus

import pytest
from hypothesis import given
from hypothesis import strategies as st

from deployments.domain.redactor import MASK, Redactor

secrets = st.text(st.characters(min_codepoint=33, max_codepoint=0x2FFF, exclude_categories=["C", "Z"]), min_size=6)
around = st.text(max_size=30)
other = st.text("xyz .:\n", max_size=200)


def decodes_to(text: str, wanted: bytes) -> bool:
    """Whether any stretch of the text is base64 of something that holds the wanted bytes."""
    for piece in text.replace("-", "+").replace("_", "/").split(MASK):
        for start in range(4):
            clean = piece[start:].rstrip("=")
            if wanted in base64.b64decode(clean[: len(clean) // 4 * 4] or "", validate=False):
                return True
    return False


@given(around, secrets, around)
def test_in_plain(before: str, secret: str, after: str) -> None:
    told = Redactor([secret])(before + secret + after)
    assert MASK in told
    assert secret not in told


@given(around, secrets, around)
def test_url_encoded(before: str, secret: str, after: str) -> None:
    redact = Redactor([secret])
    for encode in (quote, quote_plus, lambda text: quote(text, safe="")):
        told = redact(f"{before}?token={encode(secret)}&{after}")
        assert MASK in told
        assert encode(secret) not in told


@given(st.binary(max_size=30), secrets, st.binary(max_size=30))
def test_base64_at_any_alignment(before: bytes, secret: str, after: bytes) -> None:
    redact = Redactor([secret])
    for encode in (base64.b64encode, base64.urlsafe_b64encode):
        told = redact(encode(before + secret.encode() + after).decode())
        assert MASK in told
        assert not decodes_to(told, secret.encode())


@given(st.lists(secrets, min_size=1, max_size=4), around)
def test_of_several_none_survives_even_where_one_holds_another(values: list[str], between: str) -> None:
    told = Redactor(values)(between.join(values))
    assert not [value for value in values if value in told.replace(MASK, "\0")]


@given(st.text("0123456789abcdef", min_size=16, max_size=64), other)
def test_text_without_it_is_unchanged(secret: str, text: str) -> None:
    assert Redactor([secret])(text) == text


@given(st.text())
def test_without_secrets_nothing_changes(text: str) -> None:
    assert Redactor([])(text) == text


@pytest.mark.parametrize("value", ["", "a", "abc", "   ", "\n"])
def test_a_value_too_short_to_be_a_secret_masks_nothing(value: str) -> None:
    assert Redactor([value])("a abc b   c\nd") == "a abc b   c\nd"


def test_each_line_of_a_value_is_a_secret() -> None:
    told = Redactor(["-----BEGIN-----\nMIIEvQIBADAN\n-----END-----\n"])("read MIIEvQIBADAN from the file")
    assert told == f"read {MASK} from the file"
