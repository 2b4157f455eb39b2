"""`benchmarks/run`: measures everything in one run, prints the tables, and keeps them in docs/performance.md."""

from __future__ import annotations

import argparse
import signal
import sys
import time
import traceback
from collections.abc import Callable, Iterator

from benchmarks import machine, report, scenarios
from benchmarks.following import following
from benchmarks.models import train, write_rows
from benchmarks.plan import FULL, QUICK, Bench, Plan, Section
from benchmarks.policies import policies
from benchmarks.stalls import stalls
from benchmarks.starts import starts

Part = Callable[[Bench, frozenset[str]], Iterator[Section]]
PARTS: tuple[tuple[Part, tuple[str, ...]], ...] = (
    (scenarios.regression, ("hits", "misses", "mixed", "single", "batches")),
    (scenarios.forest, ("misses", "mixed", "batches")),
    (stalls, ("stalls",)),
    (policies, ("policy",)),
    (following, ("follow",)),
    (starts, ("starts",)),
)
KEYS = tuple(dict.fromkeys(key for _, keys in PARTS for key in keys))


def main(arguments: list[str]) -> int:
    """0 where everything could be measured, 1 where something failed (the rest is reported), 2 where nothing can."""
    parser = argparse.ArgumentParser(prog="benchmarks/run", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="one short round of each: shows that it works")
    parser.add_argument("--only", default="", metavar="LIST", help=f"some of {','.join(KEYS)}")
    parser.add_argument("--write", action="store_true", help="write docs/performance.md even so")
    chosen = parser.parse_args(arguments)
    only = frozenset(chosen.only.split(",")) if chosen.only else frozenset(KEYS)
    if unknown := only - set(KEYS):
        parser.error(f"there is no {', '.join(sorted(unknown))}; choose from {', '.join(KEYS)}")
    started = time.monotonic()

    def say(text: str) -> None:
        print(f"[{time.monotonic() - started:4.0f} s] {text}", file=sys.stderr, flush=True)

    # An end from outside ends what was started, too, and what is measured so far is told.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        machine.check()
        bench = _prepared(QUICK if chosen.quick else FULL, say)
    except machine.CannotMeasureError as error:
        print(error, file=sys.stderr)
        return 2
    sections: list[Section] = []
    try:
        _measure(bench, only, sections)
        whole = True
    except KeyboardInterrupt:
        say("!! ended from outside: what follows is not all")
        whole = False
    text = report.render(sections, bench, " ".join(["benchmarks/run", *arguments]))
    print(text)
    if whole and (chosen.write or not (chosen.quick or chosen.only)):
        report.keep(text)
        say(f"written into {report.DOCUMENT}")
    return 0 if whole and not any(section.troubles for section in sections) else 1


def _prepared(plan: Plan, say: Callable[[str], None]) -> Bench:
    say("the environment of the FastAPI peer")
    machine.make_peers()
    say("training the models")
    regression, forest = train()
    machine.stay_with_the_askers()
    return Bench(plan, regression, forest, write_rows(), say)


def _measure(bench: Bench, only: frozenset[str], sections: list[Section]) -> None:
    for part, keys in PARTS:
        if not only & set(keys):
            continue
        try:
            for section in part(bench, only):
                sections.append(section)
        except Exception as error:
            # One part that fails must not cost the others; the report says that it did.
            traceback.print_exc()
            bench.say(f"!! {part.__name__} failed: {error}")
            trouble = f"not measured: {type(error).__name__}: {error}"
            sections.append(Section(keys[0], part.__name__, troubles=[trouble]))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
