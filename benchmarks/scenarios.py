"""What is asked of whom: each scenario's peers, load and connections, for one model's servers that stay up."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from benchmarks.candidates import AML, FASTAPI, FASTAPI_ALONE, FLOOR, HELLO, azureml, fastapi, floor, hello, ours
from benchmarks.load import Load
from benchmarks.measure import Outcome, measure
from benchmarks.models import Trained, own_predict_us
from benchmarks.plan import Bench, Section, Table
from benchmarks.processes import Peer, Running, up

DICT = "scoring, local dict"
PLAIN = "scoring, a GET each"
ORIGINAL = "scoring, original form"
ROWS = "scoring, keys by row"
OFF = "scoring, no cache"
OFF_ORIGINAL = "scoring, original form, no cache"
# What the forest's own predict takes for one row, in µs, among the figures.
OWN_FOREST = "RandomForest, 500 trees/own predict"
# Those that answer without looking anything up, whatever was asked before.
_NEVER_HIT = {OFF: 0.0, OFF_ORIGINAL: 0.0}
_ONE_ROW = (DICT, PLAIN, ORIGINAL, OFF, FASTAPI, FASTAPI_ALONE, AML)
_HALF_KNOWN = "Batches of 100, half the rows known"
_BATCHES = (PLAIN, ROWS, OFF, FASTAPI, FASTAPI_ALONE, AML)


@dataclass(frozen=True)
class Scenario:
    """`key` is its name for --only; rounds are of so many seconds."""

    key: str
    title: str
    load: Load
    peers: tuple[str, ...]
    connections: tuple[int, ...] = (4, 32)
    seconds: int = 1
    rounds: int = 2


REGRESSION = (
    Scenario("hits", "Hits", Load(100), (HELLO, FLOOR, DICT, PLAIN, OFF, FASTAPI, AML), seconds=2, rounds=3),
    Scenario("misses", "Misses", Load(0), (PLAIN, ORIGINAL, OFF, OFF_ORIGINAL, FASTAPI, FASTAPI_ALONE, AML), rounds=3),
    Scenario("mixed", "90 % hits, 10 % misses", Load(90), _ONE_ROW, rounds=3),
    Scenario("single", "One connection, hits", Load(100), (FLOOR, DICT, PLAIN, FASTAPI, AML), (1,)),
    Scenario("single", "One connection, misses", Load(0), (PLAIN, ORIGINAL, FASTAPI, AML), (1,)),
    Scenario("batches", "Batches of 100, new", Load(0, 32, 100), _BATCHES, (4,)),
    Scenario("batches", "Batches of 100, the same again", Load(100, 16, 100), _BATCHES, (4,)),
    Scenario("batches", "Batches of 100, half the rows known", Load(50, 1600, 100, "mixed"), _BATCHES, (4,)),
)
_FOREST = (PLAIN, ORIGINAL, OFF, FASTAPI, FASTAPI_ALONE, AML)
_FOREST_BATCHES = (PLAIN, ROWS, ORIGINAL, FASTAPI)
FOREST = (
    Scenario("misses", "Misses", Load(0), _FOREST, seconds=2),
    Scenario("mixed", "90 % hits, 10 % misses", Load(90, 60), _FOREST, (8,), seconds=2),
    Scenario("batches", "Batches of 100, new", Load(0, 8, 100), _FOREST_BATCHES, (4,)),
    Scenario("batches", "Batches of 100, the same again", Load(100, 8, 100), _FOREST_BATCHES, (4,)),
    Scenario("batches", _HALF_KNOWN, Load(50, 800, 100, "mixed"), _FOREST_BATCHES, (4,)),
)


def regression(bench: Bench, only: frozenset[str]) -> Iterator[Section]:
    """All that is asked of LogisticRegression."""
    yield from _group("LogisticRegression", bench, REGRESSION, only, _regression_peers)


def forest(bench: Bench, only: frozenset[str]) -> Iterator[Section]:
    """All that is asked of the forest."""
    for section in _group("RandomForest, 500 trees", bench, FOREST, only, _forest_peers):
        if section.key == "misses":
            bench.say("RandomForest: its own predict")
            took = own_predict_us(bench.forest, asked=60)
            section.figures[OWN_FOREST] = took
            section.tables.append(
                Table(
                    "Its own predict, one row, in a loop without a server",
                    ["", "ms"],
                    [["median", f"{took / 1e3:.1f}"]],
                )
            )
        yield section


def _regression_peers(bench: Bench) -> tuple[Peer, ...]:
    model = bench.regression
    return (
        hello(),
        floor(),
        *_ours(bench, model),
        ours(DICT, bench.packages(model).executed, local_mb=16),
        ours(OFF_ORIGINAL, bench.packages(model).original, policy="off"),
        fastapi(model),
        fastapi(model, cache=False),
        azureml(model),
    )


def _forest_peers(bench: Bench) -> tuple[Peer, ...]:
    model = bench.forest
    return (
        *_ours(bench, model),
        fastapi(model, slow=True),
        fastapi(model, cache=False, slow=True),
        azureml(model),
    )


def _ours(bench: Bench, model: Trained) -> tuple[Peer, ...]:
    fast = bench.packages(model).executed
    return (
        ours(PLAIN, fast),
        ours(ORIGINAL, bench.packages(model).original),
        ours(ROWS, fast, keys="row"),
        ours(OFF, fast, policy="off"),
    )


def _group(
    model: str,
    bench: Bench,
    scenarios: tuple[Scenario, ...],
    only: frozenset[str],
    peers: Callable[[Bench], tuple[Peer, ...]],
) -> Iterator[Section]:
    chosen = [scenario for scenario in scenarios if scenario.key in only]
    wanted = {name for scenario in chosen for name in scenario.peers}
    if not chosen:
        return
    troubles: list[str] = []
    with up(tuple(peer for peer in peers(bench) if peer.name in wanted), troubles.append) as running:
        sections: dict[str, Section] = {}
        for scenario in chosen:
            section = sections.setdefault(scenario.key, Section(scenario.key, model))
            _measured(bench, section, scenario, running)
    first, *_ = sections.values()
    first.troubles += troubles
    yield from sections.values()


def _measured(bench: Bench, section: Section, scenario: Scenario, running: list[Running]) -> None:
    plan = bench.plan
    outcomes: dict[int, Outcome] = {}
    for connections in scenario.connections:
        bench.say(f"{section.title}: {scenario.title}, {connections} connections")
        outcomes[connections] = measure(
            [each for each in running if each.peer.name in scenario.peers],
            load=scenario.load,
            rows=bench.rows,
            connections=connections,
            seconds=plan.seconds(scenario.seconds),
            rounds=plan.rounds(scenario.rounds),
            say=bench.say,
            expected=_NEVER_HIT,
        )
        for name, why in outcomes[connections].failed.items():
            section.troubles.append(f"{scenario.title}, {connections} connections, {name}: thrown away, {why}")
    section.tables.append(_table(scenario, outcomes))
    for connections, outcome in outcomes.items():
        for name in outcome.runs:
            section.figures[f"{section.title}/{scenario.title}/{connections}/{name}/rate"] = outcome.rate(name)
            for other in (FASTAPI, AML, FLOOR):
                if other in outcome.runs and other != name:
                    figure = f"{section.title}/{scenario.title}/{connections}/{name}/{other}"
                    section.figures[figure] = outcome.ratio(name, other)


def _table(scenario: Scenario, outcomes: dict[int, Outcome]) -> Table:
    head = [""]
    for connections in outcomes:
        noun = "connection" if connections == 1 else "connections"
        head += [f"{connections} {noun}, requests/s", "p50 / p99 ms", "CPU µs", "times FastAPI"]
    rows = []
    for name in scenario.peers:
        row = [name]
        for outcome in outcomes.values():
            if name not in outcome.runs:
                row += ["–"] * 4
                continue
            ratio = f"{outcome.ratio(name, FASTAPI):.2f}" if FASTAPI in outcome.runs else "–"
            row += [f"{outcome.rate(name):,.0f}", f"{outcome.p50(name):.2f} / {outcome.p99(name):.2f}"]
            row += [f"{outcome.cost(name):,.0f}", ratio]
        rows.append(row)
    return Table(scenario.title, head, rows)
