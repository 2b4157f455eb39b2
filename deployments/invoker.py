"""Calls a deployment's function, and nothing else: its own address, no redirects, bounded in time and size."""

import ipaddress
import json
import re
import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Literal
from urllib.parse import urlsplit

import httpx

from .deadline import Deadline
from .domain.errors import ConsoleError, Unavailable
from .domain.events import event, event_answer, event_headers
from .domain.redactor import Redactor
from .domain.storable import finite, mended_json, mended_text

CacheUse = Literal["default", "no-cache", "no-store", "only-if-cached"]
CACHE_USES: tuple[CacheUse, ...] = ("default", "no-cache", "no-store", "only-if-cached")
METHODS = ("GET", "POST", "PUT")

MOST_SECONDS = 60.0  # of a whole call
CONNECT_SECONDS = 3.0
MAX_ANSWER_BYTES = 5 * 1024 * 1024
MAX_KEY_LENGTH = 200

KEY_HEADER = "x-functions-key"

# Of the request the server decides these; the rest of them belong to one connection (RFC 9110, 7.6.1).
_OURS = frozenset({"host", "authorization", "cookie", KEY_HEADER, "cache-control", "content-length", "forwarded"})
_HOP = frozenset(
    {"connection", "keep-alive", "te", "trailer", "transfer-encoding", "upgrade", "expect", "content-encoding"}
)
_OURS_BY_PREFIX = ("proxy-", "x-forwarded-", "x-ms-", "x-arr-")
_HIDDEN = frozenset({"set-cookie", "www-authenticate", KEY_HEADER})

_HEADER_NAME = re.compile(r"^[A-Za-z0-9!#$%&'*+.^_`|~-]{1,100}$")
_TIMING = re.compile(r"([a-z_]+)\s*;\s*dur=([0-9.]+)")
_VERDICTS = {"HIT": "hit", "MISS": "miss", "BYPASS": "bypass"}


@dataclass(frozen=True, slots=True)
class Call:
    """What is sent. `body` is any JSON value; None sends no body.

    With `event`, the metadata of a blob or a message, the body is posted as the Functions host posts what arrived,
    and the answer is what the host would write. `content` is sent in place of the body, byte for byte.
    """

    body: Any
    method: str = "POST"
    headers: Mapping[str, str] | None = None
    query: Mapping[str, Any] | None = None
    cache: CacheUse = "default"
    event: Mapping[str, Any] | None = None
    content: bytes | None = None


@dataclass(frozen=True, slots=True)
class Answer:
    """What came back. `cache` is hit, miss, bypass or None; `duration_ms` is the wall time of the call;
    `timings` are milliseconds of the function's parts, with `network` as what they do not explain.

    `body` is the decoded JSON where it is JSON, else text; `cut` says that only its first 5 MB were read. `logs` are
    the lines that the answer to an event has beside its output.
    """

    status: int
    headers: dict[str, str]
    body: Any
    cache: str | None
    key: str
    duration_ms: float
    timings: dict[str, float]
    cut: bool = False
    logs: tuple[str, ...] = ()


def send(url: str, call: Call, *, function_key: str = "", seconds: float = MOST_SECONDS) -> Answer:
    """Call the function at `url`, which is a fact of the deployment and never of a request.

    Raises ConsoleError for a call that may not be made, Unavailable where the function does not answer, or has
    not answered in full when the seconds have passed.
    """
    headers = {**_checked_headers(call.headers or {}), "accept": "application/json"}
    if call.cache not in CACHE_USES:
        raise _refused("cache", f"{call.cache} is no way to use the cache", f"Choose {', '.join(CACHE_USES)}.")
    if call.method not in METHODS:
        raise _refused("method", f"{call.method} is not sent from here", f"Choose {', '.join(METHODS)}.")
    if function_key:
        headers[KEY_HEADER] = function_key
    content = call.content
    if content is None and call.body is not None:
        content = _as_json(call.body)
    if call.event is not None:
        if call.headers or call.query or call.method != "POST":
            raise _refused("headers", "A blob or a message has no method, query and headers", "Leave them out.")
        content = event(content or b"", call.event)
        headers |= {name.lower(): value for name, value in event_headers().items()}
    elif wish := cache_control(call.cache):
        headers["cache-control"] = wish
    if content is not None:
        headers.setdefault("content-type", "application/json")
    timeout = httpx.Timeout(seconds, connect=CONNECT_SECONDS)
    # Another machine's function may be behind the proxy of the environment; one on this machine never is.
    with (
        Deadline(seconds) as deadline,
        httpx.Client(timeout=timeout, follow_redirects=False, trust_env=not _is_loopback(url)) as client,
    ):
        started = time.perf_counter()
        try:
            request = client.build_request(
                call.method,
                url,
                content=content,
                headers=headers,
                params=_checked_query(call.query or {}),
                extensions={"trace": deadline.trace},
            )
            response = client.send(request, stream=True)
            try:
                raw, cut = _read(response)
            finally:
                response.close()
        except httpx.TimeoutException as error:
            raise _slow(seconds, raw=str(error)) from None
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            raise (_slow(seconds, raw=str(error)) if deadline.passed else _unreachable(error)) from None
        if deadline.passed:
            raise _slow(seconds)
        took = (time.perf_counter() - started) * 1000
    told: dict[str, str] = dict(response.headers)
    logs: tuple[str, ...] = ()
    if call.event is not None and response.is_success and not cut:
        raw, logs = _of_event(raw)
        told |= {name.lower(): value for name, _, value in (line.partition(": ") for line in logs) if value}
    hide = Redactor([function_key] if function_key else [])
    answer = _answer(response.status_code, told, raw, cut=cut, took=took, hide=hide)
    return replace(answer, logs=tuple(mended_text(hide(line)) for line in logs))


def cache_control(cache: CacheUse) -> str:
    """What tells a function so; empty where nothing needs to be told."""
    if cache == "default":
        return ""
    # A function that only looks has nothing to store; one too old to know of it at least touches nothing.
    return f"{cache}, no-store" if cache == "only-if-cached" else cache


def _of_event(raw: bytes) -> tuple[bytes, tuple[str, ...]]:
    try:
        return event_answer(raw)
    except ValueError:
        raise Unavailable(
            "The function's answer is not one that the Functions host could read.",
            code="bad_event_answer",
            cause="Something else than the scoring server answers at its address.",
            action="Start a restart run of the deployment.",
            raw=raw[:500].decode(errors="replace"),
        ) from None


def _answer(status: int, headers: Mapping[str, str], raw: bytes, *, cut: bool, took: float, hide: Redactor) -> Answer:
    # The function's own code could hand back what it was called with, and its key is not for testers.
    text = hide(raw.decode(errors="replace"))
    timings = {name: float(value) for name, value in _TIMING.findall(headers.get("server-timing", ""))}
    if "total" in timings:
        timings["network"] = max(0.0, round(took - timings["total"], 3))
    key = str(headers.get("x-cache-key", ""))
    return Answer(
        status=status,
        headers={name: hide(value) for name, value in headers.items() if name not in _HIDDEN and name not in _HOP},
        body=mended_text(text) if cut else _decoded(text),
        cache=_VERDICTS.get(headers.get("x-cache", "")),
        key=key if len(key) <= MAX_KEY_LENGTH else "",
        duration_ms=round(took, 3),
        timings=timings,
        cut=cut,
    )


def _read(response: httpx.Response) -> tuple[bytes, bool]:
    parts = bytearray()
    for chunk in response.iter_bytes():
        parts += chunk
        if len(parts) > MAX_ANSWER_BYTES:
            return bytes(parts[:MAX_ANSWER_BYTES]), True
    return bytes(parts), False


def _decoded(text: str) -> Any:
    try:
        return json.loads(mended_json(text), parse_constant=_no_constant, parse_float=finite)
    except (ValueError, RecursionError):
        return mended_text(text)


def _as_json(body: Any) -> bytes:
    try:
        return json.dumps(body, ensure_ascii=False, allow_nan=False, separators=(",", ":")).encode()
    except (TypeError, ValueError, RecursionError):
        raise _refused(
            "body", "The body is not JSON", "Send numbers, texts, lists and objects; write a missing value as null."
        ) from None


def _checked_headers(headers: Mapping[str, str]) -> dict[str, str]:
    checked = {}
    for name, value in headers.items():
        low = name.strip().lower()
        if low in _OURS or low in _HOP or low.startswith(_OURS_BY_PREFIX):
            raise _refused(
                "headers", f"The header {name} is not sent from here", "Leave it out; the console sets it itself."
            )
        if not _HEADER_NAME.match(low) or not isinstance(value, str) or not (value.isascii() and value.isprintable()):
            raise _refused(
                "headers", f"The header {name[:100]!r} is not a legal one", "Use plain ASCII letters, or leave it out."
            )
        checked[low] = value
    return checked


def _checked_query(query: Mapping[str, Any]) -> dict[str, Any]:
    if any(name.lower() == "code" for name in query):
        raise _refused("query", "code is the function's key", "Leave it out; the console sends the key itself.")
    return {
        name: [str(item) for item in value] if isinstance(value, list) else str(value) for name, value in query.items()
    }


def _refused(field: str, what: str, action: str) -> ConsoleError:
    return ConsoleError(f"{what}.", action=action, field=field, code="bad_call")


def _slow(seconds: float, *, raw: str = "") -> Unavailable:
    return Unavailable(
        "The function did not answer in time.",
        code="function_slow",
        cause=f"It is starting, overloaded, or one answer takes longer than {seconds:.0f} seconds.",
        action="Try again; look at the function's log if it stays so.",
        raw=raw,
    )


def _unreachable(error: Exception) -> Unavailable:
    return Unavailable(
        "The function cannot be reached.",
        code="function_unreachable",
        cause="Its process has stopped, or the network between is cut.",
        action="Start a restart run of the deployment.",
        raw=str(error),
    )


def _is_loopback(url: str) -> bool:
    host = urlsplit(url).hostname or ""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _no_constant(constant: str) -> None:
    raise ValueError(f"{constant} is not JSON")
