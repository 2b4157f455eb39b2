"""One invocation of a function on this machine, posted as the Functions host posts it."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from http.client import HTTPConnection, HTTPException
from typing import Any

from ...domain.events import event, event_answer, event_headers
from .folders import Folder
from .ports import HOST, known_port

# What the function needs before it answers at all is not the message's fault: its key, its path, its model. A script
# may answer with the same statuses, but not in the server's own words.
_NOT_NOW = {401: "unauthorized", 404: "not_found"}
_NOT_READY = 503
_MOST_ANSWER_BYTES = 64 * 1024 * 1024
_CONNECT_SECONDS = 3.0
_LOOK_SECONDS = 2.0
_MOST_FAILURE = 500  # characters


class NotReached(Exception):
    """The function was not there, or is not ready: whatever was to be scored was not tried."""


class NotKept(NotReached):
    """What was done cannot be kept, or what is to be done not be had: the store or the disk does not take part."""


@dataclass(frozen=True)
class Outcome:
    """What became of an invocation: `output` where it succeeded, else why not.

    `failure` may quote the input; `told` is what a log may say of it. `hopeless` says that the function refused the
    input, so that trying again at once tells as much as later; `broke_off` that it ended before it had answered.
    """

    output: bytes | None
    logs: tuple[str, ...] = ()
    failure: str = ""
    told: str = ""
    hopeless: bool = False
    broke_off: bool = False


@dataclass(frozen=True)
class FunctionAddress:
    """A function of this machine: its resource's folder has its port and key; `name` is its folder's in the package."""

    folder: Folder
    name: str
    seconds: float  # that one answer may take

    def is_ready(self) -> bool:
        """Whether its model is open."""
        connection = HTTPConnection(HOST, known_port(self.folder), timeout=_LOOK_SECONDS)
        try:
            connection.request("GET", "/healthz")
            return connection.getresponse().status == 200
        except (OSError, HTTPException):
            return False
        finally:
            connection.close()

    def invoke(self, content: bytes, metadata: Mapping[str, Any]) -> Outcome:
        """Post the content. Raises NotReached where the function cannot take it now."""
        connection = HTTPConnection(HOST, known_port(self.folder), timeout=_CONNECT_SECONDS)
        try:
            try:
                connection.connect()
            except OSError as error:
                raise NotReached(f"the function cannot be reached: {error}") from None
            connection.sock.settimeout(self.seconds)
            try:
                headers = {**event_headers(), "x-functions-key": self.folder.known_secret("key")}
                connection.request("POST", f"/{self.name}", event(content, metadata), headers)
                response = connection.getresponse()
                body = response.read(_MOST_ANSWER_BYTES + 1)
            except (OSError, HTTPException) as error:
                why = f"the function broke off: {error or type(error).__name__}"
                return Outcome(None, failure=why, told=why, broke_off=True)
        finally:
            connection.close()
        refusal = _refusal(body)
        if _is_not_now(response.status, refusal):
            raise NotReached(f"the function cannot answer now: {_told(response.status, refusal)}")
        return _outcome(response.status, body, refusal)


def _is_not_now(status: int, refusal: Mapping[str, str]) -> bool:
    if status == _NOT_READY:  # its code is why the model could not be opened, of which there are many
        return "hint" in refusal
    return status in _NOT_NOW and refusal.get("code") == _NOT_NOW[status]


def _outcome(status: int, body: bytes, refusal: Mapping[str, str]) -> Outcome:
    if not 200 <= status < 300:
        said = f"{refusal['message']} {refusal.get('hint', '')}" if refusal else body[:200].decode(errors="replace")
        told = _told(status, refusal)
        failure = f"{told}: {' '.join(said.split())}"[:_MOST_FAILURE]
        return Outcome(None, failure=failure, told=told, hopeless=400 <= status < 500)
    try:
        output, logs = event_answer(body)
    except ValueError:
        told = "the function's answer cannot be read"
        return Outcome(None, failure=f"{told}: {body[:200]!r}", told=told)
    return Outcome(output, logs)


def _refusal(body: bytes) -> Mapping[str, str]:
    """The error in the server's own form, `code`, `message` and more; empty for anything else."""
    try:
        error = json.loads(body)["error"]
        return {name: str(error[name]) for name in ("code", "message", *({"hint", "at"} & set(error)))}
    except (ValueError, KeyError, TypeError, RecursionError):
        return {}


def _told(status: int, refusal: Mapping[str, str]) -> str:
    """Status, code and place, on one line: nothing of the input."""
    words = (str(status), refusal.get("code", ""), refusal.get("at", ""))
    return " ".join(" ".join(words).split())[:200]
