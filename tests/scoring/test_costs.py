"""What a prediction will probably take: from two measurements, and from what has happened since."""

from __future__ import annotations

import pytest

from scoring.costs import Cost, Usual, size_of


def test_a_fixed_part_and_a_part_for_each_row() -> None:
    cost = Cost(one=0.0011, many=0.0042, rows=32)
    assert cost.of(1) == pytest.approx(0.0011)
    assert cost.of(32) == pytest.approx(0.0042)
    assert cost.of(1001) == pytest.approx(0.1011)


def test_a_batch_that_was_no_dearer_than_one_row_has_no_part_for_rows() -> None:
    assert Cost(one=0.002, many=0.001, rows=32).of(1000) == pytest.approx(0.002)


def test_a_machine_that_became_slower_is_noticed_and_one_late_prediction_passes() -> None:
    cost = Cost(one=0.001, many=0.001, rows=2)
    cost.learn(1, 0.1)
    assert cost.of(1) > 0.005
    for _ in range(100):
        cost.learn(1, 0.001)
    assert cost.of(1) == pytest.approx(0.001, rel=0.1)


def test_what_is_usual_is_learnt_by_size() -> None:
    usual = Usual()
    assert usual.of(size_of(1)) == 0
    usual.learn(size_of(4), 0.1)
    assert [usual.of(size_of(rows)) for rows in (3, 4, 7, 1000)] == [0.0, 0.1, 0.1, 0.1]
    for _ in range(100):
        usual.learn(size_of(5), 0.2)
    assert usual.of(size_of(4)) == pytest.approx(0.2, rel=0.01)
