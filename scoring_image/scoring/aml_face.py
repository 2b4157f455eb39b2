"""What Azure Machine Learning's inference server puts around every answer of a script: ids, version, CORS.

As in azureml-inference-server-http 1.5.1, `server/routes.py` and `server/aml_blueprint.py`. It is done for each
request, also where the answer comes from the cache.
"""

from __future__ import annotations

import importlib
import importlib.metadata
import json
import uuid
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from urllib.parse import unquote_to_bytes

from scoring.calls import EXECUTION_TIME, Reply, ReplyError, unpacked
from scoring.errors import ScoringError
from scoring.inputs import Asked

_MOST_ID_CHARACTERS = 100
_ID_NAMES = frozenset((b"x-request-id", b"x-ms-request-id", b"x-ms-client-request-id", b"traceid"))
_TIMEOUT_MS = 3_600_000

Headers = tuple[tuple[str, str], ...]


class ScriptFace:
    """The inference server's manners; `environ` is the process's, where its settings are.

    `keyed` is a function that asks for a key: what carried the key is not for the script. `seconds` are those that a
    run may take.
    """

    def __init__(self, environ: Mapping[str, str], *, keyed: bool, seconds: float) -> None:
        self._keyed = keyed
        self._timed_out = message(500, timed_out(round(seconds * 1000)), failed=True)
        self._version = _version(environ)
        origins = [origin.strip() for origin in environ.get("AML_CORS_ORIGINS", "").split(",") if origin.strip()]
        self._cors = _cors(origins) if origins else None

    def exchange(self, method: str, query: bytes, headers: Iterable[tuple[bytes, bytes]]) -> Exchange:
        """One request, to be answered."""
        if self._keyed:
            query = b"&".join(part for part in query.split(b"&") if not _carries_key(part))
            headers = (header for header in headers if header[0] != b"x-functions-key")
        asked = Asked(method, query, tuple(headers))
        ids, refusal = _identified(asked)
        return Exchange(
            asked, (*self._version, *ids, *(self._cors(asked) if self._cors else ())), refusal, self._timed_out
        )


@dataclass(frozen=True, slots=True)
class Exchange:
    """What a script is asked, and the headers of the answer, whichever it will be."""

    asked: Asked
    headers: Headers
    refusal: Reply | None
    timed_out: Reply

    def check(self) -> None:
        """Raises ReplyError, a 431, where the ids that the request brings are too long."""
        if self.refusal is not None:
            raise ReplyError(self.refusal)

    def answered(self, output: bytes, *, predict: float | None) -> Reply:
        """The script's answer; `predict` is how many seconds the run took, None where there was none."""
        reply = unpacked(output)
        took: Headers = ()
        if predict is not None and self.asked.method != "OPTIONS":
            took = ((EXECUTION_TIME, f"{predict * 1000:.3f}"),)
        return replace(reply, headers=(*reply.headers, *took, *self.headers))

    def refused(self, error: ScoringError) -> Reply | None:
        """What the inference server says where the script fails or is not asked; None where it has no word."""
        if isinstance(error, ReplyError):
            reply = error.reply
        elif error.code == "wrong_method":
            reply = message(405, "Method not allowed")
        elif error.code == "predict_timeout":
            reply = self.timed_out
        else:
            return None
        return replace(reply, headers=(*reply.headers, *self.headers))


def message(status: int, text: str, *, failed: bool = False) -> Reply:
    """An answer of the inference server itself: `{"message": text}`."""
    headers = (("Content-Type", "application/json"), ("x-ms-run-function-failed", str(failed)))
    return Reply(status, headers, json.dumps({"message": text}).encode())


def _carries_key(part: bytes) -> bool:
    """Whether this part of a query is the function key, however its name is written; the host takes any case of it."""
    return unquote_to_bytes(part.partition(b"=")[0]).lower() == b"code"


def _version(environ: Mapping[str, str]) -> Headers:
    if environ.get("SERVER_VERSION_LOG_RESPONSE_ENABLED", "true").lower() != "true":
        return ()
    try:
        version = importlib.metadata.version("azureml-inference-server-http")
    except importlib.metadata.PackageNotFoundError:
        # Without it no script can be started, which is said where it is tried.
        return ()
    return (("x-ms-server-version", f"azmlinfsrv/{version}"),)


def timeout_ms(environ: Mapping[str, str]) -> int:
    """How long a run may take, as SCORING_TIMEOUT_MS has it: an hour where it does not say. Raises ValueError."""
    return int(environ.get("SCORING_TIMEOUT_MS") or _TIMEOUT_MS)


def timed_out(milliseconds: float) -> str:
    """What is said of a run that took too long."""
    return f"Scoring timeout after {milliseconds} ms"


def _identified(asked: Asked) -> tuple[Headers, Reply | None]:
    """The ids by which the request is known, the caller's or new ones, and a 431 where they are too long."""
    given = {name: value.decode("latin-1") for name, value in asked.headers if name in _ID_NAMES}
    trace = (("TraceId", given[b"traceid"]),) if b"traceid" in given else ()
    request = given[b"x-request-id"] if b"x-request-id" in given else str(uuid.uuid4())
    if len(request) > _MOST_ID_CHARACTERS:
        return trace, message(431, f"x-request-id must not exceed {_MOST_ID_CHARACTERS} characters")
    # x-ms-request-id was once both ids; callers that know it alone are still answered by it.
    legacy, client = given.get(b"x-ms-request-id", ""), given.get(b"x-ms-client-request-id", "")
    ids = {"x-request-id": request, "x-ms-request-id": legacy or client or request}
    ids["x-ms-client-request-id"] = client or legacy
    if any(len(text) > _MOST_ID_CHARACTERS for text in ids.values()):
        both = "x-ms-request-id and x-ms-client-request-id"
        refusal = message(431, f"{both} must not exceed {_MOST_ID_CHARACTERS} characters")
        return (("x-request-id", request), *trace), refusal
    return (*((name, text) for name, text in ids.items() if text), *trace), None


def _cors(origins: list[str]) -> Callable[[Asked], Headers]:
    """Flask-CORS's own headers: what it would add to an empty answer."""
    flask = importlib.import_module("flask")
    app = flask.Flask("cors")
    importlib.import_module("flask_cors").CORS(app, methods=["GET", "POST"], origins=origins)

    def headers(asked: Asked) -> Headers:
        sent = [(name.decode("latin-1"), value.decode("latin-1")) for name, value in asked.headers]
        with app.test_request_context("/score", method=asked.method, headers=sent):
            response = app.process_response(flask.Response())
        return tuple(header for header in response.headers if header[0] not in ("Content-Type", "Content-Length"))

    return headers
