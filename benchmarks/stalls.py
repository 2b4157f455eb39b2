"""What slow misses do to hits: the median latency with none and with 10 % of them."""

from __future__ import annotations

from collections.abc import Iterator

from benchmarks.candidates import FASTAPI, fastapi, ours
from benchmarks.load import Load
from benchmarks.measure import measure
from benchmarks.plan import Bench, Section, Table
from benchmarks.processes import up

OURS = "scoring, original form"
CONNECTIONS = (4, 8)
_SECONDS, _ROUNDS = 3, 2
_KNOWN = 40


def stalls(bench: Bench, _only: frozenset[str]) -> Iterator[Section]:
    """The forest in its original form, about 30 ms a prediction, ours and FastAPI's."""
    section = Section("stalls", "Slow misses among hits")
    head = ["RandomForest, original form", "connections", "p50 ms, hits only", "p50 ms, 10 % misses", "times"]
    table = Table("Median latency", head, [])
    section.tables.append(table)
    yield section
    peers = (ours(OURS, bench.packages(bench.forest).original), fastapi(bench.forest, slow=True))
    with up(peers, section.troubles.append) as running:
        for connections in CONNECTIONS:
            bench.say(f"slow misses among hits, {connections} connections")
            alone, among = (
                measure(
                    running,
                    load=Load(share, _KNOWN),
                    rows=bench.rows,
                    connections=connections,
                    seconds=_SECONDS,
                    rounds=bench.plan.rounds(_ROUNDS),
                    say=bench.say,
                )
                for share in (100, 90)
            )
            section.troubles += [f"{connections} connections, {name}: {why}" for name, why in alone.failed.items()]
            section.troubles += [f"{connections} connections, {name}: {why}" for name, why in among.failed.items()]
            for name in (OURS, FASTAPI):
                if name in alone.runs and name in among.runs:
                    before, after = alone.p50(name), among.p50(name)
                    section.figures[f"stalls/{connections}/{name}"] = after / before
                    table.rows.append(
                        [name, str(connections), f"{before:.2f}", f"{after:.2f}", f"{after / before:.2f}"]
                    )
