"""The load: wrk with `rows.lua`, one run at a time, and what it said."""

from __future__ import annotations

import itertools
import re
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

_SCRIPT = Path(__file__).parent / "rows.lua"
# A number is never sent twice: every run has a range of its own.
_RANGE = 100_000_000
_runs = itertools.count(1)
_TO_MS = {"us": 0.001, "ms": 1.0, "s": 1000.0, "m": 60_000.0}


class BadRunError(Exception):
    """A run whose figures mean nothing: an answer that was not 2xx, a broken connection, a wrong verdict."""


@dataclass(frozen=True)
class Load:
    """What is asked: `known` rows or batches were primed, of which `share` per cent of the requests are.

    A batch of kind `mixed` is always new as a whole, and the share is that of its rows.
    """

    share: int
    known: int = 500
    size: int = 1
    kind: Literal["whole", "mixed"] = "whole"


@dataclass(frozen=True)
class Run:
    """One run's figures: requests a second, latencies in ms."""

    rate: float
    p50: float
    p99: float
    requests: int


def drive(*, port: int, path: str, rows: Path, load: Load, connections: int, seconds: int) -> Run:
    """Ask for `seconds`, closed loop. Raises BadRunError."""
    first = next(_runs) * _RANGE
    arguments = [rows, load.share, load.size, load.kind, load.known, first, path]
    done = subprocess.run(
        [
            *("wrk", "--threads", "1", "--connections", str(connections), "--duration", f"{seconds}s"),
            *("--timeout", "30s", "--latency", "--script", str(_SCRIPT), f"http://127.0.0.1:{port}", "--"),
            *map(str, arguments),
        ],
        capture_output=True,
        text=True,
        timeout=seconds + 60,
    )
    if done.returncode:
        raise BadRunError(f"wrk failed: {(done.stderr or done.stdout)[-500:]}")
    return read(done.stdout)


def read(told: str) -> Run:
    """The figures in what wrk printed. Raises BadRunError where it tells of failures, or has no figures."""
    for sign in ("Non-2xx or 3xx responses", "Socket errors"):
        if sign in told:
            raise BadRunError(next(line.strip() for line in told.splitlines() if sign in line))
    return Run(
        rate=float(_found(r"Requests/sec:\s+([\d.]+)", told)),
        p50=_latency("50", told),
        p99=_latency("99", told),
        requests=int(_found(r"(\d+) requests in", told)),
    )


def _latency(percentile: str, told: str) -> float:
    number = _found(rf"\n\s+{percentile}%\s+([\d.]+)(?:us|ms|s|m)\s", told)
    return float(number) * _TO_MS[_found(rf"\n\s+{percentile}%\s+[\d.]+(us|ms|s|m)\s", told)]


def _found(pattern: str, told: str) -> str:
    found = re.search(pattern, told)
    if found is None:
        raise BadRunError(f"wrk said something else than expected: {' '.join(told.split())[-300:]}")
    return found[1]
