"""What the server refuses or fails at: a status, a code, what is wrong and what to do about it."""

from __future__ import annotations

from typing import Any

import msgspec

Headers = tuple[tuple[bytes, bytes], ...]


class ScoringError(Exception):
    """An answer other than the model's.

    `at` names the place in the request, such as `data[1].age`; `headers` are sent with the answer.
    """

    def __init__(
        self, status: int, code: str, message: str, hint: str, *, at: str | None = None, headers: Headers = ()
    ) -> None:
        super().__init__(message)
        self.status = status
        self.code = code
        self.message = message
        self.hint = hint
        self.at = at
        self.headers = headers

    def as_dict(self) -> dict[str, Any]:
        """`{"code", "message", "hint"}`, and `"at"` where the place is known."""
        told = {"code": self.code, "message": self.message, "hint": self.hint}
        return told if self.at is None else {**told, "at": self.at}

    def body(self) -> bytes:
        """The JSON body of the answer: `{"error": {...}}`."""
        return msgspec.json.encode({"error": self.as_dict()})


def bad_input(code: str, message: str, hint: str, *, at: str | None = None) -> ScoringError:
    """A 400: the request is at fault and can be mended by its sender."""
    return ScoringError(400, code, message, hint, at=at)


def too_large(code: str, message: str, hint: str) -> ScoringError:
    """A 413: more than this function takes at once."""
    return ScoringError(413, code, message, hint)


def try_again(code: str, message: str, hint: str, *, seconds: int = 1) -> ScoringError:
    """A 503 that passes; `seconds` is what Retry-After says."""
    return ScoringError(503, code, message, hint, headers=((b"retry-after", b"%d" % seconds),))


def load_failed(code: str, message: str, hint: str) -> ScoringError:
    """A 503 that stays: the model could not be opened."""
    return ScoringError(503, code, message, hint)
