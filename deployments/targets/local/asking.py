"""Asks a shut-in child about an uploaded model: `python -m MODULE …`, in an environment of the model's."""

import json
import signal
import subprocess
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from . import sandbox
from .sandbox import Confinement, Mode

_MOST_OUTPUT = 4 * 1024 * 1024  # bytes kept of what the child prints
_SHOWN_LINES = 40
_FILE_MB = 64


@dataclass(frozen=True)
class Answer:
    """The child's one line of JSON, {} where there was none, and the last lines that it printed.

    `code` is its exit code; None where it was ended because it took too long.
    """

    data: dict[str, Any]
    printed: tuple[str, ...]
    code: int | None

    @property
    def out_of_memory(self) -> bool:
        """Whether the child ended for want of memory, as far as can be told from outside."""
        text = "\n".join(self.printed)
        return (
            "MemoryError" in text
            or "Cannot allocate memory" in text
            or "bad_alloc" in text
            or self.code in (-signal.SIGKILL, 128 + signal.SIGKILL)
        )


@dataclass(frozen=True, kw_only=True)
class Asker:
    """How children of one package are shut in: they may read `staging`, where the model and our code lie."""

    mode: Mode
    staging: Path
    memory_mb: int
    owner: str

    def ask(
        self,
        python: Path,
        module: str,
        arguments: Sequence[str],
        *,
        seconds: float,
        memory_mb: int | None = None,
        file_mb: int = _FILE_MB,
        pass_fds: Sequence[int] = (),
    ) -> Answer:
        """Run `python -m module arguments` with nothing but these descriptors and `staging`; wait for its answer.

        `seconds` bounds the wait, twice that its CPU time; `memory_mb` is the deployment's where it is None;
        `file_mb` bounds each file that it writes.
        """
        confinement = Confinement(
            owner=self.owner,
            interpreter=python,
            read=(self.staging,),
            memory_mb=memory_mb or self.memory_mb,
            file_mb=file_mb,
            cpu_seconds=int(2 * seconds),
        )
        child = subprocess.Popen(
            sandbox.command(self.mode, confinement, [str(python), "-m", module, *arguments], cwd=self.staging),
            env=sandbox.scrubbed_environment(self.mode, {"PYTHONPATH": str(self.staging)}),
            cwd=self.staging,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            pass_fds=tuple(pass_fds),
        )
        assert child.stdout is not None  # noqa: S101 - PIPE gives both
        assert child.stderr is not None  # noqa: S101
        out, err = _Collector(child.stdout), _Collector(child.stderr)
        code: int | None = None
        try:
            code = child.wait(seconds)
        except subprocess.TimeoutExpired:
            code = None
        finally:
            child.kill()  # nothing to one that has ended
            child.wait()
        printed = _lines(err.finish())
        return Answer(_answer(out.finish()), printed, code)


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
