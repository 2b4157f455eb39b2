"""`python -m scoring.convert`: make a model's ONNX form, prove that it answers alike, and measure what it gains."""

from __future__ import annotations

import argparse
import importlib
import json
import os
import signal
import statistics
import sys
import time
import warnings
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from types import FrameType
from typing import Any

import msgspec

from scoring import proof
from scoring.describe import describe
from scoring.formats import FORMATS
from scoring.onnx_form import OnnxForm, Outputs
from scoring.opening import METHODS, OpenError, open_model
from scoring.outputs import encode_output
from scoring.proof_rows import Value, chunks, count, part
from scoring.sessions import open_session
from scoring.trees import Forest, forest_of

# Converters need one to two kilobytes of memory for a node of a tree.
MOST_NODES = 1_000_000

# Below this, two forms to keep apart are not worth it.
LEAST_GAIN = 1.2

_PAIRS = 200
_TIMING_SECONDS = 1.5

Description = dict[str, Any]
Verdict = dict[str, Any]


class _TooSlowError(BaseException):
    """The processor time is used up. Not an Exception, so that no converter swallows it."""


def main(arguments: Sequence[str]) -> int:
    """Print one line of JSON; 0 with the verdict, 1 with `error` where the model cannot be opened."""
    answers = os.dup(1)
    os.dup2(2, 1)
    try:
        told: dict[str, Any] = {"ok": True, **verdict_of(arguments)}
    except OpenError as error:
        told = {"ok": False, "error": error.as_dict()}
    with os.fdopen(answers, "w") as out:
        out.write(json.dumps(told, allow_nan=False) + "\n")
    return 0 if told["ok"] else 1


def verdict_of(arguments: Sequence[str]) -> Verdict:
    """The verdict that the command line asks for. Raises OpenError."""
    parser = argparse.ArgumentParser(prog="python -m scoring.convert", description=__doc__)
    parser.add_argument("--package-model", type=Path, required=True)
    parser.add_argument("--format", choices=FORMATS, required=True)
    parser.add_argument("--method", default="predict", choices=METHODS)
    parser.add_argument("--code", type=Path)
    parser.add_argument("--description", type=Path, help="JSON of scoring.describe; described afresh without it")
    parser.add_argument(
        "--execution", choices=("auto", "onnx"), default="auto", help="onnx: accepted even if it is not faster"
    )
    parser.add_argument("--seconds", type=float, default=60.0, help="processor time to convert and compare in")
    parser.add_argument("--out", type=Path, required=True)
    options = parser.parse_args(arguments)
    if options.format == "onnx":
        return refused("already_onnx", "The model was uploaded as ONNX, so there is nothing to convert.")
    warnings.simplefilter("ignore")
    how: dict[str, Any] = {"method": options.method, "model_format": options.format, "code": options.code}
    model = open_model(options.package_model, **how)
    given = options.description
    described = json.loads(given.read_bytes()) if given else describe(options.package_model, **how)
    previous = signal.signal(signal.SIGPROF, _too_slow)
    signal.setitimer(signal.ITIMER_PROF, options.seconds)
    try:
        return convert(model, options.method, described, options.out, faster_only=options.execution == "auto")
    except _TooSlowError:
        return refused(
            "too_slow",
            f"Converting the model and comparing the forms took more than {options.seconds:g} s of processor time.",
        )
    except MemoryError:
        return refused("too_large", "Converting the model took more memory than it may have.")
    except Exception as error:
        # Whatever is no estimator of scikit-learn may lack whatever a converter asks of it.
        return refused("no_converter", f"skl2onnx cannot read this model: {type(error).__name__}: {_short(error)}.")
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
        signal.signal(signal.SIGPROF, previous)


def _too_slow(_signal: int, _frame: FrameType | None) -> None:
    raise _TooSlowError


def refused(code: str, reason: str, **more: Any) -> Verdict:
    """The verdict that leaves the original in its place."""
    return {"accepted": False, "code": code, "reason": reason, "rows": 0, **_NO_FIGURES, **more}


_NO_FIGURES = {"gain": None, "original_us": None, "onnx_us": None, "outputs": None}


def convert(model: Any, method: str, described: Description, out: Path, *, faster_only: bool = True) -> Verdict:
    """The verdict on a model's ONNX form, which is written to `out` where it is accepted.

    `described` is the model's description. Its reason holds nothing that differs from run to run.
    """
    schema = described["input"]
    if schema["example"] is None or schema["features"] is None:
        return refused("no_example", "No row is known that the model can score, so that nothing could be compared.")
    forest = forest_of(model)
    if forest is not None and forest.nodes > MOST_NODES:
        return refused(
            "too_large", f"The model's trees have {forest.nodes:,} nodes; up to {MOST_NODES:,} are converted."
        )
    try:
        conversion = importlib.import_module("scoring.conversion")
    except ImportError as error:
        return refused(
            "not_installed", f"The model's environment has no usable {error.name}, which converting to ONNX needs."
        )
    original = _original(model, method, schema)
    exact = method == "predict" and described["output"]["classes"] is not None
    rows = partial(chunks, model, schema, forest, _most_nodes(forest))
    verdict: Verdict | None = None
    for attempt in conversion.attempts(model, method, schema, forest):
        try:
            candidate = attempt()
        except conversion.ConversionError as error:
            verdict = verdict or refused("no_converter", f"skl2onnx has no form for this model: {error}.")
            continue
        found = _tried(candidate, original, rows, exact=exact)
        if found["accepted"]:
            return _measured(found, candidate, original, rows, out, faster_only=faster_only)
        verdict = verdict if verdict is not None and verdict["rows"] else found
    return verdict or refused("no_converter", "skl2onnx has no form for this model.")


def _most_nodes(forest: Forest | None) -> int:
    """On how many nodes rows stand: six rows each, and what a row costs grows with the trees."""
    trees = 1 if forest is None else len(forest.trees)
    return max(700, min(4_000, 2_500_000 // trees))


def _original(model: Any, method: str, schema: Description) -> proof.Call:
    call = getattr(model, method)
    if schema["kind"] == "table":
        frame = importlib.import_module("pandas").DataFrame
        return lambda columns: call(frame(columns))
    # Some estimators work on what they are given in place.
    return lambda value: call(value.copy())


def _tried(candidate: Any, original: proof.Call, rows: Callable[[], Iterator[Value]], *, exact: bool) -> Verdict:
    values = rows()
    first = next(values)
    sample = next(value for value, answer in proof.answers(original, first) if answer is not None)
    bare = Outputs(candidate.output, columns=candidate.columns, through=candidate.through, lower=candidate.lower)
    try:
        session = open_session(candidate.model)
        given = OnnxForm(session, bare).tensor(sample)
    except Exception as error:
        return refused("not_runnable", f"ONNX Runtime cannot run the converted model: {_short(error)}.")
    outputs = proof.adaptation(original(sample), given, candidate.output)
    if outputs is None:
        return refused("shape_differs", "The ONNX form's answers have another shape than the original's.")
    outputs = msgspec.structs.replace(
        outputs, columns=candidate.columns, through=candidate.through, lower=candidate.lower
    )
    form = OnnxForm(session, outputs)
    finding = proof.compare(original, form, rows(), exact=exact)
    if not finding.equal:
        return refused(finding.code, f"{finding.sentence()}.", rows=finding.rows)
    return {
        **_NO_FIGURES,
        "accepted": True,
        "code": "equal",
        "reason": f"{finding.sentence()}.",
        "rows": finding.rows,
        "outputs": msgspec.to_builtins(outputs),
    }


def _measured(
    found: Verdict,
    candidate: Any,
    original: proof.Call,
    rows: Callable[[], Iterator[Value]],
    out: Path,
    *,
    faster_only: bool,
) -> Verdict:
    form = OnnxForm(open_session(candidate.model), msgspec.convert(found["outputs"], Outputs))
    first = next(rows())
    singles = [part(first, slice(row, row + 1)) for row in range(min(64, count(first)))]
    original_us, onnx_us = timings(original, form, singles)
    gain = original_us / onnx_us
    figures = {"gain": round(gain, 1), "original_us": round(original_us, 1), "onnx_us": round(onnx_us, 1)}
    if faster_only and gain < LEAST_GAIN:
        return refused(
            "not_faster",
            "The ONNX form answers alike and is not faster than the original.",
            **figures,
            rows=found["rows"],
        )
    out.write_bytes(candidate.model)
    return {**found, **figures}


def timings(original: proof.Call, form: proof.Call, singles: Sequence[Value]) -> tuple[float, float]:
    """Microseconds, as medians, that each takes to answer one row as JSON; asked in turns, both warm."""
    rows = [row for row in singles if all(answer is not None for _, answer in proof.answers(original, row))]
    took: tuple[list[float], list[float]] = ([], [])
    end = time.perf_counter() + _TIMING_SECONDS
    for turn in range(_PAIRS + 5):
        for call, times in zip((original, form), took, strict=True):
            start = time.perf_counter()
            encode_output(call(rows[turn % len(rows)]))
            times.append(time.perf_counter() - start)
        if time.perf_counter() > end and turn > 10:
            break
    # The first turns are warming up.
    return statistics.median(took[0][5:]) * 1e6, statistics.median(took[1][5:]) * 1e6


def _short(error: Exception) -> str:
    return " ".join(str(error).split())[:300]


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
