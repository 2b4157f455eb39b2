"""What the cache saved: the model's time that hits did not take, as the function counted it."""

from collections.abc import Mapping

from pydantic import BaseModel, ConfigDict


class Savings(BaseModel):
    """`seconds` of answering saved by hits, `per_hit_ms` of it by each, `share` of what it would have taken
    without the cache (0 to 1). Null without hits."""

    model_config = ConfigDict(frozen=True)

    seconds: float
    per_hit_ms: float | None
    share: float | None


def savings(counts: Mapping[str, int]) -> Savings:
    """From the counter fields `hits`, `hit_us`, `miss_us` and `saved_us`, microseconds all three.

    For each hit the function adds the model's usual time at that moment less the time the hit took.
    """
    hits, saved = counts.get("hits", 0), counts.get("saved_us", 0)
    taken = counts.get("hit_us", 0) + counts.get("miss_us", 0)
    return Savings(
        seconds=saved / 1e6,
        per_hit_ms=saved / hits / 1000 if hits else None,
        share=saved / (taken + saved) if hits and taken + saved else None,
    )
