"""What functions counted of their caches, as pages show it: figures, a line over time, and sparklines."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from urllib.parse import urlencode

from django.core.cache import cache
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils.formats import number_format
from django.utils.translation import gettext as _
from django.utils.translation import ngettext
from django.views.decorators.http import require_GET

from console.web.formats import clock, saved_time
from console.web.pages import page
from deployments.cache.statistics import CacheStatistics, Point
from deployments.domain.errors import ConsoleError
from deployments.models import Deployment
from deployments.services import access, caches
from deployments.services.access import Actor

DAY = 1440
SPANS = ((60, "1h"), (DAY, "24h"), (7 * DAY, "7d"))
KEPT_SECONDS = 15  # a page that is reloaded does not ask every cache again
MOST_AT_ONCE = 30
ENOUGH = 200  # answers, to say of a cache that it does not pay
X_LABELS = 5


def traffic_query(names: Iterable[str]) -> str:
    """The query that asks for the figures of these deployments."""
    return urlencode([("name", name) for name in list(names)[:MOST_AT_ONCE]])


@dataclass(frozen=True, slots=True)
class Stat:
    """One figure: what it counts, the value with its unit, and one line of context."""

    label: str
    value: str
    unit: str
    context: str


@dataclass(frozen=True, slots=True)
class Seen:
    """The statistics of one deployment, or why there are none."""

    deployment: Deployment
    statistics: CacheStatistics | None
    error: ConsoleError | None = None

    @property
    def rates(self) -> list[float | None]:
        return [point.hit_rate for point in self.statistics.series] if self.statistics else []

    @property
    def answers(self) -> int:
        return answers(self.statistics) if self.statistics else 0


@dataclass(frozen=True, slots=True)
class Chart:
    """A hit rate over time: paths of 1000 by 100 units, labels for the time, and the same as rows."""

    path: str
    labels: list[str]
    rows: Sequence[Point]


@page
@require_GET
def traffic(request: HttpRequest, actor: Actor) -> HttpResponse:
    """Figures of the named deployments, for a page that has loaded already; a slow cache holds up nothing else."""
    names = request.GET.getlist("name")[:MOST_AT_ONCE]
    seen = [look(actor, found) for found in access.deployments(actor).filter(name__in=names)]
    context = {
        "seen": seen,
        "rows_only": request.GET.get("only") == "rows",
        "stats": together(item.statistics for item in seen if item.statistics),
    }
    return render(request, "parts/traffic.html", context)


def look(actor: Actor, deployment: Deployment, *, minutes: int = DAY) -> Seen:
    """Read a deployment's counters; a cache that does not answer is told, not raised."""
    key = f"traffic:{deployment.uid}:{minutes}"
    known = cache.get(key)
    if known is not None:
        return Seen(deployment, known)
    try:
        found = caches.statistics(actor=actor, deployment=deployment, minutes=minutes)
    except ConsoleError as error:
        return Seen(deployment, None, error)
    cache.set(key, found, KEPT_SECONDS)
    return Seen(deployment, found)


def answers(of: CacheStatistics) -> int:
    """Everything that was answered: from the cache, by the model, and around the cache."""
    return of.hits + of.misses + of.bypasses


def told(of: CacheStatistics) -> list[Stat]:
    """The four figures of one cache."""
    asked = of.hits + of.misses
    return [
        Stat(
            _("Hit rate"),
            _percent(of.hit_rate),
            "%" if of.hit_rate is not None else "",
            _("%(hits)s of %(asked)s asked of the cache") % {"hits": _n(of.hits), "asked": _n(asked)},
        ),
        Stat(_("Requests"), _n(answers(of)), "", _around(of)),
        Stat(
            _("Median hit / miss"),
            f"{_ms(of.hit.median_ms)} / {_ms(of.miss.median_ms)}",
            "ms",
            _("p95 %(hit)s / %(miss)s ms") % {"hit": _ms(of.hit.p95_ms), "miss": _ms(of.miss.p95_ms)},
        ),
        Stat(_("Saved"), saved_time(of.saved.seconds), "", _saving(of)),
    ]


def together(several: Iterable[CacheStatistics]) -> list[Stat]:
    """The figures of the day over all caches that answered; medians do not add up, so there is none."""
    found = list(several)
    if not found:
        return []
    hits, misses = sum(of.hits for of in found), sum(of.misses for of in found)
    seconds = sum(of.saved.seconds for of in found)
    caches_told = ngettext("counted by %(n)d function", "counted by %(n)d functions", len(found)) % {"n": len(found)}
    rate = hits / (hits + misses) if hits + misses else None
    return [
        Stat(_("Answers, 24 h"), _n(sum(answers(of) for of in found)), "", caches_told),
        Stat(
            _("From the cache"),
            _percent(rate),
            "%" if rate is not None else "",
            _("%(hits)s hits, %(misses)s misses") % {"hits": _n(hits), "misses": _n(misses)},
        ),
        Stat(
            _("Around the cache"),
            _n(sum(of.bypasses for of in found)),
            "",
            _("%(n)s errors") % {"n": _n(sum(of.errors for of in found))},
        ),
        Stat(_("Model time saved"), saved_time(seconds), "", _("by answers that were stored")),
    ]


def chart(of: CacheStatistics) -> Chart:
    """The hit rate of each step of the series; a step without traffic leaves a gap."""
    points = of.series
    step = 1000 / max(len(points) - 1, 1)
    parts: list[str] = []
    pen_down = False
    for index, point in enumerate(points):
        if point.hit_rate is None:
            pen_down = False
            continue
        x, y = index * step, 100 - point.hit_rate * 100
        alone = not pen_down and (index + 1 == len(points) or points[index + 1].hit_rate is None)
        # A single point has no line: a short dash makes it visible.
        parts.append(
            f"M{max(x - 4, 0):.1f} {y:.1f}H{x + 4:.1f}" if alone else f"{'' if pen_down else 'M'}{x:.1f} {y:.1f}"
        )
        pen_down = True
    span = of.until - of.since
    labels = [clock(of.since + span * index / (X_LABELS - 1), span=span) for index in range(X_LABELS)]
    return Chart(" ".join(parts), labels, [point for point in points if point.hits or point.misses or point.bypasses])


def _around(of: CacheStatistics) -> str:
    parts = [_("%(n)s around the cache") % {"n": _n(of.bypasses)}, _("%(n)s errors") % {"n": _n(of.errors)}]
    return ", ".join(parts)


def _saving(of: CacheStatistics) -> str:
    if of.saved.seconds < 0 and of.hits + of.misses >= ENOUGH:
        return _("the cache costs more than it saves: try the policy auto")
    if of.saved.share is None or of.saved.seconds < 0:
        return _("nothing yet")
    return _("%(share)s%% of the model's time") % {"share": _percent(of.saved.share)}


def _n(number: int) -> str:
    return number_format(number, use_l10n=True, force_grouping=True)


def _ms(value: float | None) -> str:
    return "–" if value is None else number_format(value, 1 if value < 100 else 0)


def _percent(rate: float | None) -> str:
    return "–" if rate is None else number_format(rate * 100, 1)
