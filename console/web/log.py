"""The part of a run's log that a page shows: the newest lines, a part around one line, or what a filter leaves."""

from dataclasses import dataclass
from urllib.parse import urlencode

from django.db.models import Max, QuerySet
from django.http import QueryDict

from deployments.models import Event, Run

WINDOW = 500  # lines on one page
FIRST_WAIT_MS, LONGEST_WAIT_MS = 1_000, 5_000


@dataclass(frozen=True, slots=True)
class Wanted:
    """What the reader asked to see."""

    text: str
    step: str
    level: str

    @classmethod
    def of(cls, query: QueryDict) -> "Wanted":
        return cls(query.get("q", "").strip(), query.get("step", ""), query.get("level", ""))

    @property
    def is_all(self) -> bool:
        return not (self.text or self.step or self.level)

    def narrow(self, events: QuerySet[Event]) -> QuerySet[Event]:
        if self.text:
            events = events.filter(message__icontains=self.text)
        if self.step:
            events = events.filter(step=self.step)
        if self.level == "events":
            events = events.filter(level__in=("state", "error"))
        elif self.level == "errors":
            events = events.filter(level="error")
        return events

    def query(self) -> dict[str, str]:
        return {name: value for name, value in zip(("q", "step", "level"), self._values(), strict=True) if value}

    def _values(self) -> tuple[str, str, str]:
        return self.text, self.step, self.level


@dataclass(frozen=True, slots=True)
class Log:
    """Lines in order, the cursor behind them, and where earlier and later ones are."""

    events: list[Event]
    wanted: Wanted
    cursor: int
    total: int
    errors: int
    steps: list[str]
    follows: bool
    earlier: int | None
    wait_ms: int = FIRST_WAIT_MS

    @property
    def shows_all(self) -> bool:
        return self.earlier is None and self.follows

    @property
    def next_query(self) -> str:
        """What the page asks for next: the same filter, after the cursor."""
        return urlencode({**self.wanted.query(), "after": self.cursor, "wait": self.wait_ms})


def log_page(run: Run, query: QueryDict) -> Log:
    """The newest lines that the filter leaves; with `before` those before one, with `line` those around it."""
    wanted = Wanted.of(query)
    total = run.events.aggregate(last=Max("seq"))["last"] or 0
    end = total
    if line := _number(query, "line"):
        end = min(line + WINDOW // 2, total)
    elif before := _number(query, "before"):
        end = min(before - 1, total)
    newest_first = wanted.narrow(run.events.filter(seq__lte=end)).order_by("-seq")
    events = list(newest_first[: WINDOW + 1])
    more, events = len(events) > WINDOW, events[:WINDOW][::-1]
    return Log(
        events=events,
        wanted=wanted,
        cursor=total,
        total=total,
        errors=run.events.filter(level="error").count(),
        steps=_steps(run),
        follows=end == total,
        earlier=events[0].seq if more else None,
    )


def log_tail(run: Run, query: QueryDict) -> Log:
    """The lines after a cursor. While none come the page is told to wait longer, up to five seconds."""
    wanted = Wanted.of(query)
    after = _number(query, "after")
    total = run.events.aggregate(last=Max("seq"))["last"] or 0
    new = run.events.filter(seq__gt=after, seq__lte=total)
    events = list(wanted.narrow(new).order_by("seq"))
    waited = _number(query, "wait") or FIRST_WAIT_MS
    return Log(
        events=events,
        wanted=wanted,
        cursor=max(after, total),
        total=total,
        errors=run.events.filter(level="error").count(),
        steps=[],
        follows=True,
        earlier=None,
        wait_ms=FIRST_WAIT_MS if total > after else min(int(waited * 1.5), LONGEST_WAIT_MS),
    )


def _steps(run: Run) -> list[str]:
    return list(run.steps.order_by("position").values_list("key", flat=True))


def _number(query: QueryDict, name: str) -> int:
    value = query.get(name, "")
    return int(value) if value.isdecimal() and len(value) < 12 else 0
