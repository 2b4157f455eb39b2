"""The tables of legal moves: whatever is over stays over, and everything can be reached."""

from collections.abc import Mapping

import pytest

from deployments.domain.states import (
    ACTIVE_RUNS,
    FINISHED_RUNS,
    RUN_MOVES,
    STEP_MOVES,
    UNFINISHED_STEPS,
    RunState,
    StepState,
)

TABLES = pytest.mark.parametrize(("table", "states"), [(RUN_MOVES, RunState), (STEP_MOVES, StepState)])
OVER = {"succeeded", "failed", "cancelled"}


def reachable(table: Mapping[str, frozenset[str]], start: str) -> set[str]:
    found, edge = {start}, {start}
    while edge:
        edge = {to for state in edge for to in table[state]} - found
        found |= edge
    return found


@TABLES
def test_the_table_speaks_of_every_state(table: Mapping[str, frozenset[str]], states: type[RunState]) -> None:
    assert set(table) == set(states)
    assert {to for moves in table.values() for to in moves} <= set(states)


@TABLES
def test_nothing_leaves_a_finished_state(table: Mapping[str, frozenset[str]], states: type[RunState]) -> None:
    assert {state for state in states if not table[state]} == OVER


@TABLES
def test_everything_is_reached_and_every_end_from_everywhere(
    table: Mapping[str, frozenset[str]], states: type[RunState]
) -> None:
    assert reachable(table, "queued") == set(states)
    for state in set(states) - OVER:
        assert reachable(table, state) >= OVER


@TABLES
def test_no_state_moves_to_itself(table: Mapping[str, frozenset[str]], states: type[RunState]) -> None:
    assert not [state for state in states if state in table[state]]


def test_the_sets_follow_from_the_tables() -> None:
    assert set(RunState) == ACTIVE_RUNS | FINISHED_RUNS
    assert not ACTIVE_RUNS & FINISHED_RUNS
    assert FINISHED_RUNS == OVER
    assert set(StepState) - UNFINISHED_STEPS == OVER
