"""Errors: one shape wherever they arise, with an id that the log has too."""

import logging

import pytest
from django.test import Client

from console.api.request_ids import RequestIdFilter
from tests.api.conftest import Api

MEMBERS = {
    "type", "title", "status", "detail", "code", "field", "cause", "action", "problems", "request_id",
}  # fmt: skip


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/nothing", 404),
        ("GET", "/deployments/nothing", 404),
        ("GET", "/deployments/no slug", 404),
        ("GET", "/runs/999999999999999999999999", 404),
        ("GET", "/runs/x", 404),
        ("PATCH", "/deployments", 405),
        ("POST", "/deployments", 422),
        ("GET", "/deployments?page=0", 422),
    ],
)
def test_every_error_is_a_problem(api: Api, method: str, path: str, status: int) -> None:
    answer = api(method, path)
    assert (answer.status_code, answer["Content-Type"]) == (status, "application/problem+json")
    told = answer.json()
    assert set(told) == MEMBERS
    assert (told["status"], told["request_id"]) == (status, answer["X-Request-ID"])
    assert told["detail"]
    assert told["action"]


def test_no_answer_but_a_document_may_be_kept_by_anybody(api: Api) -> None:
    for path in ("/deployments", "/nothing", "/deployments/nothing", "/runs/x", "/healthz"):
        assert "no-store" in api("GET", path)["Cache-Control"]
    assert "no-store" in api("PATCH", "/deployments")["Cache-Control"]
    assert "Cache-Control" not in api("GET", "/openapi.json")


def test_another_method_names_those_that_are_taken(api: Api) -> None:
    assert set(api("PATCH", "/deployments")["Allow"].split(", ")) == {"GET", "POST"}


@pytest.mark.parametrize(
    "body", [b"{", b"\xff", b'{"a": NaN}', b'{"a": 1e999}', b'{"a": "\\u0000"}', b'{"a": "\\ud800"}', b"[" * 100_000]
)
def test_what_is_not_json_is_refused(api: Api, body: bytes) -> None:
    answer = Client().post(
        "/api/v1/deployments",
        body,
        content_type="application/json",
        headers={"Authorization": f"Bearer {api.token}"},
    )
    assert answer.status_code == 400, answer.content
    assert answer.json()["code"] in {"bad_request", "error"}


def test_a_form_that_is_cut_off_is_refused(api: Api) -> None:
    answer = Client().generic(
        "POST",
        "/api/v1/artifacts",
        b"--part",
        content_type="multipart/form-data",
        headers={"Authorization": f"Bearer {api.token}"},
    )
    assert (answer.status_code, answer.json()["code"]) == (400, "bad_request")


def test_text_that_only_looks_like_an_escape_is_taken(api: Api) -> None:
    refused = api("POST", "/deployments", {"name": "\\u0000 \U0001f600"})
    assert refused.status_code == 422


def test_a_body_that_is_too_large_is_refused(api: Api, settings: object) -> None:
    settings.DATA_UPLOAD_MAX_MEMORY_SIZE = 1_000  # type: ignore[attr-defined]
    assert api("POST", "/deployments", {"name": "x" * 2_000}).status_code == 413


def test_a_request_id_is_taken_over_only_when_harmless(api: Api) -> None:
    assert api("GET", "/deployments", X_Request_ID="proxy-12345678")["X-Request-ID"] == "proxy-12345678"
    for bad in ("short", "with spaces in it", "x" * 100):
        assert api("GET", "/deployments", X_Request_ID=bad)["X-Request-ID"] != bad


def test_the_log_has_the_request_id(api: Api, caplog: pytest.LogCaptureFixture) -> None:
    caplog.handler.addFilter(RequestIdFilter())
    with caplog.at_level(logging.WARNING):
        api("GET", "/deployments/nothing", X_Request_ID="proxy-12345678")
    assert {getattr(record, "request_id", None) for record in caplog.records} == {"proxy-12345678"}
