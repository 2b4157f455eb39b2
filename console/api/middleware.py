"""Answers below /api/ in the API's own words where Django answers before or instead of an endpoint."""

from http import HTTPStatus

from django.http import HttpRequest, HttpResponse

from console.api.problems import CONTENT_TYPE, problem
from console.api.request_ids import GetResponse

PREFIX = "/api/"

# They tell the same to everybody; all else may hold inputs, and belongs to whoever asked.
_DOCUMENTS = ("/api/v1/openapi.json", "/api/v1/docs")

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
    """Replace Django's HTML and plain-text errors below /api/ by problem details, whose Allow is kept.

    No browser or proxy may keep an answer of the API, but for its documents.
    """

    def answer(request: HttpRequest) -> HttpResponse:
        response = told(request)
        if request.path.startswith(PREFIX) and request.path not in _DOCUMENTS:
            response.headers.setdefault("Cache-Control", "no-store")
        return response

    def told(request: HttpRequest) -> HttpResponse:
        response = get_response(request)
        words = _WORDS.get(HTTPStatus(response.status_code))
        if not request.path.startswith(PREFIX) or words is None or _is_ours(response):
            return response
        detail, code, action = words
        allow = response.headers.get("Allow", "")
        mended = problem(
            response.status_code,
            detail.format(method=request.method),
            code=code,
            action=action.format(allow=allow),
        )
        if allow:
            mended["Allow"] = allow
        return mended

    return answer


def _is_ours(response: HttpResponse) -> bool:
    return response.headers.get("Content-Type", "").startswith((CONTENT_TYPE, "application/json"))
