"""The meter counts work and waiting, and neither pauses between requests nor itself."""

from __future__ import annotations

import time

import pytest

from scoring.meter import Meter


def work(seconds: float) -> None:
    """Use the CPU for so long."""
    end = time.thread_time() + seconds
    while time.thread_time() < end:
        pass


def test_work_counts_whether_or_not_a_request_is_under_way() -> None:
    meter = Meter()
    meter.start(busy=False)
    work(0.02)
    meter.enter()
    work(0.03)
    meter.leave()
    assert 0.045 < meter.stop() < 0.075


def test_waiting_counts_only_while_a_request_is_under_way() -> None:
    meter = Meter()
    meter.start(busy=True)
    time.sleep(0.05)
    meter.leave()
    time.sleep(0.2)
    meter.enter()
    time.sleep(0.05)
    assert meter.stop() == pytest.approx(0.1, abs=0.06)


def test_each_measurement_begins_anew() -> None:
    meter = Meter()
    meter.start(busy=True)
    work(0.05)
    meter.stop()
    meter.start(busy=False)
    assert meter.stop() < 0.01


def test_what_measuring_costs_is_not_counted() -> None:
    meter = Meter()
    meter.start(busy=False)
    began = time.thread_time()
    for _ in range(20_000):
        meter.enter()
        meter.leave()
    took = time.thread_time() - began
    assert meter.stop() < 0.6 * took
