"""One invocation of a function on this machine, posted as the Functions host posts it."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from http.client import HTTPConnection, HTTPException
from typing import Any

from ...domain.events import event, event_answer, event_headers
from .folders import Folder
from .ports import HOST, known_port

# What the function needs before it answers at all is not the message's fault: its key, its path, its model.
_NOT_NOW = frozenset({401, 404, 503})
_MOST_ANSWER_BYTES = 64 * 1024 * 1024
_CONNECT_SECONDS = 3.0
_LOOK_SECONDS = 2.0


class NotReached(Exception):
    """The function was not there, or is not ready: whatever was to be scored was not tried."""


@dataclass(frozen=True)
class Outcome:
    """What became of an invocation: `output` where it succeeded, else why not.

    `hopeless` says that the function refused the input, so that trying again at once tells as much as later.
    """

    output: bytes | None
    logs: tuple[str, ...] = ()
    failure: str = ""
    hopeless: bool = False


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
                return Outcome(None, failure=f"the function broke off: {error or type(error).__name__}")
        finally:
            connection.close()
        if response.status in _NOT_NOW:
            raise NotReached(f"the function cannot answer now: {_told(response.status, body)}")
        return _outcome(response.status, body)


def _outcome(status: int, body: bytes) -> Outcome:
    if not 200 <= status < 300:
        return Outcome(None, failure=_told(status, body), hopeless=400 <= status < 500)
    try:
        output, logs = event_answer(body)
    except ValueError:
        return Outcome(None, failure=f"the function's answer cannot be read: {body[:200]!r}")
    return Outcome(output, logs)


def _told(status: int, body: bytes) -> str:
    """The error in the function's own words, as one short line."""
    try:
        error = json.loads(body)["error"]
        text = f"{error['code']}: {error['message']} {error.get('hint', '')}"
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        text = body[:200].decode(errors="replace")
    return f"{status} {' '.join(text.split())}"[:500]
