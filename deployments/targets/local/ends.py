"""Why a scoring server cannot serve: what it says of its model, and what its exit code says."""

import signal

from ...domain.errors import ErrorDetail


def opening_failure(error: object) -> ErrorDetail:
    """What the scoring server says about a model that it could not open."""
    told = error if isinstance(error, dict) else {}
    return ErrorDetail(
        code=str(told.get("code") or "model"),
        message=str(told.get("message") or "The function cannot open its model."),
        cause=str(told.get("cause") or told.get("hint") or ""),
        action=str(told.get("action") or "Read its log, correct the model or its environment, and deploy again."),
    )


def why_ended(code: int, memory_mb: int) -> ErrorDetail:
    """The likely cause of an end that nobody asked for, from the exit code."""
    number = -code if code < 0 else code - 128
    if number == signal.SIGKILL:
        return ErrorDetail(
            "killed",
            "The function's process was killed.",
            f"The system killed it when memory ran out, it started too many threads, or a person did. "
            f"Its limit is {memory_mb} MB.",
            "Give the machine more memory or lower hosting.memory_mb, then restart the deployment.",
        )
    if number in (signal.SIGSEGV, signal.SIGABRT, signal.SIGBUS, signal.SIGILL, signal.SIGFPE, signal.SIGSYS):
        return ErrorDetail(
            "crashed",
            f"The function's process crashed ({signal.Signals(number).name}).",
            "A library of the model crashed: often a version that differs from the one used in training, or memory "
            f"beyond {memory_mb} MB.",
            "Set the versions used in training in runtime.requirements, or raise hosting.memory_mb.",
        )
    return ErrorDetail(
        "exited",
        f"The function's process ended by itself with code {code}.",
        "The scoring server could not start, or the model ended the process.",
        "Read its last log lines, correct what they name, and deploy again.",
    )
