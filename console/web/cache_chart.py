"""How a cache's statistics are drawn: hit rates as lines, answers as bars, versions with their revisions."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from console.web.axis import as_percent
from console.web.formats import clock
from deployments.cache.statistics import CacheStatistics, Point, VersionStatistics
from deployments.models import Deployment, Revision

X_LABELS = 5
BAR_SHARE = 0.71  # of a step; the rest is the gap
MOST_LINES = 6
TAG_LENGTH = 16


@dataclass(frozen=True, slots=True)
class Version:
    """A model version as its keys name it, with the revisions whose package has it."""

    tag: str
    revisions: tuple[int, ...]
    live: bool
    statistics: VersionStatistics | None = None

    @property
    def short(self) -> str:
        return self.tag[:4]

    @property
    def epoch(self) -> str:
        return self.tag.partition("-e")[2]


@dataclass(frozen=True, slots=True)
class Bar:
    """One step: where it stands and how high misses end and hits end, in per cent of the highest."""

    x: str
    width: str
    misses_y: str
    misses: str
    hits_y: str
    hits: str


@dataclass(frozen=True, slots=True)
class Mark:
    """Where a revision's answers begin."""

    x: str
    label_x: str
    anchor: str
    number: int


@dataclass(frozen=True, slots=True)
class Chart:
    """Lines of 1000 by 100 units, bars in per cent, labels, and the same as rows."""

    lines: list[tuple[str, bool]]
    marks: list[Mark]
    bars: list[Bar]
    most: int
    labels: list[str]
    rows: Sequence[Point]


def versions_of(deployment: Deployment) -> dict[str, list[int]]:
    """The numbers of the revisions by the first characters of their model version."""
    found: dict[str, list[int]] = {}
    for revision in deployment.revisions.exclude(model_version="").order_by("number"):
        found.setdefault(revision.model_version[:TAG_LENGTH], []).append(revision.number)
    return found


def live_tag(deployment: Deployment) -> str:
    """The version that is scored and stored now; empty where nothing is live."""
    live: Revision | None = deployment.live_revision
    if live is None or not live.model_version:
        return ""
    base = live.model_version[:TAG_LENGTH]
    return f"{base}-e{deployment.data_epoch}" if deployment.data_epoch else base


def told_version(
    tag: str, *, known: dict[str, list[int]], live: str, statistics: VersionStatistics | None = None
) -> Version:
    """A version with what the console knows of it."""
    numbers = tuple(known.get(tag.partition("-e")[0], ()))
    return Version(tag, numbers, live=bool(tag) and tag == live, statistics=statistics)


def chart(of: CacheStatistics, versions: Iterable[Version]) -> Chart:
    """The chart of one cache; the live version's line last, so that it lies on top."""
    told = [version for version in versions if version.statistics is not None][:MOST_LINES]
    told.sort(key=lambda version: version.live)
    marks = [mark for version in told if version.live and (mark := _mark(version)) is not None]
    most = max((point.hits + point.misses for point in of.series), default=0)
    span = of.until - of.since
    return Chart(
        lines=[(path, version.live) for version in told if (path := _path(_rates(version)))],
        marks=marks,
        bars=_bars(of.series, most),
        most=most,
        labels=[clock(of.since + span * index / (X_LABELS - 1), span=span) for index in range(X_LABELS)],
        rows=[point for point in of.series if point.hits or point.misses or point.bypasses or point.errors],
    )


def _rates(version: Version) -> tuple[float | None, ...]:
    return version.statistics.rates if version.statistics else ()


def _path(rates: Sequence[float | None]) -> str:
    """A line through the middles of the steps; a step without traffic breaks it."""
    step = 1000 / max(len(rates), 1)
    parts: list[str] = []
    for index, rate in enumerate(rates):
        if rate is None:
            continue
        x, y = (index + 0.5) * step, 100 - rate * 100
        before = rates[index - 1] if index else None
        after = rates[index + 1] if index + 1 < len(rates) else None
        if before is None and after is None:
            # A single point has no line: a dash over its step makes it visible.
            parts.append(f"M{x - step / 3:.1f} {y:.1f}H{x + step / 3:.1f}")
        else:
            parts.append(f"{'M' if before is None else 'L'}{x:.1f} {y:.1f}")
    return "".join(parts)


def _mark(version: Version) -> Mark | None:
    """Where the version's first answer lies, unless that is at the very beginning."""
    rates = _rates(version)
    first = next((index for index, rate in enumerate(rates) if rate is not None), 0)
    if not first or not version.revisions:
        return None
    x = first * 100 / len(rates)
    label_x, anchor = (x - 0.6, "end") if x > 85 else (x + 0.6, "start")
    return Mark(as_percent(x), as_percent(label_x), anchor, version.revisions[-1])


def _bars(points: Sequence[Point], most: int) -> list[Bar]:
    step = 100 / max(len(points), 1)
    bars = []
    for index, point in enumerate(points):
        if not point.hits + point.misses:
            continue
        hits, misses = point.hits * 100 / most, point.misses * 100 / most
        bars.append(
            Bar(
                x=as_percent(index * step + step * (1 - BAR_SHARE) / 2),
                width=as_percent(step * BAR_SHARE),
                misses_y=as_percent(100 - hits - misses),
                misses=as_percent(misses),
                hits_y=as_percent(100 - hits),
                hits=as_percent(hits),
            )
        )
    return bars
