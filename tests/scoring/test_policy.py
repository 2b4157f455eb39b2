"""Policy auto uses a cache that pays, leaves one that does not, and keeps looking."""

from __future__ import annotations

from scoring.policy import Window


def learned(*, hit_rate: float, predict: float, get: float, store: float) -> Window:
    window = Window()
    for number in range(1000):
        if (number * hit_rate) % 1 >= 1 - hit_rate:
            window.learn("HIT", get=get, store=None, predict=None)
        else:
            window.learn("MISS", get=get, store=store, predict=predict)
    return window


def share(window: Window) -> float:
    return sum(window.uses_cache(f"{first:02x}" + "0" * 30) for first in range(256)) / 256


def test_it_starts_by_using_the_cache() -> None:
    assert share(Window()) == 1


def test_a_dear_model_is_cached() -> None:
    assert share(learned(hit_rate=0.5, predict=0.1, get=0.001, store=0.001)) == 1


def test_a_cheap_model_is_not_but_some_keys_still_are_tried() -> None:
    assert 0.02 < share(learned(hit_rate=0.5, predict=0.0001, get=0.001, store=0.001)) < 0.08


def test_requests_that_never_come_again_are_not_cached() -> None:
    assert share(learned(hit_rate=0.0, predict=0.1, get=0.001, store=0.001)) < 0.08


def test_it_comes_back_when_the_model_has_become_dear() -> None:
    window = learned(hit_rate=0.5, predict=0.0001, get=0.001, store=0.001)
    for _ in range(300):
        window.learn("MISS", get=0.001, store=0.001, predict=0.1)
        window.learn("HIT", get=0.001, store=None, predict=None)
    assert window.pays()
