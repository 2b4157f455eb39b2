"""A run's steps on one time axis: what was measured, what is under way, and what is expected."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from functools import partial
from statistics import median
from typing import Any

from django.utils.translation import gettext as _

from console.web.axis import Axis, Tick, as_percent, axis_for
from console.web.formats import duration
from console.web.states import STEP, Look, outcome_word
from deployments.domain.states import StepState
from deployments.models import Run, StepRecord

HISTORY = 9
SEEN = 120  # earlier steps that are looked through for an expectation
NARROWEST = 0.6  # per cent, so that the shortest step can be seen
LETTER = 1.0  # per cent of a lane that one letter takes, rather more than less


@dataclass(frozen=True, slots=True)
class Rect:
    """A rectangle of a lane: its class and where it lies, in per cent."""

    css: str
    x: str
    width: str


@dataclass(frozen=True, slots=True)
class Lane:
    """One step's row."""

    step: StepRecord
    look: Look
    subtitle: str
    rects: list[Rect]
    text: str
    text_at: str
    text_anchor: str
    text_css: str
    took: str


@dataclass(frozen=True, slots=True)
class Timeline:
    """All that the template draws."""

    ticks: list[Tick]
    lanes: list[Lane]
    now: str | None
    summary: str
    usual: str = field(default="")


def timeline(run: Run, steps: Sequence[StepRecord], *, now: datetime) -> Timeline:
    """Lay the steps of a run out; expectations come from earlier runs."""
    axis, drawn = lanes(run, steps, expected_seconds(run, steps), now=now)
    elapsed = (now - (run.started_at or run.created_at)).total_seconds()
    return Timeline(
        ticks=axis.ticks(),
        lanes=drawn,
        now=None if run.is_over else as_percent(axis.percent(elapsed)),
        summary=_summary(steps),
        usual=_usual(run),
    )


def lanes(
    run: Run, steps: Sequence[StepRecord], expected: Mapping[str, float], *, now: datetime
) -> tuple[Axis, list[Lane]]:
    """The axis that holds all that was measured and is expected, and a lane for each step."""
    begin = run.started_at or run.created_at
    spans = {step.key: _span(step, expected, begin=begin, now=now) for step in steps}
    for step in steps:
        if step.state == StepState.QUEUED and not run.is_over:
            spans[step.key] = _expected_span(step, spans, expected, since=(now - begin).total_seconds())
    elapsed = ((run.finished_at or now) - begin).total_seconds()
    axis = axis_for(max([elapsed, *(end for span in spans.values() if span for end in span[1:])]), begin=begin)
    return axis, [_lane(step, spans[step.key], axis, now=now) for step in steps]


def expected_seconds(run: Run, steps: Sequence[StepRecord]) -> Mapping[str, float]:
    """The median time of each step: of this deployment's last runs, else of the same kind of resource anywhere."""
    past = (
        StepRecord.objects.filter(kind__in={step.kind for step in steps}, state=StepState.SUCCEEDED, attempts__gt=0)
        .exclude(run=run)
        .order_by("-pk")
        .values_list("run__deployment_id", "kind", "action", "started_at", "finished_at")[:SEEN]
    )
    own: defaultdict[tuple[str, str], list[float]] = defaultdict(list)
    any_: defaultdict[tuple[str, str], list[float]] = defaultdict(list)
    for deployment_id, kind, action, start, end in past:
        if start and end:
            any_[kind, action].append((end - start).total_seconds())
            if deployment_id == run.deployment_id:
                own[kind, action].append((end - start).total_seconds())
    found = {step.key: own.get((step.kind, step.action)) or any_.get((step.kind, step.action)) for step in steps}
    return {key: median(times[:HISTORY]) for key, times in found.items() if times}


Span = tuple[float, float, float]
"""Begin, measured end and expected end, in seconds from the run's begin."""


def _span(step: StepRecord, expected: Mapping[str, float], *, begin: datetime, now: datetime) -> Span | None:
    if step.started_at is None:
        return None
    start = (step.started_at - begin).total_seconds()
    measured = ((step.finished_at or now) - begin).total_seconds()
    if step.state == StepState.RUNNING and step.key in expected:
        return start, measured, max(measured, start + expected[step.key])
    return start, measured, measured


def _expected_span(
    step: StepRecord, spans: Mapping[str, Span | None], expected: Mapping[str, float], *, since: float
) -> Span | None:
    if step.key not in expected:
        return None
    needed = [spans.get(need) for need in step.needs]
    start = max([since, *(span[2] for span in needed if span)])
    return start, start, start + expected[step.key]


def _lane(step: StepRecord, span: Span | None, axis: Axis, *, now: datetime) -> Lane:
    rects, text, css = _bar(step, span, axis) if span else ([], "", "")
    at, anchor = _text_place(rects, text, may_cover=step.state == StepState.WAITING)
    return Lane(
        step=step,
        look=_look(step),
        subtitle=_subtitle(step),
        rects=rects,
        text=text,
        text_at=at,
        text_anchor=anchor,
        text_css=css,
        took=duration((step.finished_at or now) - step.started_at) if step.started_at else "",
    )


def _bar(step: StepRecord, span: Span, axis: Axis) -> tuple[list[Rect], str, str]:
    """The rectangles of a step, the words beside them and the class of the words."""
    start, measured, end = span
    whole = partial(_rect, axis=axis, start=start, end=end)
    match step.state:
        case StepState.QUEUED:
            return [whole("wait")], "", ""
        case StepState.RUNNING:
            left = end - measured
            words = _("about %(time)s left") % {"time": duration(left)} if left >= 1 else step.detail
            return [whole("doing"), _rect("done-part", axis=axis, start=start, end=measured)], words, ""
        case StepState.WAITING:
            return [whole("doing")], _("waits for %(whom)s") % {"whom": step.waiting_for}, "t-busy"
        case StepState.FAILED:
            return [whole("broke")], step.error_detail.message if step.error_detail else step.detail, "t-bad"
        case StepState.SUCCEEDED:
            return [whole("fill" if step.attempts else "tiny")], "", ""
        case _:
            return [whole("tiny")], "", ""


def _text_place(rects: Sequence[Rect], text: str, *, may_cover: bool) -> tuple[str, str]:
    """Where a bar's words go and how they are anchored: behind it, before it, or at its end on it; else nowhere."""
    if not rects or not text:
        return "", ""
    start = float(rects[0].x.rstrip("%"))
    end = start + float(rects[0].width.rstrip("%"))
    room = len(text) * LETTER
    if end + room <= 100:
        return as_percent(end + 1), "start"
    if start >= room:
        return as_percent(start - 1), "end"
    return (as_percent(end - 1), "end") if may_cover else ("", "")


def _rect(css: str, *, axis: Axis, start: float, end: float) -> Rect:
    left = axis.percent(start)
    return Rect(css, as_percent(left), as_percent(max(axis.percent(end) - left, NARROWEST)))


def _look(step: StepRecord) -> Look:
    look = STEP[step.action, step.state]
    if step.state == StepState.SUCCEEDED and step.outcome:
        return Look(outcome_word(step.outcome), look.icon, look.tone)
    return look


def _subtitle(step: StepRecord) -> str:
    if step.state == StepState.QUEUED and step.needs:
        return _("needs %(keys)s") % {"keys": ", ".join(step.needs)}
    return step.name


def _summary(steps: Sequence[StepRecord]) -> str:
    counts: dict[Any, int] = {}
    for step in steps:
        counts[step.state] = counts.get(step.state, 0) + 1
    words = [
        (StepState.FAILED, _("%(n)d failed")),
        (StepState.WAITING, _("%(n)d waiting")),
        (StepState.RUNNING, _("%(n)d under way")),
        (StepState.SUCCEEDED, _("%(n)d done")),
        (StepState.CANCELLED, _("%(n)d cancelled")),
        (StepState.QUEUED, _("%(n)d not started")),
    ]
    return ", ".join(word % {"n": counts[state]} for state, word in words if state in counts)


def _usual(run: Run) -> str:
    earlier = Run.objects.filter(
        deployment_id=run.deployment_id, kind=run.kind, state="succeeded", started_at__isnull=False
    ).exclude(pk=run.pk)[:HISTORY]
    times = sorted(
        (past.finished_at - past.started_at).total_seconds() for past in earlier if past.finished_at and past.started_at
    )
    if len(times) < 2:
        return ""
    return _("the last %(n)d took %(low)s to %(high)s") % {
        "n": len(times),
        "low": duration(times[0]),
        "high": duration(times[-1]),
    }
