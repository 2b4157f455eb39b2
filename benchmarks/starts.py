"""From nothing to ready, and what a process holds in memory once it has answered for a while."""

from __future__ import annotations

from collections.abc import Iterator
from statistics import median

from benchmarks.candidates import azureml, fastapi, ours
from benchmarks.load import Load, drive
from benchmarks.measure import prepare
from benchmarks.plan import Bench, Section, Table
from benchmarks.policies import LOCAL_MB
from benchmarks.processes import Peer, up

_CONNECTIONS = 8
_KNOWN = 100


def starts(bench: Bench, _only: frozenset[str]) -> Iterator[Section]:
    """Cold starts, the median of several, and resident memory after a second of 90 % hits."""
    section = Section("starts", "Cold start and memory")
    table = Table("One process on one core", ["", "to ready, s (median)", "resident, MB", "of its child, MB"], [])
    section.tables.append(table)
    yield section
    for name, peer in _peers(bench):
        bench.say(f"cold start: {name}")
        took = []
        for at in range(bench.plan.starts):
            with up((peer,), section.troubles.append) as running:
                took += [each.cold_start for each in running]
                if at < bench.plan.starts - 1:
                    continue
                for each in running:
                    load = Load(90, _KNOWN)
                    prepare(each, load)
                    drive(
                        port=each.port,
                        path=peer.path,
                        rows=bench.rows,
                        load=load,
                        connections=_CONNECTIONS,
                        seconds=1,
                    )
                    main, child = each.memory()
                    section.figures[f"memory/{name}"] = main / 1e6
                    section.figures[f"start/{name}"] = median(took)
                    table.rows.append(
                        [name, f"{median(took):.2f}", f"{main / 1e6:.0f}", f"{child / 1e6:.0f}" if child else ""]
                    )


def _peers(bench: Bench) -> Iterator[tuple[str, Peer]]:
    for model in (bench.regression, bench.forest):
        packages = bench.packages(model)
        if packages.onnx is not None:
            yield f"scoring, {model.name}, ONNX", ours("start-onnx", packages.onnx, local_mb=LOCAL_MB)
        yield f"scoring, {model.name}, original", ours("start-original", packages.original, local_mb=LOCAL_MB)
    yield "FastAPI + redis.asyncio, LogisticRegression", fastapi(bench.regression)
    yield "azureml-inference-server, LogisticRegression", azureml(bench.regression)
