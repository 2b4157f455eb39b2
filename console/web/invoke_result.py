"""One or two calls as the test form shows them: answers, where the time went, and what the cache saved."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _

from console.web.axis import as_percent
from deployments.models import Invocation

MOST_ROWS = 20
MOST_CLASSES = 20


@dataclass(frozen=True, slots=True)
class Part:
    """Where some of a call's time went; `css` is the colour, `x` and `width` its place in the bar."""

    css: str
    label: str | Promise
    ms: float | None
    note: str | Promise = ""
    x: str = "0%"
    width: str = "0%"


@dataclass(frozen=True, slots=True)
class Shown:
    """One call with its bar, which is as long as the longest call beside it."""

    call: Invocation
    parts: list[Part]

    @property
    def body(self) -> Any:
        return (self.call.response or {}).get("body")

    @property
    def omitted(self) -> bool:
        return bool((self.call.response or {}).get("omitted"))


@dataclass(frozen=True, slots=True)
class Share:
    """A class and its probability."""

    name: str
    share: float
    width: str


@dataclass(frozen=True, slots=True)
class Result:
    """What is shown for one sending: the answer, each call, and how a hit compares with a miss."""

    calls: list[Shown]
    input: Any
    answer: Any
    error: dict[str, str] | None
    shares: list[Share]
    rows: list[tuple[int, Any]]
    more_rows: int
    equal: bool | None
    saved_ms: float | None
    saved_share: float | None
    logs: tuple[str, ...]

    @property
    def key(self) -> str:
        return self.calls[0].call.key


def result_of(calls: Sequence[Invocation]) -> Result | None:
    """Lay out the calls of one sending, in the order they were made; None without any."""
    if not calls:
        return None
    longest = max(call.duration_ms for call in calls) or 1.0
    shown = [Shown(call, _parts(call, longest)) for call in calls]
    body = shown[0].body
    several = isinstance(body, list) and len(body) > 1
    saved, share = _saved(calls)
    return Result(
        calls=shown,
        input=(calls[0].request or {}).get("body"),
        answer=body,
        error=_error(shown[0]),
        shares=_shares(body),
        rows=list(enumerate(body[:MOST_ROWS], start=1)) if several else [],
        more_rows=max(len(body) - MOST_ROWS, 0) if several else 0,
        equal=_equal(shown),
        saved_ms=saved,
        saved_share=share,
        logs=tuple(line for call in calls for line in (call.response or {}).get("logs", ())),
    )


def _parts(call: Invocation, longest: float) -> list[Part]:
    """Network and parsing are what the other three leave of the whole, so that the parts add up to it."""
    timings = call.timings or {}
    get, predict, store = timings.get("get"), timings.get("predict"), timings.get("set")
    hit = call.cache == "hit"
    rest = max(call.duration_ms - sum(part or 0.0 for part in (get, predict, store)), 0.0)
    told: list[tuple[str, str | Promise, float | None, str | Promise]] = [
        ("f0", _("Network, parsing"), rest, ""),
        ("f2", _("Read from the cache") if hit else _("Look in the cache"), get, _("not asked")),
        ("f1", _("Model"), predict, _("not run") if hit else _("not told")),
        ("f3", _("Store the answer"), store, _("not needed") if hit else _("not stored")),
    ]
    parts, at = [], 0.0
    for css, label, ms, note in told:
        width = (ms or 0.0) * 100 / longest
        parts.append(Part(css if ms is not None else "none", label, ms, note, as_percent(at), as_percent(width)))
        at += width
    return parts


def _saved(calls: Sequence[Invocation]) -> tuple[float | None, float | None]:
    """What the hit took less than the call that ran the model; None unless there is one of each."""
    hit = next((call for call in calls if call.cache == "hit"), None)
    miss = next((call for call in calls if call.cache in ("miss", "bypass")), None)
    if hit is None or miss is None or not miss.duration_ms:
        return None, None
    saved = miss.duration_ms - hit.duration_ms
    return saved, saved / miss.duration_ms


def _equal(shown: Sequence[Shown]) -> bool | None:
    if len(shown) < 2 or any(call.omitted for call in shown):
        return None
    first, second = shown[:2]
    return first.call.status == second.call.status and bool(first.body == second.body)


def _error(shown: Shown) -> dict[str, str] | None:
    """What the function says is wrong, as its error object tells; None for an answer."""
    if shown.call.status < 400:
        return None
    told = shown.body.get("error") if isinstance(shown.body, dict) else None
    known = told if isinstance(told, dict) else {}
    return {name: str(known.get(name, "")) for name in ("code", "message", "hint", "at")}


def _shares(body: Any) -> list[Share]:
    """The one row of an answer that is a distribution over classes; none for any other."""
    row = body[0] if isinstance(body, list) and len(body) == 1 else None
    if not isinstance(row, list) or not 2 <= len(row) <= MOST_CLASSES:
        return []
    if not all(type(cell) in (int, float) and 0 <= cell <= 1 for cell in row) or abs(sum(row) - 1) > 1e-3:
        return []
    return [Share(str(index), cell, as_percent(max(cell * 100, 0.4))) for index, cell in enumerate(row)]
