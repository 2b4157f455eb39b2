"""Errors meant for people: each kind with its own code and a status, details that read back."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from deployments.domain import errors
from deployments.domain.errors import ConsoleError, ErrorDetail, SpecInvalid

KINDS = [
    kind for kind in vars(errors).values() if isinstance(kind, type) and issubclass(kind, ConsoleError)
]  # fmt: skip

details = st.builds(
    ErrorDetail,
    code=st.text(),
    message=st.text(),
    cause=st.text(),
    action=st.text(),
    raw=st.text(),
    fix=st.dictionaries(st.text(), st.text()),
)


@given(details)
def test_a_detail_reads_back(detail: ErrorDetail) -> None:
    assert ErrorDetail.from_dict(detail.as_dict()) == detail


def test_a_detail_of_an_older_console_reads() -> None:
    assert ErrorDetail.from_dict({"code": "x", "message": None, "fix": "?"}) == ErrorDetail("x", "")


def test_each_kind_has_a_code_of_its_own_and_a_status() -> None:
    codes = [kind.code for kind in KINDS]
    assert len(codes) == len(set(codes))
    assert all(400 <= kind.status < 600 for kind in KINDS)


def test_an_error_carries_what_a_person_needs() -> None:
    error = ConsoleError("It is full", cause="The disk.", action="Free some.", field="model", fix={"add": "x"})
    assert str(error) == "It is full"
    assert error.detail == ErrorDetail("error", "It is full", "The disk.", "Free some.", fix={"add": "x"})
    assert error.field == "model"


@pytest.mark.parametrize("path", ["", "model.artifact"])
def test_a_wrong_spec_is_told_with_its_paths(path: str) -> None:
    error = SpecInvalid([(path, "is wrong"), ("tags", "are too many")])
    assert str(error) == f"{path}: is wrong; tags: are too many".removeprefix(": ")
    assert (error.field, error.status) == (path, 422)
