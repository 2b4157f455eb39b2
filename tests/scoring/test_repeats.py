"""Repeats are counted for as long as an entry would be kept, in bounded memory."""

from __future__ import annotations

from collections.abc import Iterable

from scoring.repeats import REMEMBERED, Repeats


def share(repeats: Repeats, keys: Iterable[int], *, now: float = 0.0) -> float | None:
    for key in keys:
        repeats.count(f"key {key}")
    return repeats.taken(now)


def test_the_share_of_keys_that_came_before_is_told_once() -> None:
    repeats = Repeats(0)
    assert share(repeats, [1, 2, 1, 1]) == 0.5
    assert share(repeats, [1, 2, 3, 4]) == 0.5
    assert share(repeats, []) is None


def test_what_an_entry_would_not_have_outlived_is_not_a_repeat() -> None:
    repeats = Repeats(10)
    assert share(repeats, [1], now=100) == 0
    assert share(repeats, [1], now=104) == 1
    assert share(repeats, [2], now=106) == 0
    assert share(repeats, [2], now=112) == 1
    assert share(repeats, [1], now=118) == 0


def test_only_so_many_keys_are_remembered_and_the_latest_are() -> None:
    repeats = Repeats(0)
    for first in range(0, 5 * REMEMBERED, REMEMBERED):
        assert share(repeats, range(first, first + REMEMBERED)) == 0
    assert share(repeats, [4 * REMEMBERED]) == 1
    assert share(repeats, [0]) == 0
