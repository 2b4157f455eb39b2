"""Policy auto is as good as the better of on and off, whatever the model and the traffic, and follows both.

The traffic is simulated: a server whose clock goes on by what each answer costs, a cache that holds what was stored.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from itertools import count

import pytest

from scoring.policy import Auto

# All costs are those of a real server times 25, to simulate fewer answers.
HTTP = 1e-3
Keys = Iterator[int]


@dataclass
class Simulated:
    """A server, its cache and its clock. It is the meter as well: it says how much time has passed.

    `crowd` is how much the machine's speed varies from one thirtieth of a second to the next: as a crowded one's does.
    """

    predict: float
    get: float
    store: float
    ttl: float = 0.0
    holds: int = 10**9
    crowd: float = 0.0
    noise: float = 0.05
    now: float = 0.0
    ideal: float = 0.0
    mood: float = 1.0
    mood_ends: float = 0.0
    mark: float = 0.0
    stored: dict[int, float] = field(default_factory=dict)
    chance: random.Random = field(default_factory=lambda: random.Random(7))

    def start(self, *, busy: bool) -> None:
        self.mark = self.now

    def enter(self) -> None: ...

    def leave(self) -> None: ...

    def stop(self) -> float:
        return self.now - self.mark

    def cost(self, key: int, *, cached: bool) -> tuple[float, bool]:
        """Seconds that this answer takes, and whether it is a hit."""
        if not cached:
            return HTTP + self.predict, False
        until = self.stored.get(key)
        if until is not None and self.now < until:
            return HTTP + self.get, True
        while len(self.stored) >= self.holds:
            self.stored.pop(next(iter(self.stored)))
        self.stored[key] = self.now + self.ttl if self.ttl else 1e9
        return HTTP + self.get + self.predict + self.store, False

    def answers(self, keys: Keys, *, seconds: float, way: Callable[[int], bool], auto: Auto | None = None) -> float:
        """Serve for so long; the answers per second that it would have been on a steady machine."""
        end, served, began = self.now + seconds, 0, self.ideal
        while self.now < end:
            key = next(keys)
            if auto is not None:
                auto.enter()
            cached = way(key)
            cost, hit = self.cost(key, cached=cached)
            if self.now > self.mood_ends:
                self.mood = self.chance.lognormvariate(0, self.crowd)
                self.mood_ends = self.now + self.chance.expovariate(30)
            self.now += cost * self.mood * max(0.2, self.chance.gauss(1, self.noise))
            self.ideal += cost
            served += 1
            if auto is not None:
                auto.leave(("HIT" if hit else "MISS") if cached else "BYPASS", None if hit else self.predict)
        return served / (self.ideal - began)


def traffic(hit_rate: float, *, keys: int = 200) -> Keys:
    """An even share of requests from a small set of keys; the rest never come again."""
    chance, fresh, due = random.Random(1), count(10**6), 0.0
    while True:
        due += hit_rate
        if due >= 1:
            due -= 1
            yield chance.randrange(keys)
        else:
            yield next(fresh)


def zipf(keys: int, *, seed: int = 1) -> Keys:
    """Keys by Zipf's law: the hottest is one request in ten."""
    chance = random.Random(seed)
    weights = [1 / (rank + 1) for rank in range(keys)]
    while True:
        yield from chance.choices(range(keys), weights, k=10_000)


def loss(server: Callable[[], Simulated], keys: Callable[[], Keys], *, warm: float = 10, seconds: float = 15) -> float:
    """The share of the better way's answers per second that auto does not reach, after its warm-up."""
    best = 0.0
    for cached in (True, False):
        fixed, stream = server(), keys()
        fixed.answers(stream, seconds=warm, way=lambda _, cached=cached: cached)
        best = max(best, fixed.answers(stream, seconds=seconds, way=lambda _, cached=cached: cached))
    served, stream = server(), keys()
    auto = Auto(served, ttl=served.ttl, now=lambda: served.now)
    served.answers(stream, seconds=warm, way=auto.uses_cache, auto=auto)
    return 1 - served.answers(stream, seconds=seconds, way=auto.uses_cache, auto=auto) / best


@pytest.mark.parametrize("hit_rate", [0.0, 0.5, 0.9, 1.0])
@pytest.mark.parametrize("predict", [75e-6, 500e-6, 2.5e-3, 100e-3])
@pytest.mark.parametrize("get", [5e-6, 250e-6, 2.5e-3])
def test_auto_is_as_good_as_the_better_of_on_and_off(predict: float, get: float, hit_rate: float) -> None:
    assert loss(lambda: Simulated(predict, get, get), lambda: traffic(hit_rate)) < 0.05


@pytest.mark.parametrize("predict", [100e-6, 500e-6, 2.5e-3])
@pytest.mark.parametrize("server", [{}, {"noise": 0.5}, {"ttl": 5.0}, {"holds": 100}])
def test_auto_is_as_good_for_few_hot_keys_and_many_others(predict: float, server: dict[str, float]) -> None:
    def made() -> Simulated:
        return Simulated(predict, 250e-6, 250e-6, **server)  # type: ignore[arg-type]

    assert loss(made, lambda: zipf(5_000), warm=30) < 0.05


@pytest.mark.parametrize("hit_rate", [0.0, 0.5, 1.0])
@pytest.mark.parametrize("predict", [75e-6, 500e-6, 2.5e-3])
def test_a_crowded_machine_does_not_mislead_it(predict: float, hit_rate: float) -> None:
    assert loss(lambda: Simulated(predict, 250e-6, 250e-6, crowd=0.5), lambda: traffic(hit_rate), seconds=30) < 0.05


def test_auto_follows_the_traffic() -> None:
    served = Simulated(predict=500e-6, get=250e-6, store=250e-6)
    auto = Auto(served, now=lambda: served.now)
    for hit_rate in (0.0, 0.95, 0.1, 1.0):
        served.answers(traffic(hit_rate), seconds=10, way=auto.uses_cache, auto=auto)
        assert auto.pays == (hit_rate > 0.9)
        # With a cache that has cost nothing and helped nothing, entries of the last traffic would still be hits.
        served.stored.clear()


def test_auto_follows_the_model() -> None:
    served = Simulated(predict=100e-6, get=250e-6, store=250e-6)
    auto = Auto(served, now=lambda: served.now)
    for predict in (100e-6, 2e-3, 100e-6):
        served.predict = predict
        served.answers(traffic(0.7), seconds=25, way=auto.uses_cache, auto=auto)
        assert auto.pays == (predict > 1e-3)


def test_nobody_waits_for_a_slow_model_only_to_find_out() -> None:
    served = Simulated(predict=100e-3, get=250e-6, store=250e-6)
    auto = Auto(served, now=lambda: served.now)
    asked = []
    served.answers(traffic(0.9), seconds=60, way=lambda key: asked.append(auto.uses_cache(key)) or asked[-1], auto=auto)
    assert all(asked)


def test_requests_that_fail_and_a_cache_that_is_away_do_no_harm() -> None:
    served = Simulated(predict=500e-6, get=0.0, store=0.0)
    auto = Auto(served, now=lambda: served.now)
    for key in range(20_000):
        auto.enter()
        auto.uses_cache(key)
        served.now += HTTP
        auto.leave(None if key % 2 else "BYPASS", 500e-6)
    assert auto.pays


def test_deciding_costs_little() -> None:
    """Measured: 0.6 µs for each answer, a hundredth of what HTTP costs."""
    served = Simulated(predict=500e-6, get=0.0, store=0.0)
    auto = Auto(served, now=lambda: served.now)
    quickest = 1.0
    for _ in range(20):
        began = time.perf_counter()
        for key in range(1000):
            auto.enter()
            auto.uses_cache(key)
            auto.leave("HIT", None)
        quickest = min(quickest, time.perf_counter() - began)
    assert quickest / 1000 < 10e-6
