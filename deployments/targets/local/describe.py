"""Has an uploaded model described by a shut-in child: `python -m scoring.describe`, in the model's environment."""

import json
import signal
import subprocess
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from . import sandbox
from .sandbox import Confinement, Mode

SECONDS = 60
_MOST_OUTPUT = 4 * 1024 * 1024  # bytes kept of what the child prints
_SHOWN_LINES = 40


@dataclass(frozen=True)
class Described:
    """What the child answered: a description, or an error; and the last lines it printed."""

    description: Mapping[str, Any] | None
    error: Mapping[str, Any] | None
    printed: tuple[str, ...]


def describe(
    *,
    mode: Mode,
    python: Path,
    staging: Path,
    model: Path,
    model_format: str,
    method: str,
    code: Path | None,
    memory_mb: int,
    owner: str,
) -> Described:
    """Open the model in a child that gets `staging` to read, limits, and nothing else; wait for its answer."""
    arguments = ["--model", str(model), "--format", model_format, "--method", method]
    if code is not None:
        arguments += ["--code", str(code)]
    confinement = Confinement(
        owner=owner, interpreter=python, read=(staging,), memory_mb=memory_mb, cpu_seconds=2 * SECONDS
    )
    child = subprocess.Popen(
        sandbox.command(mode, confinement, [str(python), "-m", "scoring.describe", *arguments], cwd=staging),
        env=sandbox.scrubbed_environment(mode, {"PYTHONPATH": str(staging)}),
        cwd=staging,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    assert child.stdout is not None  # noqa: S101 - PIPE gives both
    assert child.stderr is not None  # noqa: S101
    out, err = _Collector(child.stdout), _Collector(child.stderr)
    try:
        child.wait(SECONDS)
        in_time = True
    except subprocess.TimeoutExpired:
        in_time = False
    finally:
        child.kill()  # nothing to one that has ended
        child.wait()
    printed = _lines(err.finish())
    answer = _answer(out.finish())
    if not in_time:
        return Described(None, _too_slow(), printed)
    if answer.get("ok") is True and isinstance(answer.get("description"), dict):
        return Described(answer["description"], None, printed)
    error = answer.get("error")
    return Described(None, error if isinstance(error, dict) else _died(child.returncode, printed, memory_mb), printed)


class _Collector:
    """Reads a pipe to its end in a thread and keeps a bounded part, so that a child that floods it is not stuck."""

    def __init__(self, pipe: IO[bytes]) -> None:
        self._pipe = pipe
        self._kept = bytearray()
        self._thread = threading.Thread(target=self._read, daemon=True)
        self._thread.start()

    def finish(self) -> bytes:
        self._thread.join(5)
        return bytes(self._kept)

    def _read(self) -> None:
        while chunk := self._pipe.read1(64 * 1024):  # type: ignore[attr-defined]
            if len(self._kept) < _MOST_OUTPUT:
                self._kept += chunk


def _answer(out: bytes) -> dict[str, Any]:
    lines = out.strip().splitlines()
    try:
        data = json.loads(lines[-1]) if lines else {}
    except ValueError:
        return {}
    return data if isinstance(data, dict) else {}


def _lines(err: bytes) -> tuple[str, ...]:
    return tuple(line.decode("utf-8", "replace")[:1_000] for line in err.splitlines()[-_SHOWN_LINES:])


def _too_slow() -> dict[str, str]:
    return {
        "code": "too_slow",
        "message": f"The model was not open after {SECONDS} seconds.",
        "cause": "It is very large, it waits for something that is not there, or it runs code that does not end.",
        "action": "Make the model smaller, or take out what it does when it is loaded.",
    }


def _died(code: int, printed: Sequence[str], memory_mb: int) -> dict[str, str]:
    text = "\n".join(printed)
    if "MemoryError" in text or "Cannot allocate memory" in text or code in (-signal.SIGKILL, 128 + signal.SIGKILL):
        return {
            "code": "memory",
            "message": f"Opening the model took more than {memory_mb} MB of memory.",
            "cause": "The model is larger than the limit, or takes much more memory while it is opened.",
            "action": "Raise hosting.memory_mb, or make the model smaller.",
            "raw": text,
        }
    return {
        "code": "crashed",
        "message": "The process that opened the model ended without an answer.",
        "cause": "A library crashed, usually because a version differs from the one used in training, or the model "
        "ends the process by itself.",
        "action": "Set the versions used in training in runtime.requirements; save the model again if that is no help.",
        "raw": text,
    }
