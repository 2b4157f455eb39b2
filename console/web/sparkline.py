"""Geometry of a sparkline: 88 by 24 units, 0 % at the bottom and 100 % at the top, always."""

from collections.abc import Sequence
from typing import TypedDict

WIDTH, HEIGHT, PAD = 85.0, 24.0, 2.0


class SparkPath(TypedDict):
    """An SVG path and its last point; all None without any rate."""

    path: str | None
    x: str | None
    y: str | None


def spark_path(rates: Sequence[float | None]) -> SparkPath:
    """Draw rates between 0 and 1; a gap (None) breaks the line."""
    step = WIDTH / max(len(rates) - 1, 1)
    parts: list[str] = []
    last: tuple[float, float] | None = None
    pen_down = False
    for index, rate in enumerate(rates):
        if rate is None:
            pen_down = False
            continue
        x = index * step if len(rates) > 1 else WIDTH
        y = HEIGHT - PAD - rate * (HEIGHT - 2 * PAD)
        parts.append(f"{'' if pen_down else 'M'}{x:.1f} {y:.1f}")
        last, pen_down = (x, y), True
    if last is None:
        return {"path": None, "x": None, "y": None}
    return {"path": " ".join(parts), "x": f"{last[0]:.1f}", "y": f"{last[1]:.1f}"}
