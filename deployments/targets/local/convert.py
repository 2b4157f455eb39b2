"""Has a described model tried as ONNX by a shut-in child: `python -m scoring.convert`, in a building environment."""

import contextlib
import json
import os
import sys
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

from .asking import Answer, Asker

SECONDS = 300
FILE_MB = 512  # of the ONNX file
_MEMORY = 2  # times the deployment's: the model, its ONNX form and the answers of both are there at once
_CHUNK = 1024 * 1024


@dataclass(frozen=True)
class Converted:
    """Whether the ONNX form may take the model's place, and why.

    `gain` is how many times faster it answers, where that was measured; `outputs` says how its outputs become
    the original's answer. `file` holds its bytes where it is accepted. `lasting`: another try would find the same.
    """

    accepted: bool
    reason: str
    gain: float | None = None
    outputs: Mapping[str, Any] | None = None
    lasting: bool = True
    printed: tuple[str, ...] = ()


def convert(
    asker: Asker,
    *,
    python: Path,
    model: Path,
    model_format: str,
    method: str,
    code: Path | None,
    description: Mapping[str, Any],
    execution: str,
    destination: Path,
) -> Converted:
    """Convert the model in a child and prove the form equal there; an accepted one is written to `destination`.

    With `execution` auto a form that is not faster is not accepted; with onnx it is.
    """
    told = asker.staging / "description.json"
    told.write_text(json.dumps(description))
    arguments = ["--package-model", str(model), "--format", model_format, "--method", method]
    arguments += ["--description", str(told), "--execution", execution]
    if code is not None:
        arguments += ["--code", str(code)]
    with _written_by_descriptor() as file:
        answer = asker.ask(
            python,
            "scoring.convert",
            [*arguments, "--out", f"/dev/fd/{file.fileno()}"],
            seconds=SECONDS,
            memory_mb=_MEMORY * asker.memory_mb,
            file_mb=FILE_MB,
            pass_fds=[file.fileno()],
        )
        found = _read(answer, _MEMORY * asker.memory_mb)
        if not found.accepted:
            return found
        file.seek(0)
        with destination.open("wb") as kept:
            while chunk := file.read(_CHUNK):
                kept.write(chunk)
    if not destination.stat().st_size:
        return Converted(False, "The conversion left no file.", printed=answer.printed)
    return found


@contextlib.contextmanager
def _written_by_descriptor() -> Iterator[BinaryIO]:
    """A file without a name that a child may write to which may write nowhere else.

    It opens the file anew by its descriptor, as another user: on Linux a file in memory lets everybody, and lies in
    no folder that a sandbox would have to open.
    """
    if sys.platform == "linux":
        with os.fdopen(os.memfd_create("executed"), "w+b") as file:
            yield file
    else:
        with tempfile.TemporaryFile() as file:
            yield file  # type: ignore[misc]


def _read(answer: Answer, memory_mb: int) -> Converted:
    data = answer.data
    if answer.code is None:
        return _given_up(f"The conversion to ONNX took longer than {SECONDS} seconds.", answer, lasting=False)
    if data.get("ok") is True:
        gain = data.get("gain")
        outputs = data.get("outputs")
        return Converted(
            accepted=data.get("accepted") is True,
            reason=str(data.get("reason") or "")[:500] or "The conversion gave no reason.",
            gain=float(gain) if isinstance(gain, int | float) and not isinstance(gain, bool) else None,
            outputs=outputs if isinstance(outputs, dict) else None,
            printed=answer.printed,
        )
    error = data.get("error")
    if isinstance(error, dict):
        return _given_up(f"The conversion to ONNX failed: {str(error.get('message') or '')[:400]}", answer)
    if answer.out_of_memory:
        return _given_up(f"The conversion to ONNX took more than {memory_mb} MB of memory.", answer, lasting=False)
    return _given_up("The process that converted the model to ONNX ended without an answer.", answer, lasting=False)


def _given_up(reason: str, answer: Answer, *, lasting: bool = True) -> Converted:
    return Converted(False, reason, lasting=lasting, printed=answer.printed)
