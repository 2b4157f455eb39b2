"""The line before the model: in order, two in hand, nobody in vain, and none whose owner has gone."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine

import pytest

from scoring.costs import size_of
from scoring.errors import ScoringError
from scoring.line import Line


def run(test: Callable[[], Coroutine[None, None, None]]) -> Callable[[], None]:
    """The test on an event loop of its own."""

    def on_a_loop() -> None:
        asyncio.run(test())

    return on_a_loop


@run
async def test_turns_come_in_order_and_not_to_who_has_gone() -> None:
    line = Line(60)
    assert line.idle
    first, second = await line.turn(1), await line.turn(1)
    came: list[str] = []

    async def wait(name: str) -> None:
        turn = await line.turn(1)
        came.append(name)
        line.end(turn, worked=True)

    gone, third, fourth = (asyncio.create_task(wait(name)) for name in ("gone", "third", "fourth"))
    await asyncio.sleep(0)
    assert came == []
    gone.cancel()
    # Its turn would come now, before it has noticed.
    line.end(first, worked=True)
    await asyncio.gather(gone, third, fourth, return_exceptions=True)
    assert came == ["third", "fourth"]
    line.end(second, worked=True)
    assert line.idle


@run
async def test_a_turn_that_comes_as_its_owner_goes_is_the_next_ones() -> None:
    line = Line(60)
    first = await line.turn(1)
    second = await line.turn(1)
    gone, following = asyncio.create_task(line.turn(1)), asyncio.create_task(line.turn(1))
    await asyncio.sleep(0)
    line.end(first, worked=True)
    gone.cancel()
    turn = await asyncio.wait_for(following, 5)
    assert gone.cancelled()
    line.end(turn, worked=True)
    line.end(second, worked=True)
    assert line.idle


@run
async def test_who_would_wait_in_vain_is_turned_away_but_an_idle_model_tries_anything() -> None:
    line = Line(10)
    line.usual.learn(size_of(1), 1.5)
    line.usual.learn(size_of(1000), 50)
    taken = [await line.turn(1), await line.turn(1)]
    waiting = asyncio.create_task(line.turn(1))
    await asyncio.sleep(0)
    # Three that may take 3 seconds each, and its own 1.5.
    with pytest.raises(ScoringError) as refused:
        await line.turn(1)
    assert (refused.value.status, refused.value.code) == (503, "overloaded")
    waiting.cancel()
    await asyncio.gather(waiting, return_exceptions=True)
    for turn in taken:
        line.end(turn, worked=False)
    line.end(await line.turn(1000), worked=False)


@run
async def test_what_is_at_work_for_long_is_expected_to_take_as_long_again() -> None:
    line = Line(0.2)
    turn = await line.turn(1)
    await asyncio.sleep(0.15)
    with pytest.raises(ScoringError):
        await line.turn(1)
    line.end(turn, worked=True)
    assert line.usual.of(size_of(1)) > 0.1
