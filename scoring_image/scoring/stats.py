"""Counters of the cache's work, kept in memory and flushed to Redis now and then, never by a request."""

from __future__ import annotations

import time
from bisect import bisect_left
from collections import Counter
from collections.abc import Iterator
from typing import Literal

from scoring.keys import version_tag

Verdict = Literal["HIT", "MISS", "BYPASS"]

BUCKETS_US = (100, 200, 500, 1000, 2000, 5000, 10_000, 20_000, 50_000, 100_000, 200_000, 500_000, 1_000_000)
KEPT_SECONDS = 31 * 24 * 3600
# While Redis is away, so many minutes of counters are kept for when it is back.
_MOST_MINUTES = 60
_LABELS = (*(str(bound) for bound in BUCKETS_US), "inf")
_PREDICT_WEIGHT = 0.1


class Statistics:
    """Counts of one model version by minute; `version` changes with the data epoch."""

    def __init__(self, model_version: str) -> None:
        self._model_version = model_version
        self._pending: dict[tuple[str, int], Counter[str]] = {}
        self._usual_predict_us = 0.0

    def answered(self, verdict: Verdict, *, epoch: int, total_us: int, predict_us: int | None) -> None:
        """Count one answer; `predict_us` is None where the model did not run for it."""
        counts = self._counts(epoch)
        if predict_us is not None:
            self.predicted(predict_us)
            counts["predict_us"] += predict_us
        if verdict == "HIT":
            counts["hits"] += 1
            counts["hit_us"] += total_us
            counts["hit_le_" + _LABELS[bisect_left(BUCKETS_US, total_us)]] += 1
            # What the model would have taken, by its own recent times.
            counts["saved_us"] += max(0, round(self._usual_predict_us) - total_us)
        elif verdict == "MISS":
            counts["misses"] += 1
            counts["miss_us"] += total_us
            counts["miss_le_" + _LABELS[bisect_left(BUCKETS_US, total_us)]] += 1
        else:
            counts["bypasses"] += 1

    def failed(self, *, epoch: int) -> None:
        """Count one request that was refused or at which the model failed."""
        self._counts(epoch)["errors"] += 1

    def predicted(self, predict_us: int) -> None:
        """Learn how long the model takes."""
        usual = self._usual_predict_us or predict_us
        self._usual_predict_us = usual + _PREDICT_WEIGHT * (predict_us - usual)

    def take(self, prefix: str) -> Iterator[tuple[str | int, ...]]:
        """The Redis commands that add what has been counted since the last time, which is forgotten here."""
        pending, self._pending = self._pending, {}
        for (tag, minute), counts in pending.items():
            key = f"{prefix}:stats:{tag}:{minute}"
            for field, count in counts.items():
                yield "HINCRBY", key, field, count
            yield "EXPIRE", key, KEPT_SECONDS
            yield "SADD", f"{prefix}:versions", tag

    def _counts(self, epoch: int) -> Counter[str]:
        slot = (version_tag(self._model_version, epoch), int(time.time() // 60))
        counts = self._pending.get(slot)
        if counts is None:
            while len(self._pending) >= _MOST_MINUTES:
                self._pending.pop(next(iter(self._pending)))
            counts = self._pending[slot] = Counter()
        return counts
