"""What server and predictor tell each other: frames of a length and a message, never anything that is executed.

A frame is 4 bytes, the length of what follows, little-endian. The first one each way is JSON, so that a predictor
needs nothing but the standard library until it opens a model: `{"open": root, "seconds": n}` and `{"ok": true}` or
`{"ok": false, "message": ...}`. All others are MessagePack: a Job, answered by a Done, one after the other.
"""

from __future__ import annotations

from struct import Struct

import msgspec

from scoring.errors import ScoringError
from scoring.inputs import Asked

LENGTH = Struct("<I")


class Job(msgspec.Struct, array_like=True):
    """One body to score. Requests are read again by the predictor: that costs little beside a slow prediction."""

    number: int
    body: bytes
    asked: Asked | None


class Refusal(msgspec.Struct, array_like=True):
    """A ScoringError in parts."""

    status: int
    code: str
    message: str
    hint: str
    at: str | None


class Done(msgspec.Struct, array_like=True):
    """The output and the seconds it took, or why there is none."""

    number: int
    took: float
    output: bytes
    refusal: Refusal | None


def framed(message: bytes) -> bytes:
    """The message with its length before it."""
    return LENGTH.pack(len(message)) + message


def refusal_of(error: ScoringError) -> Refusal:
    """What is sent of the error."""
    return Refusal(error.status, error.code, error.message, error.hint, error.at)


def error_of(refusal: Refusal) -> ScoringError:
    """The error that was sent."""
    return ScoringError(refusal.status, refusal.code, refusal.message, refusal.hint, at=refusal.at)
