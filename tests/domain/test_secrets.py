"""References to secrets: three forms and no other, and only what the environment lists."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from deployments.domain.errors import SecretUnavailable
from deployments.domain.secrets import check_ref_allowed, parse_ref
from tests.domain.specs import secret_refs


@pytest.mark.parametrize(
    ("text", "parsed"),
    [
        ("env:SCORING_SECRET_INDEX", ("env", "", "SCORING_SECRET_INDEX")),
        ("keyvault:my-vault/index-token", ("keyvault", "my-vault", "index-token")),
        ("output:cache/password", ("output", "cache", "password")),
    ],
)
def test_the_three_forms(text: str, parsed: tuple[str, str, str]) -> None:
    assert parse_ref(text) == parsed


@given(secret_refs)
def test_a_reference_is_all_of_its_parts(text: str) -> None:
    kind, place, name = parse_ref(text)
    assert text == (f"env:{name}" if kind == "env" else f"{kind}:{place}/{name}")


@pytest.mark.parametrize(
    "text",
    [
        "",
        "hunter2",
        "env:PATH",
        "env:SECRET_KEY",
        "env:SCORING_SECRET_",
        "env:SCORING_SECRET_a",
        "env:SCORING_SECRET_A\n",
        " env:SCORING_SECRET_A",
        "ENV:SCORING_SECRET_A",
        "keyvault:vault",
        "keyvault:vault/a/b",
        "keyvault:vault/../x",
        "keyvault:v.example.org/x",
        "keyvault:my-vault/name\n",
        "output:cache",
        "output:cache/password\n",
        "output:../x/password",
        "file:/etc/passwd",
    ],
)
def test_nothing_else_is_a_reference(text: str) -> None:
    with pytest.raises(ValueError, match="write a reference, never the secret itself"):
        parse_ref(text)


def test_what_was_written_instead_is_not_told_on() -> None:
    with pytest.raises(ValueError, match="reference") as caught:
        parse_ref("hunter2")
    assert "hunter2" not in str(caught.value)


@given(st.text())
def test_any_text_is_a_reference_or_refused(text: str) -> None:
    try:
        parse_ref(text)
    except ValueError:
        return
    assert text.startswith(("env:SCORING_SECRET_", "keyvault:", "output:"))


@pytest.mark.parametrize(
    ("ref", "allowed"),
    [
        ("env:SCORING_SECRET_MINE", True),
        ("env:SCORING_SECRET_THEIRS", False),
        ("env:SCORING_SECRET_MINE_TOO", False),
        ("keyvault:mine/anything", True),
        ("keyvault:theirs/anything", False),
        ("output:cache/password", True),
    ],
)
def test_only_what_the_environment_lists(ref: str, *, allowed: bool) -> None:
    lists = {"allowed_env": ("SCORING_SECRET_MINE",), "allowed_vaults": ("mine",)}
    if allowed:
        check_ref_allowed(ref, **lists)
        return
    with pytest.raises(SecretUnavailable) as caught:
        check_ref_allowed(ref, **lists)
    assert caught.value.detail.cause
    assert "administrator" in caught.value.detail.action
