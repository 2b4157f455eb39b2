"""One scenario: several peers under the same load, in rounds that begin with another peer each time."""

from __future__ import annotations

import json
import time
from collections import Counter
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median

from benchmarks.candidates import PREFIX
from benchmarks.load import BadRunError, Load, Run, drive
from benchmarks.models import known_rows
from benchmarks.processes import Running

Say = Callable[[str], None]
# Per cent by which hits may differ from what was asked for: the last requests of a run are cut off.
_TOLERANCE = 2.0


@dataclass
class Outcome:
    """What the rounds gave, by peer; a peer whose run was bad is in `failed` with the reason, and nowhere else."""

    runs: dict[str, list[Run]] = field(default_factory=dict)
    costs: dict[str, list[float]] = field(default_factory=dict)
    failed: dict[str, str] = field(default_factory=dict)

    def rate(self, name: str) -> float:
        """Median requests a second. Raises KeyError."""
        return median(run.rate for run in self.runs[name])

    def p50(self, name: str) -> float:
        """Median of the rounds' medians, in ms. Raises KeyError."""
        return median(run.p50 for run in self.runs[name])

    def p99(self, name: str) -> float:
        """Median of the rounds' 99th percentiles, in ms. Raises KeyError."""
        return median(run.p99 for run in self.runs[name])

    def cost(self, name: str) -> float:
        """Median µs of processor time that a request took of the peer. Raises KeyError."""
        return median(self.costs[name])

    def ratio(self, name: str, other: str) -> float:
        """How many times the other's rate: the median over the rounds of what each round says. Raises KeyError."""
        pairs = zip(self.runs[name], self.runs[other], strict=True)
        return median(one.rate / two.rate for one, two in pairs)


def measure(
    running: list[Running],
    *,
    load: Load,
    rows: Path,
    connections: int,
    seconds: int,
    rounds: int,
    say: Say,
    warm_up: Mapping[str, int] | None = None,
    expected: Mapping[str, float | None] | None = None,
) -> Outcome:
    """Prime, check, then measure in turns.

    `warm_up` has, by name, seconds of the same load that come first and are not counted; `expected` the per cents
    of hits where they are not the load's share, None where any are right.
    """
    outcome = Outcome()
    ready = []
    for each in running:
        try:
            prepare(each, load)
            if warm_up and each.peer.name in warm_up:
                _driven(each, load, rows, connections, warm_up[each.peer.name])
        except (BadRunError, OSError) as error:
            _thrown_away(outcome, each, str(error), say)
        else:
            ready.append(each)
    before = {each.peer.name: counted(each) for each in ready}
    for turn in range(rounds):
        for each in ready[turn % len(ready) :] + ready[: turn % len(ready)] if ready else ():
            name = each.peer.name
            if name in outcome.failed:
                continue
            spent = each.processor()
            try:
                run = _driven(each, load, rows, connections, seconds)
            except BadRunError as error:
                _thrown_away(outcome, each, str(error), say)
            else:
                outcome.runs.setdefault(name, []).append(run)
                outcome.costs.setdefault(name, []).append((each.processor() - spent) / run.requests * 1e6)
    # Our server writes its statistics once a second.
    time.sleep(1.5 if any(each.peer.ours for each in ready) else 0)
    for each in ready:
        if each.peer.name in outcome.runs and load.kind == "whole":
            share = _hit_share(before[each.peer.name], counted(each))
            wanted = (expected or {}).get(each.peer.name, float(load.share))
            if share is None or wanted is None or not each.peer.caches:
                continue
            if abs(share - wanted) > _TOLERANCE:
                _thrown_away(outcome, each, f"{share:.1f} % hits where {wanted:.0f} % were meant", say)
    return outcome


def _driven(running: Running, load: Load, rows: Path, connections: int, seconds: int) -> Run:
    return drive(
        port=running.port, path=running.peer.path, rows=rows, load=load, connections=connections, seconds=seconds
    )


def prepare(running: Running, load: Load) -> None:
    """Empty its cache and send each known request once; then the first again, and check what comes.

    Raises BadRunError for a wrong status or verdict.
    """
    running.redis.flushall()
    rows = known_rows()
    # Of a mixed batch it is the rows that are known, of a whole one the batch.
    count = load.known // load.size if load.kind == "mixed" else load.known
    batches = [[rows[(first * load.size + at) % len(rows)] for at in range(load.size)] for first in range(count)]
    bodies = [json.dumps({"data": batch}).encode() for batch in (batches if load.share else batches[:1])]
    with ThreadPoolExecutor(4) as pool:
        answers = list(pool.map(running.post, bodies))
    answers.append(running.post(bodies[0]))
    for status, _, body in answers:
        if status != 200:
            raise BadRunError(f"answered {status} while it was primed: {body[:200]!r}")
    verdict = answers[-1][1].get("x-cache")
    policy = running.peer.environment.get("SCORING_CACHE_POLICY", "on")
    wanted = {"on": "HIT", "off": "BYPASS"}.get(policy) if running.peer.caches else "BYPASS"
    if verdict is not None and wanted is not None and verdict != wanted:
        raise BadRunError(f"X-Cache of a known request was {verdict}, not {wanted}")


def counted(running: Running) -> Counter[str]:
    """Hits, misses and the rest so far: of our server by its own statistics, of the others by Redis's counters."""
    counts: Counter[str] = Counter()
    if running.peer.ours:
        for key in running.redis.scan_iter(f"{PREFIX}:stats:*"):
            counts.update({str(name): int(value) for name, value in running.redis.hgetall(key).items()})
    else:
        info = running.redis.info("stats")
        counts.update(hits=int(info["keyspace_hits"]), misses=int(info["keyspace_misses"]))
    return counts


def _hit_share(before: Counter[str], after: Counter[str]) -> float | None:
    since = after - before
    asked = since["hits"] + since["misses"] + since["bypasses"]
    return 100 * since["hits"] / asked if asked else None


def _thrown_away(outcome: Outcome, running: Running, why: str, say: Say) -> None:
    outcome.runs.pop(running.peer.name, None)
    outcome.failed[running.peer.name] = why
    say(f"!! THROWN AWAY: {running.peer.name}: {why}")
