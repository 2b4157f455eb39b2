"""Errors as RFC 9457 problem details: one shape for every refusal and failure of the API."""

import logging
from collections.abc import Sequence
from http import HTTPStatus
from typing import Any

from django.core.exceptions import RequestDataTooBig
from django.http import HttpRequest, HttpResponse, JsonResponse
from ninja import Schema
from ninja.errors import AuthenticationError, HttpError, ValidationError
from pydantic import Field

from console.api.request_ids import current_request_id
from deployments.domain.errors import ConsoleError, SpecInvalid, TryAgainLater
from deployments.domain.spec import problem_of

log = logging.getLogger(__name__)

CONTENT_TYPE = "application/problem+json"
# Where in the request ninja found a fault; the field's own path follows it.
_SOURCES = {"body", "query", "path", "header", "form", "file"}


class FieldProblem(Schema):
    """One field at fault."""

    field: str = Field(description="dotted path, as in `runtime.requirements.0`")
    message: str


class Problem(Schema):
    """What went wrong, the likely cause and the next action."""

    type: str = Field(examples=["urn:scoring-console:problem:not_allowed"])
    title: str = Field(examples=["Forbidden"])
    status: int = Field(examples=[403])
    detail: str = Field(examples=["This needs the role deployer in prod; yours is viewer."])
    code: str = Field(description="stable, for programs", examples=["not_allowed"])
    field: str = Field("", description="path of the field at fault, if one is")
    cause: str = ""
    action: str = Field("", examples=["Ask an administrator of prod for the role."])
    problems: list[FieldProblem] = Field([], description="every field at fault")
    request_id: str = Field(description="also in the X-Request-ID header and in the console's log")


def problem(
    status: int,
    detail: str,
    *,
    code: str,
    field: str = "",
    cause: str = "",
    action: str = "",
    problems: Sequence[tuple[str, str]] = (),
) -> HttpResponse:
    """A response of that status; `problems` holds `(path, sentence)` pairs."""
    body: dict[str, Any] = {
        "type": f"urn:scoring-console:problem:{code}",
        "title": HTTPStatus(status).phrase,
        "status": status,
        "detail": detail,
        "code": code,
        "field": field,
        "cause": cause,
        "action": action,
        "problems": [{"field": path, "message": sentence} for path, sentence in problems],
        "request_id": current_request_id(),
    }
    return JsonResponse(body, status=status, content_type=CONTENT_TYPE)


def from_console_error(request: HttpRequest, error: ConsoleError) -> HttpResponse:
    """An error that was raised on purpose."""
    told = error.detail
    response = problem(
        error.status,
        told.message,
        code=told.code,
        field=error.field,
        cause=told.cause,
        action=told.action,
        problems=error.problems if isinstance(error, SpecInvalid) else (),
    )
    if isinstance(error, TryAgainLater):
        response["Retry-After"] = str(max(1, round(error.seconds)))
    return response


def from_validation_error(request: HttpRequest, error: ValidationError) -> HttpResponse:
    """Parameters or a body that do not fit their schema."""
    faults = [_fault(item) for item in error.errors]
    return problem(
        HTTPStatus.UNPROCESSABLE_ENTITY,
        "; ".join(f"{path}: {sentence}" if path else sentence for path, sentence in faults),
        code="invalid",
        field=faults[0][0],
        action="Correct the named fields and send it again.",
        problems=faults,
    )


def from_http_error(request: HttpRequest, error: HttpError) -> HttpResponse:
    """What ninja itself refuses: no or wrong credentials, a body that cannot be read."""
    if isinstance(error, AuthenticationError):
        return unauthenticated()
    cause = error.__cause__
    if isinstance(cause, ConsoleError):
        return from_console_error(request, cause)
    if error.status_code != HTTPStatus.BAD_REQUEST:
        return problem(error.status_code, str(error), code="refused", action="Check the request and send it again.")
    return problem(
        error.status_code,
        "The body is not JSON",
        code="bad_request",
        cause=str(cause or ""),
        action="Send JSON in UTF-8 with the header Content-Type: application/json.",
    )


def from_unreadable(request: HttpRequest, error: Exception) -> HttpResponse:
    """A body that Django itself gives up on: too large, or multipart that is cut off or malformed."""
    if isinstance(error, RequestDataTooBig):
        return problem(
            HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
            "The body is larger than the console holds in memory",
            code="too_large",
            action="Send less at once; a model goes to POST /artifacts as multipart/form-data.",
        )
    return problem(
        HTTPStatus.BAD_REQUEST,
        "The body could not be read",
        code="bad_request",
        cause=str(error),
        action="Send it again; a file goes as multipart/form-data with its boundary.",
    )


def from_failure(request: HttpRequest, error: Exception) -> HttpResponse:
    """A fault of ours: the log has the trace, the answer has the id to find it by."""
    log.exception("%s %s failed", request.method, request.path, exc_info=error)
    return problem(
        HTTPStatus.INTERNAL_SERVER_ERROR,
        "The console failed to answer",
        code="internal",
        cause="This is a fault of the console, not of the request.",
        action=f"Give the request id {current_request_id()} to who runs the console: its log says more.",
    )


def unauthenticated() -> HttpResponse:
    response = problem(
        HTTPStatus.UNAUTHORIZED,
        "This needs a valid token",
        code="unauthenticated",
        cause="There is no Authorization header, or its token is unknown, expired or revoked.",
        action="Send Authorization: Bearer TOKEN. The page API tokens makes one.",
    )
    response["WWW-Authenticate"] = 'Bearer realm="scoring console"'
    return response


def _fault(item: Any) -> tuple[str, str]:
    location = _path(item["loc"])
    if not location and item["type"] == "missing":
        return "", "the body is missing; send a JSON object"
    return problem_of({**item, "loc": location})


def _path(location: Sequence[str | int]) -> tuple[str | int, ...]:
    """A field's path without where in the request it was and the name of the function's argument."""
    parts = tuple(location)
    if parts and parts[0] in _SOURCES:
        parts = parts[2:] if parts[0] == "body" and len(parts) > 1 else parts[1:]
    return parts
