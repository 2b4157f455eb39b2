"""Calls and replies: the whole of an HTTP request and of its answer, for scripts, which may see and set all of both."""

from __future__ import annotations

import re
from dataclasses import dataclass
from operator import itemgetter
from typing import Any

import msgspec

from scoring import keys
from scoring.errors import ScoringError
from scoring.inputs import MASK, Asked, Request

# Headers that carry a request to the function or trace it on its way: two requests that differ in nothing else are
# equal. Credentials and cookies are not among them.
_IN_TRANSIT = frozenset(
    b"accept-encoding cache-control connection content-length date disguised-host expect forwarded host keep-alive "
    b"max-forwards pragma referer request-context request-id te traceid traceparent tracestate trailer "
    b"transfer-encoding upgrade user-agent via was-default-hostname x-correlation-id x-functions-key x-real-ip "
    b"x-request-id".split()
)
_TRANSIT_FAMILIES = (
    b"x-appservice-",
    b"x-arr-",
    b"x-azure-",
    b"x-client-",
    b"x-forwarded-",
    b"x-ms-",
    b"x-original-",
)

# What starts the stored form of a reply that is more than plain JSON.
MARK = b'{"$response":'

# RFC 9110, 5.6.2: what a header's name is made of; and what of its value survives every proxy.
_TOKEN = re.compile(r"[!#$%&'*+.^_`|~0-9a-z-]+")
_SENDABLE = re.compile(r"[\t\x20-\x7e\xa0-\xff]*")
# What is one caller's own, what says where an answer ends, and what the server itself says of every answer: in a reply
# that is shared, they would be somebody else's words.
_NEVER_SHARED = frozenset(
    {
        "connection",
        "content-length",
        "keep-alive",
        "proxy-connection",
        "server-timing",
        "set-cookie",
        "te",
        "trailer",
        "transfer-encoding",
        "upgrade",
        "x-model-version",
    }
)
_OUR_FAMILY = "x-cache"


@dataclass(frozen=True, slots=True)
class Call:
    """One HTTP request as a script sees it; header names are in small letters."""

    method: str
    query: bytes
    headers: tuple[tuple[bytes, bytes], ...]
    body: bytes


@dataclass(frozen=True, slots=True)
class Reply:
    """One HTTP answer; its length is for whoever sends it to say."""

    status: int
    headers: tuple[tuple[str, str], ...]
    body: bytes


@dataclass(frozen=True, slots=True)
class Schemas:
    """The JSON schemas of what a script declares that it takes and gives, each perhaps with an `example`."""

    input: dict[str, Any]
    output: dict[str, Any]


# How Azure Machine Learning's inference server sends what run() returned, and says how long that took.
PLAIN_HEADERS = (("Content-Type", "application/json"), ("x-ms-run-function-failed", "False"))
EXECUTION_TIME = "x-ms-run-fn-exec-ms"


class ReplyError(ScoringError):
    """An answer of status 400 or above, by the script itself or because of it, to be sent as it is."""

    def __init__(self, reply: Reply) -> None:
        super().__init__(reply.status, "script_reply", f"The script answered with status {reply.status}.", "")
        self.reply = reply

    def body(self) -> bytes:
        return self.reply.body


class _Parts(msgspec.Struct, omit_defaults=True):
    status: int
    headers: tuple[tuple[str, str], ...]
    text: str | None = None
    base64: bytes | None = None


class _Packed(msgspec.Struct, rename={"response": "$response"}):
    response: _Parts


_DECODER = msgspec.json.Decoder(_Packed)


def packed(reply: Reply) -> bytes:
    """The reply as JSON: its own where it is plain, else `{"$response": {"status", "headers", "text" | "base64"}}`.

    How long the run took is left out, for it is not part of an answer that may be given to others.
    """
    body = reply.body
    headers = tuple(header for header in reply.headers if header[0] != EXECUTION_TIME)
    if reply.status == 200 and headers == PLAIN_HEADERS and not body.startswith(MARK) and _is_json(body):
        return body
    parts = _Parts(reply.status, headers)
    try:
        parts.text = body.decode()
    except UnicodeDecodeError:
        parts.base64 = body
    return msgspec.json.encode(_Packed(parts))


def unpacked(output: bytes) -> Reply:
    """The reply that was packed. Raises MsgspecError for what nobody packed."""
    if not output.startswith(MARK):
        return Reply(200, PLAIN_HEADERS, output)
    parts = _DECODER.decode(output).response
    body = (parts.text or "").encode() if parts.base64 is None else parts.base64
    return Reply(parts.status, parts.headers, body)


def storable(output: bytes) -> bool:
    """Whether this output may be given to others, be it new or from the cache.

    A packed reply must be a 200 that can be sent, sets no cookie, says nothing of its length and does not forbid it.
    """
    if not output.startswith(MARK):
        return True
    try:
        reply = unpacked(output)
    except msgspec.MsgspecError:
        return False
    return reply.status == 200 and all(_may_be_shared(name.lower(), value) for name, value in reply.headers)


def _may_be_shared(name: str, value: str) -> bool:
    if not _TOKEN.fullmatch(name) or not _SENDABLE.fullmatch(value):
        return False
    if name in _NEVER_SHARED or name.startswith(_OUR_FAMILY):
        return False
    return name != "cache-control" or not any(word in value.lower() for word in ("no-store", "private"))


class CallReader:
    """Any request at all, for scripts, keyed by its bytes: method, query, content type and body.

    A script that sees headers is keyed by them too, but for those that only carry or trace a request. With `narrow`,
    which is for scripts whose answers are cached, what is not in the key is taken out of the request, so that no
    answer can depend on it.
    """

    def __init__(self, *, headers: bool, narrow: bool) -> None:
        self._headers = headers
        self._narrow = narrow

    def read(self, body: bytes, asked: Asked | None = None) -> Request:
        """A call, and the form of what its answer may depend on.

        What came by another way than HTTP is the POST of JSON that it stands for.
        """
        asked = asked or Asked("POST", b"", ((b"content-type", b"application/json"),))
        seen = tuple(sorted((one for one in asked.headers if self._counts(one[0])), key=itemgetter(0)))
        form = keys.raw_form(msgspec.msgpack.encode((asked.method, asked.query, seen, body)))
        headers = (*seen, (b"content-length", b"%d" % len(body))) if self._narrow else asked.headers
        return Request(Call(asked.method, asked.query, headers, body), 1, form)

    def unknown(self, fields: frozenset[str]) -> frozenset[str]:
        return frozenset()

    def stored(self, request: Request, masked: frozenset[str]) -> Any:
        """The body as JSON or text; the query where there is no body."""
        call: Call = request.value
        content = call.body or call.query
        try:
            return _masked(msgspec.json.decode(content), masked)
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
            return MASK if masked else content.decode("utf-8", "backslashreplace")

    def _counts(self, name: bytes) -> bool:
        if not self._headers:
            return name == b"content-type"
        return name not in _IN_TRANSIT and not name.startswith(_TRANSIT_FAMILIES)


def _is_json(body: bytes) -> bool:
    """Whether it is one JSON value and nothing around it, and so comes back from an entry as the same bytes."""
    try:
        msgspec.json.decode(body)
        body.decode()
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return False
    return body == body.strip()


def _masked(value: Any, masked: frozenset[str]) -> Any:
    if isinstance(value, dict):
        return {name: MASK if name in masked else _masked(item, masked) for name, item in value.items()}
    if isinstance(value, list):
        return [_masked(item, masked) for item in value]
    return value
