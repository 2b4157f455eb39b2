"""What every page shares: sign-in and actor, refusals told as pages, and how a list is cut into pages."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import wraps
from typing import Any, Concatenate, ParamSpec

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.core.paginator import Page, Paginator
from django.db.models import QuerySet
from django.http import Http404, HttpRequest
from django.http.response import HttpResponseBase
from django.shortcuts import render

from deployments.domain.errors import ConsoleError, NotAllowed, NotFound
from deployments.services.access import Actor

PER_PAGE = 50

P = ParamSpec("P")


def page(
    view: Callable[Concatenate[HttpRequest, Actor, P], HttpResponseBase],
) -> Callable[Concatenate[HttpRequest, P], HttpResponseBase]:
    """Make a view ask for a sign-in, give it the actor, and answer where the services refuse.

    What a user may not know of is told as if it were not there (404); a refused verb is a 403 page that
    names the role it needs.
    """

    @wraps(view)
    def answer(request: HttpRequest, *args: P.args, **kwargs: P.kwargs) -> HttpResponseBase:
        try:
            return view(request, Actor(request.user), *args, **kwargs)
        except NotFound as error:
            raise Http404(str(error)) from None
        except NotAllowed as error:
            return render(request, "403.html", {"exception": str(error), "action": error.detail.action}, status=403)

    return login_required(answer)


@contextmanager
def told(request: HttpRequest) -> Iterator[None]:
    """Within it an error that is meant for a person becomes a message on the next page; refusals pass."""
    try:
        yield
    except (NotFound, NotAllowed):
        raise
    except ConsoleError as error:
        say_error(request, error)


def say_error(request: HttpRequest, error: ConsoleError) -> None:
    """Tell on the next page what went wrong, why, and what to do."""
    sentences = (str(error), error.detail.cause, error.detail.action)
    messages.error(request, " ".join(f"{part.rstrip('.')}." for part in sentences if part))


def paginate(request: HttpRequest, items: Sequence[Any] | QuerySet[Any], *, per_page: int = PER_PAGE) -> dict[str, Any]:
    """The page of a list that the address asks for, as template context."""
    found: Page[Any] = Paginator(items, per_page).get_page(request.GET.get("page"))
    return {"page": found, "page_range": list(found.paginator.get_elided_page_range(found.number))}
