"""What the cache saved: the model's time that hits did not take, as the function counted it."""

from collections.abc import Mapping

from pydantic import BaseModel, ConfigDict


class Savings(BaseModel):
    """`seconds` of answering saved by the cache, `per_hit_ms` of it by each hit, `share` of what it would have taken
    without the cache (up to 1). Null without hits; below 0 where looking took more than it saved."""

    model_config = ConfigDict(frozen=True)

    seconds: float
    per_hit_ms: float | None
    share: float | None


def savings(counts: Mapping[str, int]) -> Savings:
    """From the counter fields `hits`, `hit_us`, `miss_us` and `saved_us`, microseconds all three.

    For each hit the function adds the model's usual time less what looking took, and for each miss it takes off what
    was looked for in vain.
    """
    hits, saved = counts.get("hits", 0), counts.get("saved_us", 0)
    taken = counts.get("hit_us", 0) + counts.get("miss_us", 0)
    without = taken + saved
    return Savings(
        seconds=saved / 1e6,
        per_hit_ms=saved / hits / 1000 if hits else None,
        share=saved / without if hits and without > 0 else None,
    )
