"""The HTTP face: a bare ASGI application over the service."""

from __future__ import annotations

import hmac
import logging
import os
from collections.abc import Awaitable, Callable, Iterable, Mapping, MutableMapping
from typing import Any
from urllib.parse import parse_qs

import msgspec

from scoring import SCORING_VERSION
from scoring.aml_face import ScriptFace
from scoring.calls import Reply
from scoring.errors import ScoringError, too_large
from scoring.openapi import openapi
from scoring.service import Answer, CacheWish, Service

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
Header = tuple[bytes, bytes]
# Takes the whole body of a POST and returns the JSON of its answer; raises ScoringError.
Handler = Callable[[bytes], Awaitable[bytes]]

_PAYLOAD_EXTRA = 64 * 1024

log = logging.getLogger("scoring")


class ClientGoneError(Exception):
    """The caller hung up before the whole request had come."""


class Application:
    """`POST /api/{route}`, `GET /healthz`, `GET /openapi.json`, and `GET /`, where the host knocks.

    `handlers` are further paths that take a POST: where the Functions host posts what a trigger other than HTTP
    brought. A function key is asked for there as well.
    """

    def __init__(self, service: Service, *, handlers: Mapping[str, Handler] | None = None) -> None:
        manifest = service.manifest
        self._service = service
        self._route = f"/api/{manifest.trigger.route}"
        self._methods = tuple(method.upper() for method in manifest.trigger.methods)
        self._most = manifest.limits.max_body_bytes
        self._handlers = dict(handlers or {})
        open_to_all = manifest.trigger.auth_level == "anonymous"
        self._script = None
        if manifest.code.entry_script is not None:
            self._script = ScriptFace(os.environ, keyed=not open_to_all)
            self._methods = tuple(dict.fromkeys((*self._methods, "OPTIONS")))
        keys = () if open_to_all else service.settings.function_keys
        self._keys = tuple(key.encode() for key in keys)
        self._version = (b"x-model-version", manifest.model_version.encode())

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await self._lifespan(receive, send)
        elif scope["path"] == self._route:
            await self._scored(scope, receive, send)
        elif (handler := self._handlers.get(scope["path"])) is not None:
            await self._handled(handler, scope, receive, send)
        else:
            await self._others(scope, send)

    async def _scored(self, scope: Scope, receive: Receive, send: Send) -> None:
        exchange = None
        if self._script is not None:
            exchange = self._script.exchange(scope["method"], scope["query_string"], scope["headers"])
        try:
            headers = dict(scope["headers"])
            if scope["method"] not in self._methods:
                raise _wrong_method(self._methods)
            self._check_key(headers, scope["query_string"])
            body = await self._body(headers, receive, most=self._most)
            wish = cache_wish(headers.get(b"cache-control", b"").decode("latin-1"))
            if exchange is not None:
                exchange.check()
            answer = await self._service.answer(body, wish, asked=exchange.asked if exchange else None)
        except ScoringError as error:
            if exchange is not None and (reply := exchange.refused(error)) is not None:
                await _send_reply(send, reply, (self._version,))
            else:
                await self._refuse(error, send)
        except ClientGoneError:
            return
        except Exception:
            log.exception("the scoring server failed")
            await self._refuse(_OWN_FAULT, send)
        else:
            told = answer_headers(answer, self._service.manifest.model_version)
            if exchange is not None:
                await _send_reply(send, exchange.answered(answer.body, predict=answer.timings.predict), told)
            else:
                await _send(send, 200, answer.body, told)

    async def _handled(self, handler: Handler, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            headers = dict(scope["headers"])
            if scope["method"] != "POST":
                raise _wrong_method(("POST",))
            self._check_key(headers, scope["query_string"])
            # What a trigger brings comes in base64, with facts about where it came from.
            body = await self._body(headers, receive, most=self._most * 4 // 3 + _PAYLOAD_EXTRA)
            answer = await handler(body)
        except ScoringError as error:
            await self._refuse(error, send)
        except ClientGoneError:
            return
        except Exception:
            log.exception("the scoring server failed")
            await self._refuse(_OWN_FAULT, send)
        else:
            await _send(send, 200, answer, (self._version,))

    async def _others(self, scope: Scope, send: Send) -> None:
        path = scope["path"]
        try:
            page = {"/": self._front, "/healthz": self._health, "/openapi.json": self._openapi}.get(path)
            if page is None:
                raise ScoringError(404, "not_found", f"There is nothing at {path}.", f"Send requests to {self._route}.")
            if scope["method"] not in ("GET", "HEAD"):
                raise _wrong_method(("GET", "HEAD"))
            status, told = page(scope)
        except ScoringError as error:
            await self._refuse(error, send)
        else:
            body = b"" if scope["method"] == "HEAD" else msgspec.json.encode(told)
            await _send(send, status, body, (self._version, (b"cache-control", b"no-store")))

    def _front(self, _scope: Scope) -> tuple[int, Any]:
        return 200, {"score": self._route, "health": "/healthz", "description": "/openapi.json"}

    def _health(self, _scope: Scope) -> tuple[int, Any]:
        service = self._service
        manifest, cache = service.manifest, service.cache
        if service.failure is not None:
            return 503, {"status": "failed", "error": service.failure.as_dict()}
        if not service.ready:
            return 503, {"status": "loading"}
        about: dict[str, str] = {"policy": service.settings.policy, "state": cache.state}
        if cache.state == "down":
            about["detail"] = cache.detail
        return 200, {
            "status": "ready",
            "model_version": manifest.model_version,
            "scoring_version": SCORING_VERSION,
            "executes": manifest.execution.executes,
            "reason": manifest.execution.reason,
            "epoch": cache.epoch,
            "cache": about,
        }

    def _openapi(self, scope: Scope) -> tuple[int, Any]:
        # The example in it is made from the training data's means, which not everybody may see.
        self._check_key(dict(scope["headers"]), scope["query_string"])
        return 200, openapi(self._service.manifest)

    def _check_key(self, headers: dict[bytes, bytes], query: bytes) -> None:
        """Like the Functions host: a key in the header or in the query. Raises a 401."""
        if not self._keys:
            return
        given = headers.get(b"x-functions-key")
        if given is None and query:
            given = parse_qs(query).get(b"code", [b""])[-1]
        # Every key is compared, each in constant time: the answer's delay tells nothing.
        matches = [hmac.compare_digest(given or b"", key) for key in self._keys]
        if not any(matches):
            raise ScoringError(
                401,
                "unauthorized",
                f"The function key is {'not one of this function' if given else 'missing'}.",
                "Send it as the header x-functions-key, or as ?code= in the address.",
            )

    async def _body(self, headers: dict[bytes, bytes], receive: Receive, *, most: int) -> bytes:
        """The whole body, up to the limit. Raises a 413 before reading what is announced to be longer."""
        encoding = headers.get(b"content-encoding", b"identity")
        if encoding != b"identity":
            raise ScoringError(
                415,
                "unsupported_encoding",
                f"The body's encoding {encoding.decode('latin-1')} is not read here.",
                "Send the body uncompressed.",
            )
        announced = headers.get(b"content-length", b"")
        if announced.isdigit() and int(announced) > most:
            raise _too_long(most)
        event = await receive()
        if not event.get("more_body") and event["type"] == "http.request":
            body: bytes = event.get("body", b"")
            if len(body) > most:
                raise _too_long(most)
            return body
        parts = bytearray()
        while event["type"] == "http.request":
            parts += event.get("body", b"")
            if len(parts) > most:
                raise _too_long(most)
            if not event.get("more_body"):
                return bytes(parts)
            event = await receive()
        raise ClientGoneError

    async def _refuse(self, error: ScoringError, send: Send) -> None:
        headers: list[Header] = [self._version, (b"cache-control", b"no-store")]
        if error.status == 405:
            headers.append((b"allow", error.hint.removeprefix("Use ").rstrip(".").encode()))
        if error.status == 413:
            # The rest of the body is not read, so the connection cannot be used again.
            headers.append((b"connection", b"close"))
        if error.code == "loading":
            headers.append((b"retry-after", b"1"))
        await _send(send, error.status, error.body(), headers)

    async def _lifespan(self, receive: Receive, send: Send) -> None:
        while True:
            event = await receive()
            if event["type"] == "lifespan.startup":
                self._service.start()
                if (descriptor := self._service.settings.ready_fd) is not None:
                    # No request is taken before startup is complete, so that this process can share its socket
                    # with an older one; where the model cannot be opened, none ever is.
                    await self._service.loaded()
                    self._tell(descriptor)
                if descriptor is not None and self._service.failure is not None:
                    await self._service.stop()
                    await send({"type": "lifespan.startup.failed", "message": "the model could not be opened"})
                    return
                await send({"type": "lifespan.startup.complete"})
            else:
                await self._service.stop()
                await send({"type": "lifespan.shutdown.complete"})
                return

    def _tell(self, descriptor: int) -> None:
        """Write one line of JSON, what `/healthz` answers, to whoever waits for the model to be open."""
        _, health = self._health({"type": "http"})
        with open(descriptor, "wb") as waiting:
            waiting.write(msgspec.json.encode(health) + b"\n")


def cache_wish(cache_control: str | None) -> CacheWish:
    """What Cache-Control asks for; the stricter of two, and directives about other things are let be."""
    if not cache_control:
        return CacheWish.DEFAULT
    directives = {part.strip() for part in cache_control.lower().split(",")}
    if "no-store" in directives:
        return CacheWish.NO_STORE
    return CacheWish.NO_CACHE if directives & {"no-cache", "max-age=0"} else CacheWish.DEFAULT


def answer_headers(answer: Answer, model_version: str) -> tuple[Header, ...]:
    """How the answer came about; Server-Timing has the parts that were needed, in milliseconds."""
    timings = answer.timings
    parts = ("parse", timings.parse), ("get", timings.get), ("predict", timings.predict), ("set", timings.set)
    shown = [f"{name};dur={taken * 1000:.3f}" for name, taken in parts if taken is not None]
    shown.append(f"total;dur={timings.total * 1000:.3f}")
    return (
        (b"x-cache", answer.verdict.encode()),
        (b"x-cache-key", answer.key.encode()),
        (b"x-model-version", model_version.encode()),
        (b"server-timing", ", ".join(shown).encode()),
    )


_OWN_FAULT = ScoringError(
    500, "internal_error", "The scoring server failed at this request.", "The function's log has the trace."
)


def _wrong_method(allowed: Iterable[str]) -> ScoringError:
    hint = f"Use {', '.join(allowed)}."
    return ScoringError(405, "wrong_method", "This address does not take that method.", hint)


def _too_long(most: int) -> ScoringError:
    return too_large(
        "too_large",
        f"The body is longer than {most} bytes, the most that this function takes.",
        "Send the rows in several requests.",
    )


async def _send(send: Send, status: int, body: bytes, headers: Iterable[Header]) -> None:
    length = b"%d" % len(body)
    start = [(b"content-type", b"application/json"), (b"content-length", length), *headers]
    await send({"type": "http.response.start", "status": status, "headers": start})
    await send({"type": "http.response.body", "body": body})


async def _send_reply(send: Send, reply: Reply, headers: Iterable[Header]) -> None:
    own = [(name.lower().encode("latin-1"), value.encode("latin-1")) for name, value in reply.headers]
    if reply.status not in (204, 304):
        own.append((b"content-length", b"%d" % len(reply.body)))
    await send({"type": "http.response.start", "status": reply.status, "headers": [*own, *headers]})
    await send({"type": "http.response.body", "body": reply.body})
