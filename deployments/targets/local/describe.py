"""Has an uploaded model described by a shut-in child: `python -m scoring.describe`, in the model's environment."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from .asking import Answer, Asker

SECONDS = 60


@dataclass(frozen=True)
class Described:
    """What the child answered: a description, or an error; and the last lines it printed."""

    description: Mapping[str, Any] | None
    error: Mapping[str, Any] | None
    printed: tuple[str, ...]


def describe(
    asker: Asker, *, python: Path, model: Path, model_format: str, method: str, code: Path | None
) -> Described:
    """Open the model in a child and wait for what it finds."""
    arguments = ["--model", str(model), "--format", model_format, "--method", method]
    if code is not None:
        arguments += ["--code", str(code)]
    answer = asker.ask(python, "scoring.describe", arguments, seconds=SECONDS)
    if answer.code is None:
        return Described(None, _too_slow(), answer.printed)
    if answer.data.get("ok") is True and isinstance(answer.data.get("description"), dict):
        return Described(answer.data["description"], None, answer.printed)
    error = answer.data.get("error")
    return Described(None, error if isinstance(error, dict) else _died(answer, asker.memory_mb), answer.printed)


def _too_slow() -> dict[str, str]:
    return {
        "code": "too_slow",
        "message": f"The model was not open after {SECONDS} seconds.",
        "cause": "It is very large, it waits for something that is not there, or it runs code that does not end.",
        "action": "Make the model smaller, or take out what it does when it is loaded.",
    }


def _died(answer: Answer, memory_mb: int) -> dict[str, str]:
    text = "\n".join(answer.printed)
    if answer.out_of_memory:
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
