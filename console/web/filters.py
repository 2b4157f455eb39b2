"""Filters beside a list: links that set one parameter of the address and keep the others."""

from collections.abc import Iterable
from dataclasses import dataclass

from django.http import HttpRequest
from django.utils.functional import Promise
from django.utils.translation import gettext as _


@dataclass(frozen=True, slots=True)
class Choice:
    """One link; the count says how many lines it would leave."""

    label: str | Promise
    url: str
    current: bool
    count: int | None


@dataclass(frozen=True, slots=True)
class Filter:
    """A group of choices under a title."""

    title: str | Promise
    choices: list[Choice]


def build_filter(
    request: HttpRequest,
    *,
    title: str | Promise,
    parameter: str,
    options: Iterable[tuple[str, str | Promise, int | None]],
) -> Filter:
    """Build the links for `(value, label, count)` options, "Any" before them."""
    chosen = request.GET.get(parameter, "")
    choices = [Choice(_("Any"), address_with(request, **{parameter: ""}), not chosen, None)]
    choices += [
        Choice(label, address_with(request, **{parameter: value}), chosen == value, count)
        for value, label, count in options
    ]
    return Filter(title, choices)


def address_with(request: HttpRequest, **changes: str) -> str:
    """The query string of this page with some parameters changed (empty: removed), back on page 1."""
    query = request.GET.copy()
    for name in (*changes, "page"):
        query.pop(name, None)
    for name, value in changes.items():
        if value:
            query[name] = value
    return f"?{query.urlencode()}"
