"""Tags and filters of the pages: icons, statuses, the navigation, charts and formats."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

from django import template
from django.template.context import Context
from django.utils.html import format_html
from django.utils.safestring import SafeString

from console.web import execution, formats, navigation, states
from console.web.filters import address_with
from console.web.sparkline import spark_path

register = template.Library()

register.filter("duration", formats.duration)
register.filter("ago", formats.ago)
register.filter("moment", formats.moment)
register.filter("short", formats.short)
register.filter("sentence", formats.sentence)
register.filter("executes", execution.executes)
register.filter("action_word", states.action_word)


@register.simple_tag
def icon(name: str, classes: str = "") -> SafeString:
    """An icon of the sprite; decoration, so it needs a word beside it or a label around it."""
    return format_html(
        '<svg class="i{}" aria-hidden="true"><use href="#i-{}"/></svg>', f" {classes}" if classes else "", name
    )


@register.inclusion_tag("parts/status.html")
def deployment_status(status: str, *, pill: bool = False) -> dict[str, Any]:
    """A deployment's status as icon, word and colour."""
    return {"look": states.DEPLOYMENT[status], "pill": pill}


@register.inclusion_tag("parts/status.html")
def run_status(state: str, *, pill: bool = False) -> dict[str, Any]:
    """A run's state as icon, word and colour."""
    return {"look": states.RUN[state], "pill": pill}


@register.inclusion_tag("parts/status.html")
def step_status(action: str, state: str) -> dict[str, Any]:
    """A step's state as icon, word and colour."""
    return {"look": states.STEP[action, state], "pill": False}


@register.filter
def run_icon(state: str) -> SafeString:
    """The icon of a run's state in its tone."""
    look = states.RUN[state]
    return icon(look.icon, look.tone)


@register.filter
def kind_word(kind: str) -> str:
    """What a run of this kind does, as a word."""
    return str(states.KIND[kind])


@register.inclusion_tag("parts/env.html")
def environment(env: Any) -> dict[str, Any]:
    """An environment's name, told apart by its border."""
    return {"name": env.name, "tone": env.tone}


@register.inclusion_tag("parts/spark.html")
def spark(rates: Sequence[float | None], label: str, whole: float | None) -> dict[str, Any]:
    """A line of rates (0 to 1, None for no traffic) on a fixed scale of 0 to 100 %, and the rate of it all."""
    return {**spark_path(rates), "label": label, "percent": whole * 100 if whole is not None else None}


@register.inclusion_tag("parts/nav.html", takes_context=True)
def console_nav(context: Context) -> dict[str, Any]:
    """The left navigation for the request's user."""
    request = context["request"]
    return {"groups": navigation.for_request(request)}


@register.filter
def seconds_between(start: datetime | None, end: datetime | None) -> float | None:
    """Seconds from start to end; None while either is missing."""
    return (end - start) / timedelta(seconds=1) if start and end else None


@register.inclusion_tag("parts/sortable.html", takes_context=True)
def sortable(context: Context, column: str, label: str, *, default: bool = False) -> dict[str, Any]:
    """A table head that sorts by its column; a second click turns the order round."""
    request = context["request"]
    order = request.GET.get("order", "")
    current = order.removeprefix("-") == column or (default and not order)
    backwards = order.startswith("-")
    return {
        "label": label,
        "url": address_with(request, order=f"-{column}" if current and not backwards else column),
        "sort": ("descending" if backwards else "ascending") if current else "",
    }


@register.filter
def key_parts(key: str) -> list[dict[str, Any]]:
    """A cache key as prefix, model version, kind and digest; the last one is what tells two apart."""
    parts = key.split(":")
    return [{"text": part, "dim": index < len(parts) - 1} for index, part in enumerate(parts)]


@register.filter
def key_short(key: str) -> str:
    """Both ends of a key's digest."""
    digest = key.rsplit(":", 1)[-1]
    return f"{digest[:4]}…{digest[-4:]}" if len(digest) > 9 else digest
