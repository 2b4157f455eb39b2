"""How long the rounds are and how many, and what every part of the run is given."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from benchmarks.models import Trained
from benchmarks.packages import Packages, package


@dataclass(frozen=True)
class Plan:
    """Bounds on how long the rounds of a part are, in seconds, and how many.

    `shares` are the hit rates of the policies, `starts` is how often a cold start is timed.
    """

    most_seconds: int
    most_rounds: int
    shares: tuple[int, ...]
    starts: int

    def rounds(self, wanted: int) -> int:
        """As many as wanted, or as the plan allows."""
        return min(wanted, self.most_rounds)

    def seconds(self, wanted: int) -> int:
        """As long as wanted, or as the plan allows."""
        return min(wanted, self.most_seconds)


FULL = Plan(most_seconds=10, most_rounds=10, shares=(0, 50, 90, 100), starts=5)
QUICK = Plan(most_seconds=1, most_rounds=1, shares=(0, 100), starts=1)


@dataclass(frozen=True)
class Bench:
    """What is measured with: the models, the rows, and who is told."""

    plan: Plan
    regression: Trained
    forest: Trained
    rows: Path
    say: Callable[[str], None]
    _packages: dict[str, Packages] = field(default_factory=dict)

    def packages(self, model: Trained) -> Packages:
        """Its packages, made when first asked for. Raises NotPackagedError."""
        if model.name not in self._packages:
            self.say(f"packaging {model.name}")
            self._packages[model.name] = package(model)
        return self._packages[model.name]

    @property
    def verdicts(self) -> list[str]:
        """What was said of the ONNX forms of the models packaged so far."""
        return [packages.verdict for packages in self._packages.values()]


@dataclass
class Section:
    """One part of the report: tables with their titles, what went wrong, and figures by name for the targets.

    It is handed over before it is filled, so that what was measured before a failure is told.
    """

    key: str
    title: str
    tables: list[Table] = field(default_factory=list)
    troubles: list[str] = field(default_factory=list)
    figures: dict[str, float] = field(default_factory=dict)


@dataclass
class Table:
    """Cells are text as they are shown; the first of each row is its name."""

    title: str
    head: list[str]
    rows: list[list[str]]
