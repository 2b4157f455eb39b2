"""Errors raised on purpose: each says what happened, the likely cause and the next action."""

from dataclasses import asdict, dataclass, field


@dataclass(frozen=True, slots=True)
class ErrorDetail:
    """A failure as it is stored with a step and shown to a person.

    `fix` is data for a button: e.g. `{"field": "runtime.requirements", "add": "xgboost"}`.
    """

    code: str
    message: str
    cause: str = ""
    action: str = ""
    raw: str = ""
    fix: dict[str, str] = field(default_factory=dict)

    def as_dict(self) -> dict[str, object]:
        return asdict(self)

    @classmethod
    def from_dict(cls, data: dict[str, object]) -> "ErrorDetail":
        fix = data.get("fix")
        texts = {key: str(data.get(key) or "") for key in ("code", "message", "cause", "action", "raw")}
        return cls(**texts, fix={str(k): str(v) for k, v in fix.items()} if isinstance(fix, dict) else {})


class ConsoleError(Exception):
    """Base of every error that is meant for a person.

    `status` is the HTTP status the API answers with, `field` the path of the field at fault, if one is.
    """

    code = "error"
    status = 400

    def __init__(
        self,
        message: str,
        *,
        cause: str = "",
        action: str = "",
        field: str = "",
        raw: str = "",
        code: str = "",
        fix: dict[str, str] | None = None,
    ) -> None:
        super().__init__(message)
        self.field = field
        self.detail = ErrorDetail(code or self.code, message, cause, action, raw, fix or {})


class SpecInvalid(ConsoleError):
    """The desired state contradicts itself, or the environment forbids it.

    `problems` holds one `(path, sentence)` for each fault, paths dotted as in `runtime.requirements.0`.
    """

    code = "spec_invalid"
    status = 422

    def __init__(self, problems: list[tuple[str, str]]) -> None:
        super().__init__(
            "; ".join(f"{path}: {sentence}" if path else sentence for path, sentence in problems),
            action="Correct the named fields and send it again.",
            field=problems[0][0],
        )
        self.problems = problems


class NotAllowed(ConsoleError):
    """The actor's role in the environment, or the token's scopes, do not include the verb."""

    code = "not_allowed"
    status = 403


class NotFound(ConsoleError):
    """There is no such thing, or the actor may not know of it."""

    code = "not_found"
    status = 404


class Conflict(ConsoleError):
    """The wish contradicts what is there now: a name taken, a run under way, a wrong confirmation."""

    code = "conflict"
    status = 409


class Stale(ConsoleError):
    """The wish was made of a revision that is no longer the newest."""

    code = "stale"
    status = 412


class Unavailable(ConsoleError):
    """Something needed does not answer now: a function, a cache, a broker."""

    code = "unavailable"
    status = 503


class ResourceFailed(ConsoleError):
    """A resource cannot be made or found; ends the step with its detail."""

    code = "resource_failed"
    status = 502


class TryAgainLater(ConsoleError):
    """The provider asked for patience (for example 429 with Retry-After); `seconds` says how long."""

    code = "try_later"
    status = 503

    def __init__(self, message: str, *, seconds: float) -> None:
        super().__init__(message)
        self.seconds = seconds


class SecretUnavailable(ConsoleError):
    """A reference could not be resolved to a value."""

    code = "secret_unavailable"
    status = 422


class LeaseLost(Exception):
    """Another worker has taken the run over: nothing may be written any more."""


class IllegalMove(Exception):
    """A state was asked to move where its table does not allow: a fault of ours."""
