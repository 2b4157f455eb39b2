"""Who asks: a bearer token, or the session of the browser that shows the console's pages."""

from typing import cast

from django.conf import settings
from django.http import HttpRequest
from ninja.security import APIKeyCookie, HttpBearer
from ninja.utils import check_csrf

from deployments.domain.errors import NotAllowed
from deployments.services.access import Actor
from deployments.services.tokens import actor_of_token


class BearerToken(HttpBearer):
    """`Authorization: Bearer TOKEN`, a token made on the page API tokens or by `manage.py create_token`."""

    def authenticate(self, request: HttpRequest, token: str) -> Actor | None:
        return actor_of_token(token)


class BrowserSession(APIKeyCookie):
    """The cookie of a signed-in browser; what changes something needs the CSRF token beside it."""

    param_name = settings.SESSION_COOKIE_NAME

    def __init__(self) -> None:
        super().__init__(csrf=False)

    def authenticate(self, request: HttpRequest, key: str | None) -> Actor | None:
        # A wrong token must not fall back to whoever happens to be signed in.
        if "Authorization" in request.headers or not request.user.is_authenticated:
            return None
        if check_csrf(request) is not None:
            raise NotAllowed(
                "The CSRF token is missing or wrong",
                cause="A browser's session alone does not prove that its user meant this request.",
                action="Send the X-CSRFToken header, or use a bearer token.",
            )
        return Actor(request.user, via="session")


def actor_of(request: HttpRequest) -> Actor:
    """Who the request speaks for; only after one of the above has let it pass."""
    return cast(Actor, request.auth)  # type: ignore[attr-defined]
