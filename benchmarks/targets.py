"""What is wanted of the scoring server, and whether a run's figures show it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from benchmarks.candidates import AML, FASTAPI, FLOOR
from benchmarks.plan import Table
from benchmarks.scenarios import DICT, OWN_FOREST, PLAIN
from benchmarks.stalls import CONNECTIONS, OURS

_HITS = "LogisticRegression/Hits/32"
# Mega as in MB of the tables: 1,000,000 bytes.
_MOST_MEMORY = 200.0


def targets(figures: Mapping[str, float]) -> Table:
    """One row each: wanted, measured, and whether it holds; what was not measured is said."""
    rows = [[name, wanted, measured, holds] for name, wanted, measured, holds in _rows(figures)]
    return Table("Targets", ["", "wanted", "measured", "holds"], rows)


def _rows(figures: Mapping[str, float]) -> Iterator[tuple[str, str, str, str]]:
    for peer, name, least in (
        (DICT, FASTAPI, 7.0),
        (DICT, AML, 20.0),
        (PLAIN, FASTAPI, 5.0),
        (PLAIN, AML, 15.0),
        (PLAIN, FLOOR, 0.7),
    ):
        found = figures.get(f"{_HITS}/{peer}/{name}")
        told = None if found is None else f"{found:.2f} x"
        yield _row(
            f"Hits, 32 connections, {peer}, beside {name}", f"{least:g} x", told, found is not None and found >= least
        )
    rates = [figures.get(f"RandomForest, 500 trees/Misses/{count}/{PLAIN}/rate") for count in (4, 32)]
    rate, own = min((each for each in rates if each is not None), default=None), figures.get(OWN_FOREST)
    gain = None if rate is None or own is None else rate * own / 1e6
    told = None if gain is None or own is None else f"{gain:.1f} x ({rate:,.0f}/s beside {1e6 / own:.1f}/s)"
    yield _row("Misses of the forest beside its own predict", "40 x", told, gain is not None and gain >= 40)
    ratios = {name: ratio for name, ratio in figures.items() if name.startswith("policy/")}
    if ratios:
        worst = min(ratios, key=lambda name: ratios[name])
        kept = sum(ratio >= 0.95 for ratio in ratios.values())
        where = worst.removeprefix("policy/").replace("/", ", ")
        told = f"{ratios[worst]:.2f} at worst ({where} % hits); {kept} of {len(ratios)} cases hold"
        yield _row("Policy auto beside the better of on and off", "0.95 x", told, kept == len(ratios))
    else:
        yield _row("Policy auto beside the better of on and off", "0.95 x", None, False)
    follows = [seconds for name, seconds in figures.items() if name.startswith("follow/")]
    told = f"{max(follows):.1f} s at most" if follows else None
    yield _row("Policy auto follows when the traffic changes", "yes", told, bool(follows) and max(follows) < 20)
    for connections in CONNECTIONS:
        found = figures.get(f"stalls/{connections}/{OURS}")
        told = None if found is None else f"{found:.2f} x"
        name = f"p50 with 10 % slow misses beside hits only, {connections} connections"
        yield _row(name, "at most 2 x", told, found is not None and found <= 2)
    memory = [size for name, size in figures.items() if name.startswith("memory/scoring, LogisticRegression")]
    told = f"{max(memory):.0f} MB at most" if memory else None
    name = "Memory of a process with the LogisticRegression"
    yield _row(name, f"under {_MOST_MEMORY:.0f} MB", told, bool(memory) and max(memory) < _MOST_MEMORY)
    starts = [seconds for name, seconds in figures.items() if name.startswith("start/scoring")]
    told = f"{min(starts):.1f} to {max(starts):.1f} s" if starts else None
    yield _row("Cold start to ready", "stated", told, bool(starts))


def _row(name: str, wanted: str, measured: str | None, holds: bool) -> tuple[str, str, str, str]:
    if measured is None:
        return name, wanted, "not measured", "?"
    return name, wanted, measured, "yes" if holds else "**no**"
