"""Whether two forms of a model answer alike: labels identical, numbers within 1e-5, refusals at the same rows."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from scoring.onnx_form import Outputs
from scoring.proof_rows import Value, count, part

TOLERANCE = 1e-5

# How many single rows are asked one by one as well: shapes of one row are a trap of their own.
_SINGLES = 48

Call = Callable[[Value], Any]
Code = Literal["equal", "labels_differ", "scores_differ", "shape_differs", "refusals_differ"]


@dataclass(frozen=True, slots=True)
class Finding:
    """What the comparison came to: how many rows were compared, on how many the forms differ, by how much at most."""

    code: Code
    rows: int
    differing: int = 0
    worst: float = 0.0

    @property
    def equal(self) -> bool:
        """Whether nothing differed."""
        return self.code == "equal"

    def sentence(self) -> str:
        """For the log, the manifest and the page."""
        on = f"on {self.differing:,} of {self.rows:,} rows"
        match self.code:
            case "equal":
                return f"The ONNX form answers as the original on all {self.rows:,} rows that were tried"
            case "labels_differ":
                return f"The ONNX form gives other labels than the original {on}"
            case "scores_differ":
                return f"The ONNX form gives other numbers than the original {on}, by up to {self.worst:.1g}"
            case "shape_differs":
                return f"The ONNX form's answers have another shape than the original's {on}"
            case _:
                return f"Only one of the original and the ONNX form refuses to answer {on}"


def adaptation(wanted: Any, given: Any, name: str) -> Outputs | None:
    """How an output of the session becomes what the original returned for the same rows; None where nothing fits."""
    if not isinstance(given, np.ndarray):
        return None
    if isinstance(wanted, list):
        shapes = {np.shape(one) for one in wanted}
        fits = given.ndim == 3 and shapes == {given.shape[1:]} and len(wanted) == given.shape[0]
        return Outputs(name, take="list", dtype=_dtype(wanted[0])) if fits else None
    array = _dense(wanted)
    dtype = _dtype(array)
    if given.shape == array.shape:
        return Outputs(name, dtype=dtype)
    if array.ndim == 1 and given.ndim == 2 and given.shape[0] == array.shape[0]:
        if given.shape[1] == 1:
            return Outputs(name, take="flat", dtype=dtype)
        # A score of two classes: the original keeps the second's.
        gaps = [float(np.max(np.abs(given[:, column] - array))) for column in range(given.shape[1])]
        return Outputs(name, take="column", column=int(np.argmin(gaps)), dtype=dtype)
    return None


def compare(original: Call, form: Call, values: Iterable[Value], *, exact: bool) -> Finding:
    """Ask both for every chunk, and for some rows one by one. `exact` is for labels, whatever their type."""
    total = Finding("equal", 0)
    for place, value in enumerate(values):
        total = _added(total, _chunk(original, form, value, exact=exact))
        if place == 0:
            singles = (part(value, slice(row, row + 1)) for row in range(min(_SINGLES, count(value))))
            for single in singles:
                total = _added(total, _chunk(original, form, single, exact=exact))
    return total


def _chunk(original: Call, form: Call, value: Value, *, exact: bool) -> Finding:
    total = Finding("equal", 0)
    for rows, wanted in answers(original, value):
        if wanted is None:
            refused = sum(count(some) for some, answer in answers(form, rows) if answer is None)
            gap = count(rows) - refused
            total = _added(total, Finding("refusals_differ" if gap else "equal", count(rows), gap))
            continue
        try:
            given = form(rows)
        # Whatever ORT raises, the original answered.
        except Exception:
            answered = sum(count(some) for some, answer in answers(form, rows) if answer is not None)
            total = _added(total, Finding("refusals_differ", count(rows), count(rows) - answered))
            continue
        total = _added(total, _compared(wanted, given, count(rows), exact=exact))
    return total


def answers(call: Call, value: Value) -> Iterator[tuple[Value, Any]]:
    """The answers to all rows, in as large parts as the model takes; None for a row that it refuses."""
    try:
        answer = call(value)
    except Exception:
        rows = count(value)
        if rows == 1:
            yield value, None
            return
        for some in (slice(0, rows // 2), slice(rows // 2, rows)):
            yield from answers(call, part(value, some))
    else:
        yield value, answer


def _compared(wanted: Any, given: Any, rows: int, *, exact: bool) -> Finding:
    if isinstance(wanted, list):
        if not isinstance(given, list) or len(given) != len(wanted):
            return Finding("shape_differs", rows, rows)
        findings = [_arrays(one, other, rows, exact=exact) for one, other in zip(wanted, given, strict=True)]
        return max(findings, key=lambda finding: finding.differing)
    return _arrays(_dense(wanted), given, rows, exact=exact)


def _arrays(wanted: NDArray[Any], given: NDArray[Any], rows: int, *, exact: bool) -> Finding:
    if wanted.shape != np.shape(given) or len(wanted) != rows:
        return Finding("shape_differs", rows, rows)
    if exact or wanted.dtype.kind not in "fc":
        unequal = wanted != given
        differing = int(unequal.reshape(rows, -1).any(axis=1).sum())
        return Finding("labels_differ" if differing else "equal", rows, differing)
    with np.errstate(invalid="ignore"):
        gap = np.abs(wanted - given) / np.maximum(1.0, np.abs(wanted))
    gap[(wanted == given) | (np.isnan(wanted) & np.isnan(given))] = 0.0
    gap[np.isnan(gap)] = np.inf
    far = gap > TOLERANCE
    differing = int(far.reshape(rows, -1).any(axis=1).sum())
    return Finding("scores_differ" if differing else "equal", rows, differing, float(gap.max(initial=0.0)))


def _added(total: Finding, more: Finding) -> Finding:
    code = total.code if not total.equal else more.code
    return Finding(code, total.rows + more.rows, total.differing + more.differing, max(total.worst, more.worst))


def _dense(result: Any) -> NDArray[Any]:
    return np.asarray(result.toarray() if hasattr(result, "toarray") else result)


def _dtype(array: NDArray[Any]) -> str:
    return "string" if array.dtype.kind in "OUST" else str(array.dtype)
