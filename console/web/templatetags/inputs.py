"""Tags of the test form and the inspector: inputs drawn small, answers and shares in a line."""

import json
from datetime import datetime
from typing import Any

from django import template
from django.utils import timezone
from django.utils.formats import number_format, time_format
from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _

from console.web import pictures
from console.web.formats import day, saved_time
from deployments.cache.statistics import Latency
from deployments.cache.values import answer_preview

register = template.Library()

SHOWN = 48  # characters
MOST_TEXT = 20_000
KINDS: dict[str, str | Promise] = {
    "number": _("number"),
    "integer": _("whole number"),
    "boolean": _("true or false"),
    "string": _("text"),
}
EVICTIONS: dict[str, str | Promise] = {
    "noeviction": _("refuses to store when full"),
    "allkeys-lfu": _("evicts the least often used"),
    "volatile-lfu": _("evicts the least often used of what expires"),
    "allkeys-lru": _("evicts the longest unused"),
    "volatile-lru": _("evicts the longest unused of what expires"),
    "allkeys-random": _("evicts at random"),
    "volatile-random": _("evicts at random of what expires"),
    "volatile-ttl": _("evicts what expires soonest"),
}


@register.inclusion_tag("parts/pixels.html")
def pixels(given: Any, label: str = "", classes: str = "px") -> dict[str, Any]:
    """The picture of an input; nothing where it is none. Without a label it is decoration."""
    drawn = pictures.first_row(given)
    return {
        "drawn": pictures.is_picture(drawn),
        "pixels": pictures.pixels(given),
        "label": label,
        "classes": classes,
    }


@register.filter
def cells(given: Any) -> list[pictures.Pixel]:
    """The painted cells of a picture."""
    return pictures.pixels(given)


@register.filter
def as_json(value: Any) -> str:
    """Compact JSON, for data attributes."""
    return json.dumps(value, separators=(",", ":"))


@register.filter
def pretty(value: Any) -> str:
    """JSON laid out for reading, its beginning."""
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, indent=1)
    return text[:MOST_TEXT].encode(errors="replace").decode()


@register.filter
def kind_said(kind: str) -> str:
    """The type of a field in a word."""
    return str(KINDS.get(kind, kind))


@register.filter
def clock_seconds(moment: datetime) -> str:
    """`14:08:09` today, with the day before it on any other."""
    local = timezone.localtime(moment)
    text = time_format(local, "H:i:s")
    return text if local.date() == timezone.localdate() else f"{day(moment)} {text}"


@register.filter
def is_picture(given: Any) -> bool:
    """Whether an input is drawn."""
    return pictures.is_picture(pictures.first_row(given))


@register.filter
def first_fields(given: Any) -> str:
    """The beginning of an input in a line, for those that cannot be drawn."""
    row = pictures.first_row(given)
    if isinstance(row, dict):
        text = ", ".join(f"{name} {_scalar(value)}" for name, value in row.items())
    elif isinstance(row, list):
        text = ", ".join(_scalar(value) for value in row)
    else:
        text = _scalar(row)
    return text if len(text) <= SHOWN else f"{text[: SHOWN - 1]}…"


@register.filter
def answer(body: Any) -> str:
    """An answer in a line: the value itself where it is one alone."""
    return answer_preview(body)


@register.filter
def percent(rate: float) -> str:
    """A share between 0 and 1 as `88.1%`."""
    return f"{number_format(rate * 100, 1)}%"


@register.filter
def milliseconds(value: float | None) -> str:
    """`0.42 ms`, `4.2 ms`, `420 ms`; a dash for None."""
    if value is None:
        return "–"
    return f"{number_format(value, 2 if value < 1 else 1 if value < 100 else 0)} ms"


@register.filter
def spread(times: Latency) -> str:
    """Median and p95 in milliseconds, `0.4 / 1.2`; a dash without answers."""
    found = [value for value in (times.median_ms, times.p95_ms) if value is not None]
    return " / ".join(number_format(value, 1 if value < 100 else 0) for value in found) or "–"


@register.filter
def saved(seconds: float) -> str:
    """Time that was saved, with a minus where it was lost."""
    return saved_time(seconds)


@register.filter
def eviction(policy: str) -> str:
    """What the server does when it is full; a policy that is not known is named as it is."""
    return str(EVICTIONS.get(policy, policy))


def _scalar(value: Any) -> str:
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    return text.encode(errors="replace").decode()
