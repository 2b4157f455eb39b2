"""Policy `auto`: whether the cache pays, found out by trying both ways on a share of the traffic.

What a lookup costs cannot be told from how long it takes: with many callers at once it takes a millisecond in which
the loop works for others, and costs a few microseconds of it. So the two ways, with the cache and without, are
compared whole: now and then, blocks of answers are given alternately with and without it, and `Meter` says how dear
each block was. Neighbouring blocks are compared with each other, and the median of such pairs decides, so that
neither a change of the machine's mood nor one late reply does.

A cache that is not used runs cold, and its blocks with the cache would look dearer than they would be in the long
run. So how many requests would be hits is counted apart, for all of them and not for a sample of keys (which under
Zipf's law would be dominated by whether it holds the few hottest): by remembering which keys came lately. The blocks
are corrected by what the model takes for the hits that were missing. Should the cache then not hold what
it promised, because Redis evicts, the next comparison says so, and the next attempt is put off longer.
"""

from __future__ import annotations

import logging
import time
from collections import deque
from collections.abc import Callable, Hashable
from math import inf, sqrt
from statistics import median
from typing import Protocol

from scoring.repeats import Repeats
from scoring.situation import Situation
from scoring.stats import Verdict

# A block lasts so many seconds, and has so many answers at least.
_BLOCK_SECONDS = 0.02
_SMALLEST_BLOCK = 16
_LARGEST_BLOCK = 4000
# A comparison ends after so many pairs, or as soon as it is plain: when the median of the pairs is as many standard
# errors away from a tie. Pairs scatter by some per cent on a machine of one's own, and by half on a crowded one.
_FEWEST_PAIRS = 4
_MOST_PAIRS = 24
_PLAIN = 2.5
# The other way must be better by so much, in so many of the pairs: a tie is not worth a change.
_BETTER = 0.98
_AGREEING = 0.65
# The standard error of the median of so many values, from the median of their distances to it (for a normal
# distribution: 1.4826 makes that a standard deviation, and the median scatters 1.2533 times as much as the mean).
_ERROR_OF_MEDIAN = 1.4826 * 1.2533
# Seconds between two comparisons: at first, and once nothing has changed for a while.
_SHORTEST_PAUSE = 1.0
_LONGEST_PAUSE = 20.0
# What comparisons lose by answering the dearer way may be so much of all the time.
_LOST_SHARE = 0.015
_LONGEST_PENANCE = 60.0
# How long a cache that was just taken into use again may take to fill, and how long one that did not pay even then
# is left: so long at first, and three times as long each time.
_FILLING_SECONDS = 3.0
_SHORTEST_DOUBT = 3.0
_LONGEST_DOUBT = 300.0
# Below this share of repeated requests there is nothing to gain.
_FEW_REPEATS = 0.02
# How many answers it takes for half of a new share of repeats to be believed, and how much of a new mean is.
_ANSWERS_TO_BELIEVE = 500
_MOOD_WEIGHT = 0.15
# Predictions whose median is their usual time, whatever a few of them had to wait for the core.
_LATEST = 31

log = logging.getLogger("scoring.cache")


class Measures(Protocol):
    """What `Meter` does."""

    def start(self, *, busy: bool) -> None: ...
    def enter(self) -> None: ...
    def leave(self) -> None: ...
    def stop(self) -> float: ...


class Auto:
    """Decides for each request; is told when it begins and how it was answered. Belongs to one event loop.

    `ttl` is for how many seconds an entry lives; 0 for ever.
    """

    def __init__(self, meter: Measures, *, ttl: float = 0.0, now: Callable[[], float] = time.monotonic) -> None:
        self.pays = True
        self._meter = meter
        self._now = now
        self._repeats = Repeats(ttl)
        self._predict = 0.0
        self._predicted = self._predictions = 0.0
        self._latest: deque[float] = deque(maxlen=_LATEST)
        self._without = 0.0
        self._using = True
        self._measuring = False
        self._under_way = 0
        self._left = _SMALLEST_BLOCK
        self._ended: Callable[[], None] = self._rested
        self._answers = self._lookups = self._hits = 0
        self._since = now()
        self._rate = 0.0
        self._repeat_rate = 0.0
        self._block = _SMALLEST_BLOCK
        self._first: float | None = None
        self._ratios: deque[float] = deque(maxlen=4 * _MOST_PAIRS)
        self._pairs = 0
        self._pause = _SHORTEST_PAUSE
        self._next = 0.0
        self._filling_until = 0.0
        self._penance_until = 0.0
        self._lost = 0.0
        self._doubt = 0.0
        self._situation: Situation | None = None

    def enter(self) -> None:
        """A request has come."""
        if self._measuring and not self._under_way:
            self._meter.enter()
        self._under_way += 1

    def uses_cache(self, key: Hashable) -> bool:
        """Whether the request with this key, or its digest, should ask the cache."""
        self._repeats.count(key)
        return self._using

    def leave(self, verdict: Verdict | None, predict: float | None) -> None:
        """It has been answered, or failed (None); `predict` is the seconds that the model took, if it ran."""
        self._under_way -= 1
        if self._measuring and not self._under_way:
            self._meter.leave()
        self._answers += 1
        if verdict == "HIT":
            self._hits += 1
            self._lookups += 1
        elif verdict == "MISS":
            self._lookups += 1
        if predict is not None:
            self._predicted += predict
            self._predictions += 1
            self._latest.append(predict)
        self._left -= 1
        if self._left <= 0:
            self._ended()

    def _rested(self) -> None:
        """A while has passed without a comparison: look whether one is due."""
        now = self._now()
        self._learn(now)
        situation = Situation(self._repeat_rate, self._predict, self._rate)
        self._next = self._next or now + _SHORTEST_PAUSE
        if self._situation is None:
            # What the last decision itself changed is not a change of the traffic.
            self._situation = situation
        # Other traffic is worth a comparison at once; a machine's mood, which looks like another model, is not.
        other_traffic = situation.has_other_traffic_than(self._situation)
        changed = other_traffic or situation.is_faster_or_slower_than(self._situation)
        if changed:
            self._pause, self._doubt = _SHORTEST_PAUSE, 0.0
        allowed = now >= self._filling_until and (other_traffic or now >= self._penance_until)
        if now < self._next and not (changed and allowed):
            self._rest()
        elif self.pays or self._repeat_rate >= _FEW_REPEATS or self._pause >= _LONGEST_PAUSE:
            if changed or self._pairs < _MOST_PAIRS:
                # Only where the last comparison found nothing plain, this one goes on with what it had.
                self._ratios.clear()
            self._pairs = 0
            self._lost = 0.0
            self._try(self.pays)
        else:
            self._conclude(changed=False)
            self._rest()

    def _rest(self) -> None:
        self._using = self.pays
        self._ended = self._rested
        self._left = self._block * 4

    def _learn(self, now: float) -> None:
        """Take in what was counted since the last time."""
        answers, took = self._answers, now - self._since
        repeats = self._repeats.taken(now)
        if repeats is not None:
            self._repeat_rate += answers / (answers + _ANSWERS_TO_BELIEVE) * (repeats - self._repeat_rate)
        if self._predictions:
            self._predict = _moved(self._predict, self._predicted / self._predictions)
            self._predicted = self._predictions = 0.0
        if took > 0:
            self._rate = _moved(self._rate, answers / took)
            block = max(_SMALLEST_BLOCK, 2 * self._under_way, round(self._rate * _BLOCK_SECONDS))
            self._block = min(block, _LARGEST_BLOCK)
        self._begin_counting(now)

    def _try(self, using: bool) -> None:
        """Answer this way from now on; measure as soon as those are done that came before."""
        self._using = using
        self._ended = self._settled
        self._left = self._under_way
        if self._left <= 0:
            self._settled()

    def _settled(self) -> None:
        self._begin_counting(self._now())
        self._measuring = True
        self._ended = self._measured
        self._left = self._block
        self._meter.start(busy=self._under_way > 0)

    def _measured(self) -> None:
        """A block is over: begin the next one, or end the comparison."""
        cost = max(self._meter.stop(), 1e-9) / self._answers
        self._measuring = False
        if self._using and not self.pays and self._lookups:
            missing = self._repeat_rate - self._hits / self._lookups
            # A prediction's time has in it what other processes took of the core; the blocks' costs have not.
            cost = max(cost - max(missing, 0.0) * min(self._predict, self._without or inf), cost / 100)
        if not self._using:
            self._without = _moved(self._without, cost)
        if self._using and self.pays and self._latest and cost < 0.9 * median(self._latest):
            # Without the cache, each would take the model at least: no need to make somebody wait for it.
            self._end_comparison(changed=False)
        elif self._first is None:
            self._first = cost
            self._try(not self._using)
        else:
            # Blocks alternate like A B, B A: the way of this one is the first of the next pair.
            used, other = (self._first, cost) if self._using != self.pays else (cost, self._first)
            self._first = None
            self._ratios.append(other / used)
            self._pairs += 1
            self._lost += max(other - used, 0.0) * self._answers
            better = self._found()
            if better is None:
                self._try(self._using)
            else:
                self._end_comparison(changed=better)

    def _found(self) -> bool | None:
        """Whether the other way is better; None while that is not plain."""
        ratios = self._ratios
        if self._pairs < _FEWEST_PAIRS:
            return None
        middle = median(ratios)
        error = _ERROR_OF_MEDIAN * median(abs(ratio - middle) for ratio in ratios) / sqrt(len(ratios))
        if middle - _PLAIN * error > 1:
            return False
        if middle + _PLAIN * error < _BETTER:
            return True
        if self._pairs < _MOST_PAIRS:
            return None
        return middle < _BETTER and sum(ratio < 1 for ratio in ratios) >= _AGREEING * len(ratios)

    def _end_comparison(self, *, changed: bool) -> None:
        self._first = None
        if self._ratios:
            log.debug(
                "policy auto: the other way is %.2f times as dear (%d pairs)", median(self._ratios), len(self._ratios)
            )
        self._conclude(changed=changed)
        self._repeats.taken(self._now())
        self._begin_counting(self._now())
        self._rest()

    def _conclude(self, *, changed: bool) -> None:
        """Stay or change, and say when to look again."""
        now = self._now()
        self._situation = None
        if not changed:
            self._pause = min(2 * self._pause, _LONGEST_PAUSE)
            self._doubt = 0.0 if self.pays else self._doubt
            self._penance_until = now + min(self._lost / _LOST_SHARE, _LONGEST_PENANCE)
            self._next = max(now + max(self._pause, self._doubt), self._penance_until)
            return
        self.pays = not self.pays
        self._pairs = 0
        log.info(
            "policy auto: %s the cache, which is %.2f times as dear; %.0f %% of requests repeat",
            "using" if self.pays else "not using",
            median(self._ratios),
            100 * self._repeat_rate,
        )
        self._pause = _SHORTEST_PAUSE
        if self.pays:
            self._next = self._filling_until = now + _FILLING_SECONDS
        else:
            self._doubt = min(max(3 * self._doubt, _SHORTEST_DOUBT), _LONGEST_DOUBT)
            self._next = now + self._doubt

    def _begin_counting(self, now: float) -> None:
        self._answers = self._lookups = self._hits = 0
        self._since = now


def _moved(mean: float, value: float) -> float:
    return mean + _MOOD_WEIGHT * (value - mean) if mean else value
