"""Counters of the cache's work, kept in memory and flushed to Redis now and then, never by a request.

Counting is plain integers and lists; they become fields of a hash only when they are flushed, by HINCRBY, so that
the counts of several processes of one function add up.
"""

from __future__ import annotations

import time
from bisect import bisect_left
from collections import deque
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
# The model's usual time is kept by the bit length of the number of rows; no request has more than 2**63.
_SIZES = 64

_SUMS = (
    *("hits", "misses", "bypasses", "errors", "joins", "local_hits", "rows_hit", "rows_missed"),
    *("hit_us", "miss_us", "predict_us", "redis_us", "saved_us"),
)
_HISTOGRAMS = ("hit_le", "miss_le", "predict_le", "redis_le")


class _Minute:
    """Counts of one version (a model version at a data epoch) in one minute; named as their Redis fields are."""

    __slots__ = ("ends", "epoch", "minute", *_SUMS, *_HISTOGRAMS)

    def __init__(self, epoch: int, minute: int) -> None:
        self.epoch = epoch
        self.minute = minute
        self.ends = (minute + 1) * 60.0
        self.hits = self.misses = self.bypasses = self.errors = self.joins = self.local_hits = 0
        self.rows_hit = self.rows_missed = 0
        self.hit_us = self.miss_us = self.predict_us = self.redis_us = 0
        self.saved_us = 0.0
        self.hit_le = [0] * len(_LABELS)
        self.miss_le = [0] * len(_LABELS)
        self.predict_le = [0] * len(_LABELS)
        self.redis_le = [0] * len(_LABELS)

    def fields(self) -> Iterator[tuple[str, int]]:
        """What is not zero, under the names that the hash has."""
        for name in _SUMS:
            if count := round(getattr(self, name)):
                yield name, count
        for name in _HISTOGRAMS:
            for label, count in zip(_LABELS, getattr(self, name), strict=True):
                if count:
                    yield f"{name}_{label}", count


class Statistics:
    """Counts of one model version by minute; `version` changes with the data epoch. Times are in microseconds."""

    def __init__(self, model_version: str) -> None:
        self._model_version = model_version
        self._now = _Minute(0, 0)
        self._pending: deque[_Minute] = deque(maxlen=_MOST_MINUTES)
        self._usual_predict = [0.0] * _SIZES

    def answered(
        self,
        verdict: Verdict,
        *,
        epoch: int,
        total_us: int,
        predict_us: int | None = None,
        redis_us: int | None = None,
        rows: int = 1,
        joined: bool = False,
        local: bool = False,
    ) -> None:
        """Count one answer of `rows` rows.

        `predict_us` is None where the model did not run for it, `redis_us` where Redis was not asked; `joined` where
        it shared the answer to an equal request, `local` where the process itself still held it.
        """
        counts = self._now
        if counts.epoch != epoch or time.time() >= counts.ends:
            counts = self._turned(epoch)
        if predict_us is not None:
            self.predicted(predict_us, rows)
            counts.predict_us += predict_us
            counts.predict_le[bisect_left(BUCKETS_US, predict_us)] += 1
        if redis_us is not None:
            counts.redis_us += redis_us
            counts.redis_le[bisect_left(BUCKETS_US, redis_us)] += 1
        if joined:
            counts.joins += 1
        if verdict == "HIT":
            counts.hits += 1
            counts.hit_us += total_us
            counts.hit_le[bisect_left(BUCKETS_US, total_us)] += 1
            if local:
                counts.local_hits += 1
            # Reading the request costs the same with a cache as without; only what stands in for the model is
            # weighed against it, and a lookup that took longer than the model saves less than nothing.
            usual = self._usual_predict[rows.bit_length()] or self._usual_of_smaller(rows)
            counts.saved_us += usual - (total_us if joined else redis_us or 0)
        elif verdict == "MISS":
            counts.misses += 1
            counts.miss_us += total_us
            counts.miss_le[bisect_left(BUCKETS_US, total_us)] += 1
            counts.saved_us -= redis_us or 0
        else:
            counts.bypasses += 1

    def rows(self, *, epoch: int, hit: int, missed: int) -> None:
        """Count the rows of one answer that were each looked up on their own."""
        counts = self._counts(epoch)
        counts.rows_hit += hit
        counts.rows_missed += missed

    def failed(self, *, epoch: int) -> None:
        """Count one request that was refused or at which the model failed."""
        self._counts(epoch).errors += 1

    def predicted(self, predict_us: int, rows: int = 1) -> None:
        """Learn how long the model, in the form that executes, takes for so many rows."""
        size = rows.bit_length()
        usual = self._usual_predict[size]
        self._usual_predict[size] = usual + _PREDICT_WEIGHT * (predict_us - usual) if usual else predict_us

    def take(self, prefix: str) -> Iterator[tuple[str | int, ...]]:
        """The Redis commands that add what has been counted since the last time, which is forgotten here."""
        self._turned(self._now.epoch)
        pending, self._pending = self._pending, deque(maxlen=_MOST_MINUTES)
        for counts in pending:
            tag = version_tag(self._model_version, counts.epoch)
            key = f"{prefix}:stats:{tag}:{counts.minute}"
            for name, count in counts.fields():
                yield "HINCRBY", key, name, count
            yield "EXPIRE", key, KEPT_SECONDS
            yield "SADD", f"{prefix}:versions", tag

    def _usual_of_smaller(self, rows: int) -> float:
        """The usual time of the next smaller size that is known: rather too little saved than too much."""
        known = self._usual_predict[: rows.bit_length()]
        return next((usual for usual in reversed(known) if usual), 0.0)

    def _counts(self, epoch: int) -> _Minute:
        counts = self._now
        return self._turned(epoch) if counts.epoch != epoch or time.time() >= counts.ends else counts

    def _turned(self, epoch: int) -> _Minute:
        """Put the counts so far by and begin new ones."""
        if any(True for _ in self._now.fields()):
            self._pending.append(self._now)
        self._now = _Minute(epoch, int(time.time() // 60))
        return self._now
