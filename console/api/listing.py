"""Lists: a JSON array, one page of it, with the way to the others in its headers."""

from collections.abc import Callable
from typing import Annotated, Any, TypeVar
from urllib.parse import urlencode

from django.core.paginator import Paginator
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from ninja import Query, Schema
from pydantic import Field

LARGEST_PAGE = 200

T = TypeVar("T")


class PageQuery(Schema):
    """Which part of a list."""

    page: int = Field(1, ge=1, le=100_000)
    page_size: int = Field(50, ge=1, le=LARGEST_PAGE)


Paging = Annotated[PageQuery, Query()]


def listed(
    request: HttpRequest, response: HttpResponse, rows: QuerySet[Any], paging: PageQuery, show: Callable[[Any], T]
) -> list[T]:
    """The rows of one page; X-Total-Count and Link (RFC 8288: next, prev) go to the response's headers."""
    paginator = Paginator(rows, paging.page_size)
    response["X-Total-Count"] = str(paginator.count)
    links = []
    if paging.page < paginator.num_pages:
        links.append(_link(request, paging.page + 1, "next"))
    if 1 < paging.page <= paginator.num_pages:
        links.append(_link(request, paging.page - 1, "prev"))
    if links:
        response["Link"] = ", ".join(links)
    return [show(row) for row in paginator.page(paging.page)] if paging.page <= paginator.num_pages else []


def _link(request: HttpRequest, page: int, relation: str) -> str:
    query = {**request.GET.dict(), "page": page}
    return f'<{request.build_absolute_uri(request.path)}?{urlencode(query)}>; rel="{relation}"'
