"""A time axis in per cent, with ticks at round distances: what plans and runs are drawn on."""

from dataclasses import dataclass
from datetime import datetime, timedelta

from django.utils import timezone
from django.utils.formats import time_format

from console.web.formats import duration

STEPS = (1, 2, 5, 10, 15, 30, 60, 120, 180, 300, 600, 900, 1800, 3600, 7200, 14400, 28800, 86400)
MOST_TICKS = 5


@dataclass(frozen=True, slots=True)
class Tick:
    """A grid line and its label; the anchor keeps the outer labels inside."""

    at: str
    label: str
    anchor: str


@dataclass(frozen=True, slots=True)
class Axis:
    """`length` seconds drawn as 100 %, a tick every `step` seconds; `begin` is None for a plan."""

    begin: datetime | None
    length: float
    step: int

    def percent(self, seconds: float) -> float:
        """Where a second lies, held within the axis."""
        return min(max(seconds / self.length * 100, 0.0), 100.0)

    def ticks(self) -> list[Tick]:
        count = round(self.length / self.step)
        return [
            Tick(
                at=as_percent(index * 100 / count),
                label=self._label(index * self.step),
                anchor="start" if index == 0 else "end" if index == count else "middle",
            )
            for index in range(count + 1)
        ]

    def _label(self, seconds: int) -> str:
        if self.begin is None or self.step < 60:
            return duration(seconds) if seconds else "0"
        return time_format(timezone.localtime(self.begin + timedelta(seconds=seconds)), "H:i")


def axis_for(seconds: float, *, begin: datetime | None = None) -> Axis:
    """The axis with at most five distances that holds so many seconds."""
    seconds = max(seconds, 1.0)
    step = next((step for step in STEPS if seconds <= step * MOST_TICKS), STEPS[-1])
    count = max(-(-seconds // step), 1)
    return Axis(begin, count * step, step)


def as_percent(value: float) -> str:
    """A per cent value as SVG wants it, whatever the reader's language."""
    return f"{value:.2f}%"
