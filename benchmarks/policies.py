"""Policy `auto` beside `on` and `off`, for every model in every form at several hit rates."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from benchmarks.candidates import ours
from benchmarks.load import Load
from benchmarks.measure import measure
from benchmarks.plan import Bench, Section, Table
from benchmarks.processes import Running, up

POLICIES = ("on", "off", "auto")
_CONNECTIONS = 8
_WARM_UP = 2
_ROUNDS = 3
# What the spec has as its default.
LOCAL_MB = 16


@dataclass(frozen=True)
class Case:
    """A model in one form. A slow one is asked longer, so that there is something to count."""

    name: str
    package: Path
    known: int
    times: int


def policies(bench: Bench, _only: frozenset[str]) -> Iterator[Section]:
    """All cases at all hit rates."""
    section = Section("policy", "Policy auto beside on and off")
    head = ["", "hits meant", *(f"{policy}, requests/s" for policy in POLICIES), "auto / better"]
    table = Table(f"{_CONNECTIONS} connections, local dict of {LOCAL_MB} MB", head, [])
    section.tables.append(table)
    yield section
    for case in _cases(bench):
        peers = tuple(ours(policy, case.package, policy=policy, local_mb=LOCAL_MB) for policy in POLICIES)
        with up(peers, section.troubles.append) as running:
            for share in bench.plan.shares if len(running) == len(POLICIES) else ():
                table.rows.append(_row(bench, section, case, share, running))


def _cases(bench: Bench) -> list[Case]:
    regression, forest = bench.packages(bench.regression), bench.packages(bench.forest)
    cases = [Case("LogisticRegression, original", regression.original, 500, 1)]
    if regression.onnx is not None:
        cases.append(Case("LogisticRegression, ONNX", regression.onnx, 500, 1))
    if forest.onnx is not None:
        cases.append(Case("RandomForest, ONNX", forest.onnx, 500, 1))
    return [*cases, Case("RandomForest, original", forest.original, 60, 2)]


def _row(bench: Bench, section: Section, case: Case, share: int, running: list[Running]) -> list[str]:
    bench.say(f"policies: {case.name}, {share} % hits")
    outcome = measure(
        running,
        load=Load(share, case.known),
        rows=bench.rows,
        connections=_CONNECTIONS,
        seconds=case.times,
        rounds=bench.plan.rounds(_ROUNDS),
        say=bench.say,
        warm_up={"auto": _WARM_UP},
        expected={"off": 0.0, "auto": None},
    )
    section.troubles += [f"{case.name}, {share} %, {name}: thrown away, {why}" for name, why in outcome.failed.items()]
    if outcome.failed:
        return [case.name, f"{share} %", "–", "–", "–", "–"]
    better = max(("on", "off"), key=outcome.rate)
    ratio = outcome.ratio("auto", better)
    section.figures[f"policy/{case.name}/{share}"] = ratio
    rates = [f"{outcome.rate(policy):,.0f}" for policy in POLICIES]
    return [case.name, f"{share} %", *rates, f"{ratio:.2f}"]
