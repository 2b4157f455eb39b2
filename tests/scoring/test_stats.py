"""Counters add up, and are handed over once."""

from __future__ import annotations

import time
from collections import Counter

from scoring.stats import KEPT_SECONDS, Statistics

VERSION = "0123456789abcdef" * 4


def test_answers_are_counted_by_verdict_and_time() -> None:
    statistics = Statistics(VERSION)
    statistics.predicted(5000)
    statistics.answered("HIT", epoch=0, total_us=400, predict_us=None)
    statistics.answered("HIT", epoch=0, total_us=500, predict_us=None)
    statistics.answered("MISS", epoch=0, total_us=6000, predict_us=5000)
    statistics.answered("MISS", epoch=0, total_us=2_000_000, predict_us=5000)
    statistics.answered("BYPASS", epoch=0, total_us=5100, predict_us=5000)
    statistics.failed(epoch=0)
    minute = int(time.time() // 60)
    commands = list(statistics.take("iris"))
    keys = {command[1] for command in commands if command[0] == "HINCRBY"}
    assert keys <= {f"iris:stats:{VERSION[:16]}:{minute - 1}", f"iris:stats:{VERSION[:16]}:{minute}"}
    counts: Counter[str] = Counter()
    for command in commands:
        if command[0] == "HINCRBY":
            counts[str(command[2])] += int(command[3])
    assert counts == {
        "hits": 2,
        "hit_us": 900,
        "hit_le_500": 2,
        "saved_us": 9100,
        "misses": 2,
        "miss_us": 2_006_000,
        "miss_le_10000": 1,
        "miss_le_inf": 1,
        "predict_us": 15_000,
        "bypasses": 1,
        "errors": 1,
    }
    assert ("SADD", "iris:versions", VERSION[:16]) in commands
    assert any(command[0] == "EXPIRE" and command[2] == KEPT_SECONDS for command in commands)
    assert list(statistics.take("iris")) == []


def test_epochs_are_counted_apart() -> None:
    statistics = Statistics(VERSION)
    statistics.failed(epoch=0)
    statistics.failed(epoch=2)
    tags = {command[2] for command in statistics.take("iris") if command[0] == "SADD"}
    assert tags == {VERSION[:16], f"{VERSION[:16]}-e2"}
