"""A plan as it is drawn: changes in waves that run side by side, on the same axis as the run that follows."""

from collections.abc import Mapping
from dataclasses import dataclass

from django.utils.functional import Promise
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, ngettext

from console.web.axis import Tick, as_percent, axis_for
from console.web.formats import duration
from deployments.services.plans import Change, Plan, PlannedChange

NARROWEST = 0.6


@dataclass(frozen=True, slots=True)
class Verb:
    """How an action is told: word, sign and class."""

    word: str | Promise
    sign: str
    css: str


VERBS: Mapping[Change, Verb] = {
    Change.CREATE: Verb(gettext_lazy("Create"), "+", "create"),
    Change.CHANGE: Verb(gettext_lazy("Change"), "~", "change"),
    Change.REPLACE: Verb(gettext_lazy("Replace"), "±", "replace"),
    Change.DELETE: Verb(gettext_lazy("Delete"), "−", "delete"),
    Change.UNCHANGED: Verb(gettext_lazy("Unchanged"), "=", "same"),
    Change.KEEP: Verb(gettext_lazy("Keep"), "=", "same"),
}


@dataclass(frozen=True, slots=True)
class Row:
    """One change and its lane."""

    change: PlannedChange
    verb: Verb
    facts: str
    x: str
    width: str
    took: str
    text_at: str
    text_anchor: str


@dataclass(frozen=True, slots=True)
class Wave:
    """Changes that start together."""

    title: str
    hint: str
    rows: list[Row]


@dataclass(frozen=True, slots=True)
class PlanView:
    """All that the template draws."""

    ticks: list[Tick]
    waves: list[Wave]
    summary: str
    destroy: bool
    total: str
    one_by_one: str


def lay_out(plan: Plan) -> PlanView:
    """Place every change where its needs allow; a change of unknown length has no bar."""
    by_key = {change.key: change for change in plan.changes}
    begins = {change.key: _begin(change, by_key, frozenset()) for change in plan.changes}
    depths = {change.key: _depth(change, by_key, frozenset()) for change in plan.changes}
    total = max((begins[key] + (by_key[key].seconds or 0.0) for key in by_key), default=0.0)
    axis = axis_for(total)
    waves: list[Wave] = []
    for depth in sorted(set(depths.values())):
        rows = []
        for change in plan.changes:
            if depths[change.key] != depth:
                continue
            start = axis.percent(begins[change.key])
            width = max(axis.percent(begins[change.key] + (change.seconds or 0.0)) - start, NARROWEST)
            behind = start + width <= 75
            rows.append(
                Row(
                    change=change,
                    verb=VERBS[change.action],
                    facts=", ".join(f"{name} {value}" for name, value in change.properties.items() if value),
                    x=as_percent(start),
                    width=as_percent(width) if change.seconds is not None else "",
                    took=duration(change.seconds) if change.seconds is not None else "",
                    text_at=as_percent(start + width + 1 if behind else start - 1),
                    text_anchor="start" if behind else "end",
                )
            )
        waves.append(_wave(rows, first=depth == 0))
    return PlanView(
        ticks=axis.ticks() if total else [],
        waves=waves,
        summary=summary(plan),
        destroy=plan.destroy,
        total=duration(total) if total else "",
        one_by_one=duration(sum(change.seconds or 0.0 for change in plan.changes)),
    )


def summary(plan: Plan) -> str:
    """`2 to create, 1 to change, 3 unchanged`."""
    words = [
        (Change.CREATE, ngettext("%(n)d to create", "%(n)d to create", plan.count(Change.CREATE))),
        (Change.CHANGE, ngettext("%(n)d to change", "%(n)d to change", plan.count(Change.CHANGE))),
        (Change.REPLACE, ngettext("%(n)d to replace", "%(n)d to replace", plan.count(Change.REPLACE))),
        (Change.DELETE, ngettext("%(n)d to delete", "%(n)d to delete", plan.count(Change.DELETE))),
        (Change.UNCHANGED, ngettext("%(n)d unchanged", "%(n)d unchanged", plan.count(Change.UNCHANGED))),
        (Change.KEEP, ngettext("%(n)d kept", "%(n)d kept", plan.count(Change.KEEP))),
    ]
    return ", ".join(word % {"n": plan.count(action)} for action, word in words if plan.count(action))


def _begin(change: PlannedChange, by_key: Mapping[str, PlannedChange], above: frozenset[str]) -> float:
    needs = [by_key[key] for key in change.needs if key in by_key and key not in above]
    above |= {change.key}
    return max((_begin(need, by_key, above) + (need.seconds or 0.0) for need in needs), default=0.0)


def _depth(change: PlannedChange, by_key: Mapping[str, PlannedChange], above: frozenset[str]) -> int:
    needs = [by_key[key] for key in change.needs if key in by_key and key not in above]
    above |= {change.key}
    return max((_depth(need, by_key, above) + 1 for need in needs), default=0)


def _wave(rows: list[Row], *, first: bool) -> Wave:
    if first and len(rows) > 1:
        return Wave(_("Side by side"), _("start at once, nothing waits for anything"), rows)
    if first:
        return Wave(_("First"), _("nothing comes before"), rows)
    if all(row.change.action == Change.DELETE for row in rows):
        return Wave(_("Last"), _("when nothing uses it any more"), rows)
    return Wave(_("Then"), _("when everything above is ready"), rows)
