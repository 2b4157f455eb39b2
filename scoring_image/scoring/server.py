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
from scoring.answers import Answer, CacheWish
from scoring.bodies import SMALL, Bodies, ClientGoneError, Receive
from scoring.calls import Reply
from scoring.errors import ScoringError
from scoring.openapi import openapi
from scoring.service import Service

Scope = MutableMapping[str, Any]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
Header = tuple[bytes, bytes]
# Takes the whole body of a POST and returns the JSON of its answer; raises ScoringError.
Handler = Callable[[bytes], Awaitable[bytes]]

_PAYLOAD_EXTRA = 64 * 1024
_JSON = (b"content-type", b"application/json")
_NO_STORE = (b"cache-control", b"no-store")
_CLOSE = (b"connection", b"close")
_VERDICTS = {verdict: (b"x-cache", verdict.encode()) for verdict in ("HIT", "MISS", "BYPASS")}

log = logging.getLogger("scoring")


class Application:
    """`POST /api/{route}`, `GET /healthz`, `GET /openapi.json`, and `GET /`, where the host knocks.

    `handlers` are further paths that take a POST: where the Functions host posts what a trigger other than HTTP
    brought. A function key is asked for there as well. While it is `closing`, every answer ends its connection, so
    that callers go elsewhere.
    """

    def __init__(self, service: Service, *, handlers: Mapping[str, Handler] | None = None) -> None:
        manifest = service.manifest
        self.closing = False
        self._service = service
        self._route = f"/api/{manifest.trigger.route}"
        self._methods = tuple(method.upper() for method in manifest.trigger.methods)
        self._most = manifest.limits.max_body_bytes
        self._bodies = Bodies(self._most)
        self._handlers = dict(handlers or {})
        open_to_all = manifest.trigger.auth_level == "anonymous"
        self._script = None
        if manifest.code.entry_script is not None:
            self._script = ScriptFace(os.environ, keyed=not open_to_all, seconds=service.settings.predict_seconds)
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
            if self._keys:
                self._check_key(headers, scope["query_string"])
            body = await self._bodies.read(headers, receive, most=self._most)
            wish = cache_wish(headers[b"cache-control"].decode("latin-1")) if b"cache-control" in headers else _DEFAULT
            if exchange is not None:
                exchange.check()
            asked = exchange.asked if exchange is not None else None
            if len(body) <= SMALL:
                answer = await self._service.answer(body, wish, asked)
            else:
                with self._bodies.held(body):
                    answer = await self._service.answer(body, wish, asked)
        except ScoringError as error:
            if exchange is not None and (reply := exchange.refused(error)) is not None:
                await self._send_reply(send, reply, (self._version,))
            else:
                await self._refuse(error, send)
        except ClientGoneError:
            return
        except Exception:
            log.exception("the scoring server failed")
            await self._refuse(_OWN_FAULT, send)
        else:
            told = (
                _VERDICTS[answer.verdict],
                (b"x-cache-key", answer.key.encode()),
                self._version,
                (b"server-timing", timing(answer)),
            )
            if exchange is None:
                await self._send(send, 200, answer.body, told)
            else:
                await self._send_reply(send, exchange.answered(answer.body, predict=answer.predict), told)

    async def _handled(self, handler: Handler, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            headers = dict(scope["headers"])
            if scope["method"] != "POST":
                raise _wrong_method(("POST",))
            self._check_key(headers, scope["query_string"])
            # What a trigger brings comes in base64, with facts about where it came from.
            body = await self._bodies.read(headers, receive, most=self._most * 4 // 3 + _PAYLOAD_EXTRA)
            with self._bodies.held(body):
                answer = await handler(body)
        except ScoringError as error:
            await self._refuse(error, send)
        except ClientGoneError:
            return
        except Exception:
            log.exception("the scoring server failed")
            await self._refuse(_OWN_FAULT, send)
        else:
            await self._send(send, 200, answer, (self._version,))

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
        except Exception:
            log.exception("the scoring server failed")
            await self._refuse(_OWN_FAULT, send)
        else:
            body = b"" if scope["method"] == "HEAD" else msgspec.json.encode(told)
            await self._send(send, status, body, (self._version, _NO_STORE))

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
            "gain": service.settings.gain,
            "epoch": cache.epoch,
            "cache": about,
        }

    def _openapi(self, scope: Scope) -> tuple[int, Any]:
        # The example in it is made from the training data's means, which not everybody may see.
        self._check_key(dict(scope["headers"]), scope["query_string"])
        return 200, openapi(self._service.manifest, self._service.schemas)

    def _check_key(self, headers: dict[bytes, bytes], query: bytes) -> None:
        """Like the Functions host: a key in the header or in the query. Raises a 401."""
        if not self._keys:
            return
        given = headers.get(b"x-functions-key")
        if given is None and query:
            # Of whatever bytes: parse_qs takes none that are percent-encoded and not ASCII, only text.
            codes = parse_qs(query.decode("latin-1"), encoding="latin-1").get("code", [""])
            given = codes[-1].encode("latin-1")
        # Every key is compared, each in constant time: the answer's delay tells nothing.
        matches = [hmac.compare_digest(given or b"", key) for key in self._keys]
        if not any(matches):
            raise ScoringError(
                401,
                "unauthorized",
                f"The function key is {'not one of this function' if given else 'missing'}.",
                "Send it as the header x-functions-key, or as ?code= in the address.",
            )

    async def _refuse(self, error: ScoringError, send: Send) -> None:
        headers = (self._version, _NO_STORE, *error.headers)
        await self._send(send, error.status, error.body(), headers)

    async def _send(self, send: Send, status: int, body: bytes, headers: Iterable[Header]) -> None:
        sent = [_JSON, (b"content-length", b"%d" % len(body)), *headers]
        if self.closing:
            sent.append(_CLOSE)
        await send({"type": "http.response.start", "status": status, "headers": sent})
        await send({"type": "http.response.body", "body": body})

    async def _send_reply(self, send: Send, reply: Reply, headers: Iterable[Header]) -> None:
        sent = [(name.lower().encode("latin-1"), value.encode("latin-1")) for name, value in reply.headers]
        if reply.status not in (204, 304):
            sent.append((b"content-length", b"%d" % len(reply.body)))
        if self.closing:
            sent.append(_CLOSE)
        await send({"type": "http.response.start", "status": reply.status, "headers": [*sent, *headers]})
        await send({"type": "http.response.body", "body": reply.body})

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
    """What Cache-Control asks for; the strictest of several, and directives about other things are let be."""
    if not cache_control:
        return _DEFAULT
    directives = {part.strip() for part in cache_control.lower().split(",")}
    # First, for who only looks stores nothing either: the two together mean the one.
    if "only-if-cached" in directives:
        return CacheWish.ONLY_IF_CACHED
    if "no-store" in directives:
        return CacheWish.NO_STORE
    return CacheWish.NO_CACHE if directives & {"no-cache", "max-age=0"} else _DEFAULT


def answer_headers(answer: Answer, model_version: str) -> tuple[Header, ...]:
    """How the answer came about."""
    headers = (
        _VERDICTS[answer.verdict],
        (b"x-cache-key", answer.key.encode()),
        (b"x-model-version", model_version.encode()),
        (b"server-timing", timing(answer)),
    )
    return (*headers, (b"x-cache-row-digests", answer.row_digests.encode())) if answer.row_digests else headers


def timing(answer: Answer) -> bytes:
    """The value of Server-Timing: the parts that were needed, in milliseconds."""
    if answer.predict is None:
        # By far the most frequent, and so written out.
        parse, total = answer.parse * 1000, answer.total * 1000
        if answer.get is None:
            return b"parse;dur=%.3f, total;dur=%.3f" % (parse, total)
        return b"parse;dur=%.3f, get;dur=%.3f, total;dur=%.3f" % (parse, answer.get * 1000, total)
    parts = ("parse", answer.parse), ("get", answer.get), ("predict", answer.predict), ("set", answer.set)
    shown = [f"{name};dur={taken * 1000:.3f}" for name, taken in parts if taken is not None]
    return ", ".join((*shown, f"total;dur={answer.total * 1000:.3f}")).encode()


_DEFAULT = CacheWish.DEFAULT
_OWN_FAULT = ScoringError(
    500, "internal_error", "The scoring server failed at this request.", "The function's log has the trace."
)


def _wrong_method(allowed: Iterable[str]) -> ScoringError:
    methods = ", ".join(allowed)
    return ScoringError(
        405,
        "wrong_method",
        "This address does not take that method.",
        f"Use {methods}.",
        headers=((b"allow", methods.encode()),),
    )
