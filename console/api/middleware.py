"""Answers below /api/ in the API's own words where Django answers before or instead of an endpoint."""

from http import HTTPStatus

from django.http import HttpRequest, HttpResponse

from console.api.problems import CONTENT_TYPE, problem
from console.api.request_ids import GetResponse

PREFIX = "/api/"

_WORDS = {
    HTTPStatus.NOT_FOUND: (
        "There is no such address in the API",
        "not_found",
        "GET /api/v1/openapi.json lists every address.",
    ),
    HTTPStatus.METHOD_NOT_ALLOWED: (
        "This address does not take the method {method}",
        "method_not_allowed",
        "Use one of {allow}.",
    ),
    HTTPStatus.BAD_REQUEST: (
        "The request could not be read",
        "bad_request",
        "Check the Host header, the Content-Type and the encoding of the body.",
    ),
}


def problem_middleware(get_response: GetResponse) -> GetResponse:
    """Replace Django's HTML and plain-text errors below /api/ by problem details; headers are kept."""

    def answer(request: HttpRequest) -> HttpResponse:
        response = get_response(request)
        words = _WORDS.get(HTTPStatus(response.status_code))
        if not request.path.startswith(PREFIX) or words is None or _is_ours(response):
            return response
        detail, code, action = words
        allow = response.headers.get("Allow", "")
        told = problem(
            response.status_code,
            detail.format(method=request.method),
            code=code,
            action=action.format(allow=allow),
        )
        if allow:
            told["Allow"] = allow
        return told

    return answer


def _is_ours(response: HttpResponse) -> bool:
    return response.headers.get("Content-Type", "").startswith((CONTENT_TYPE, "application/json"))
