"""Policy `auto`: whether the cache pays, decided from what it has cost and saved lately.

A lookup pays where `hit rate * predict > get + (1 - hit rate) * set`. While it does not, a small share of the
keys still goes to the cache, so that the figures stay fresh. The share is taken by key and not by request:
the same key always decides the same way, and so the hit rate of the share is that of all keys.
"""

from __future__ import annotations

from scoring.stats import Verdict

# Of 256 values of the digest's first byte: about 5 %.
_PROBED = 13
_WEIGHT = 0.02
_ENOUGH = 100


class Window:
    """Moving means of hit rate and of the seconds that get, set and predict take."""

    def __init__(self) -> None:
        self._seen = 0
        self._hit_rate = 0.0
        self._get: float | None = None
        self._set: float | None = None
        self._predict: float | None = None

    def uses_cache(self, digest: str) -> bool:
        """Whether the request with this digest should ask the cache."""
        return self.pays() or int(digest[:2], 16) < _PROBED

    def pays(self) -> bool:
        """True until enough has been seen to say otherwise."""
        if self._seen < _ENOUGH or self._get is None or self._predict is None:
            return True
        cost = self._get + (1 - self._hit_rate) * (self._set or 0.0)
        return self._hit_rate * self._predict > cost

    def learn(self, verdict: Verdict, *, get: float | None, store: float | None, predict: float | None) -> None:
        """Take in one answer; a part that was not done is None."""
        self._get = _moved(self._get, get)
        self._set = _moved(self._set, store)
        self._predict = _moved(self._predict, predict)
        if verdict != "BYPASS":
            # A plain mean at first, a moving one from then on.
            self._seen += 1
            weight = max(_WEIGHT, 1 / self._seen)
            self._hit_rate += weight * ((verdict == "HIT") - self._hit_rate)


def _moved(mean: float | None, value: float | None) -> float | None:
    if value is None:
        return mean
    return value if mean is None else mean + _WEIGHT * (value - mean)
