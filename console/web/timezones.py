"""Prints times in the reader's own time zone, as the browser named it in a cookie."""

from collections.abc import Callable
from urllib.parse import unquote
from zoneinfo import ZoneInfo, available_timezones

from django.http import HttpRequest, HttpResponse
from django.utils import timezone

COOKIE = "timezone"


def reader_timezone(get_response: Callable[[HttpRequest], HttpResponse]) -> Callable[[HttpRequest], HttpResponse]:
    """Middleware: activates the zone for the request; without a known one, the setting's."""
    known = available_timezones()

    def respond(request: HttpRequest) -> HttpResponse:
        name = unquote(request.COOKIES.get(COOKIE, ""))
        with timezone.override(ZoneInfo(name) if name in known else None):
            return get_response(request)

    return respond
