"""A request id for every request: in the answer's header, in problem details, and in every line of the log."""

import logging
import re
import secrets
from collections.abc import Callable
from contextvars import ContextVar

from django.http import HttpRequest, HttpResponse

HEADER = "X-Request-ID"
_CLEAN = re.compile(r"^[A-Za-z0-9._-]{8,64}$")
_current: ContextVar[str] = ContextVar("request_id", default="-")

GetResponse = Callable[[HttpRequest], HttpResponse]


def current_request_id() -> str:
    """The id of the request that is being answered; "-" outside of one."""
    return _current.get()


def request_id_middleware(get_response: GetResponse) -> GetResponse:
    """Take the id that a proxy gave, if it is a harmless one, or make one."""

    def answer(request: HttpRequest) -> HttpResponse:
        given = request.headers.get(HEADER, "")
        token = _current.set(given if _CLEAN.match(given) else secrets.token_hex(8))
        request.request_id = current_request_id()  # type: ignore[attr-defined]
        try:
            response = get_response(request)
            response[HEADER] = current_request_id()
            return response
        finally:
            _current.reset(token)

    return answer


class RequestIdFilter(logging.Filter):
    """Gives every record its `request_id`, for the log's format."""

    def filter(self, record: logging.LogRecord) -> bool:
        # Django tells of refused requests when every middleware is through already; the request is in the record.
        record.request_id = getattr(getattr(record, "request", None), "request_id", current_request_id())
        return True
