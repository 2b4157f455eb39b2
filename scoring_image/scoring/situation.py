"""What a comparison of the cache's cost was made under, and whether that has changed enough to compare again."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Situation:
    """What the last comparison was made under."""

    repeat_rate: float
    predict: float
    rate: float

    def has_other_traffic_than(self, other: Situation) -> bool:
        """Whether requests repeat so much more or less that the comparison may come out otherwise."""
        return abs(self.repeat_rate - other.repeat_rate) > 0.1

    def is_faster_or_slower_than(self, other: Situation) -> bool:
        """Whether the model or the callers are, by so much."""
        return _apart(self.predict, other.predict) > 2 or _apart(self.rate, other.rate) > 4


def _apart(one: float, other: float) -> float:
    return max(one, other) / min(one, other) if one and other else 1.0
