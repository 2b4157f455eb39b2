"""How much of a request's body is let in, decided by its headers alone: before anything reads it, or spools it to disk.

Django parses a form in order to look for the CSRF token, long before a view asks for a sign-in.
"""

from http import HTTPStatus

from django.conf import settings
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.urls import Resolver404, resolve
from django.utils.translation import gettext as _
from django.utils.translation import gettext_noop

from console.api.artifacts import FORM_OVERHEAD
from console.api.auth import BearerToken
from console.api.middleware import PREFIX
from console.api.problems import problem
from console.api.request_ids import GetResponse
from deployments.services.access import Actor, Verb, may

UPLOADS = frozenset({"api:upload", "web:wizard_new", "web:wizard_step"})


def body_limit_middleware(get_response: GetResponse) -> GetResponse:
    """Refuse with 413 a body that is too large for its address and sender, and with 411 one of unknown length.

    Up to DATA_UPLOAD_MAX_MEMORY_SIZE anything goes; up to MAX_ARTIFACT_BYTES what who may upload sends to where
    uploads go. Needs `request.user`.
    """

    def answer(request: HttpRequest) -> HttpResponse:
        if "Transfer-Encoding" in request.headers:
            # WSGI tells no length of it, and Django would take the body for an empty one.
            return _refused(
                request,
                HTTPStatus.LENGTH_REQUIRED,
                gettext_noop("The request does not tell the length of its body."),
                gettext_noop(
                    "Send a Content-Length and no Transfer-Encoding; a proxy in between has to buffer the request."
                ),
                code="length_required",
            )
        length = _length(request)
        if length > settings.DATA_UPLOAD_MAX_MEMORY_SIZE and length > _limit(request):
            return _refused(
                request,
                HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
                gettext_noop("The request is larger than what is taken here."),
                gettext_noop(
                    "Send less at once; a large file is taken from who is signed in and may deploy, one at a time."
                ),
                code="too_large",
            )
        return get_response(request)

    return answer


def _length(request: HttpRequest) -> int:
    try:
        return int(request.META.get("CONTENT_LENGTH") or 0)
    except ValueError:
        return 0  # as Django reads it: no body


def _limit(request: HttpRequest) -> int:
    try:
        name = resolve(request.path_info).view_name
    except Resolver404:
        return 0
    actor = _actor(request)
    if name not in UPLOADS or actor is None or not may(actor, Verb.UPLOAD):
        return 0
    return int(settings.MAX_ARTIFACT_BYTES) + FORM_OVERHEAD


def _actor(request: HttpRequest) -> Actor | None:
    # As in the API, a wrong token does not fall back to whoever happens to be signed in.
    if "Authorization" in request.headers:
        return BearerToken()(request)
    return Actor(request.user) if request.user.is_authenticated else None


def _refused(request: HttpRequest, status: HTTPStatus, sentence: str, action: str, *, code: str) -> HttpResponse:
    if request.path.startswith(PREFIX):
        return problem(status, sentence, code=code, action=action)
    return render(request, "refused.html", {"sentence": _(sentence), "action": _(action)}, status=status)
