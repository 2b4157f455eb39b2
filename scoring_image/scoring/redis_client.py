"""The way to Redis that is there or is not: kept up in the background, never waited for by a request.

A connection that fails or is late is given up at once, and while there is none, callers are told so without
delay: that is the circuit breaker. A new one counts only when Redis has answered its first question within
the same time that requests allow it.
"""

from __future__ import annotations

import asyncio
import logging
import random
import ssl
from collections.abc import Awaitable, Callable
from typing import Any

import hiredis

from scoring.resp import OnReply, RespConnection
from scoring.settings import RedisAddress

_CONNECT_TIMEOUT = 2.0
_SHORTEST_PAUSE = 0.05
_LONGEST_PAUSE = 2.0
_STEADY_AFTER = 5.0

log = logging.getLogger("scoring.cache")


class RefusedError(Exception):
    """Redis answers, but will not serve us: wrong password, no permission, still loading."""


class RedisClient:
    """Keeps one connection to `address`.

    `greet` is awaited on every new connection before it is used; what it raises (RefusedError) means that the
    connection is of no use. `on_push` gets the messages of subscriptions.
    """

    def __init__(
        self,
        address: RedisAddress,
        *,
        timeout: float,
        greet: Callable[[RedisClient, RespConnection], Awaitable[None]],
        on_push: Callable[[list[Any]], None],
    ) -> None:
        self.tried = asyncio.Event()
        self.detail = "not connected yet"
        self.speaks_resp3 = False
        self._address = address
        self._timeout = timeout
        self._greet = greet
        self._on_push = on_push
        self._connection: RespConnection | None = None
        self._keeper: asyncio.Task[None] | None = None
        self._tls = _tls_context(address) if address.tls else None

    @property
    def up(self) -> bool:
        """Whether a command sent now has somewhere to go."""
        return self._connection is not None

    def start(self) -> None:
        """Begin to connect, and to connect again whenever the connection is lost."""
        self._keeper = asyncio.create_task(self._keep())

    async def stop(self) -> None:
        """Let what was sent be answered, within the timeout, and close."""
        if self._connection is not None:
            await asyncio.wait([self._connection.call("PING")], timeout=self._timeout)
        if self._keeper is not None:
            self._keeper.cancel()
            await asyncio.gather(self._keeper, return_exceptions=True)

    def send(self, *command: bytes | str | int, on_reply: OnReply) -> bool:
        """Queue a command if there is a connection; says whether."""
        if self._connection is None:
            return False
        self._connection.send(*command, on_reply=on_reply)
        return True

    def call(self, *command: bytes | str | int) -> asyncio.Future[Any] | None:
        """Queue a command; None where there is no connection."""
        return None if self._connection is None else self._connection.call(*command)

    def give_up(self, reason: str) -> None:
        """End this connection: it answers, but not with what we need."""
        if self._connection is not None:
            self._connection.close(reason)

    async def _keep(self) -> None:
        loop = asyncio.get_running_loop()
        pause = _SHORTEST_PAUSE
        while True:
            connection: RespConnection | None = None
            try:
                connection = await self._connected()
                self._connection = connection
                self._say(None)
                self.tried.set()
                since = loop.time()
                reason = await connection.lost
                if loop.time() - since > _STEADY_AFTER:
                    pause = _SHORTEST_PAUSE
            except (OSError, TimeoutError, RefusedError) as error:
                reason = str(error) or "Redis did not answer in time"
            finally:
                self._connection = None
                if connection is not None:
                    connection.close("closed by us")
            self._say(reason)
            self.tried.set()
            # Spread out, so that many functions do not return to a Redis that has just come back in step.
            await asyncio.sleep(pause * random.uniform(0.7, 1.0))  # noqa: S311
            pause = min(pause * 2, _LONGEST_PAUSE)

    async def _connected(self) -> RespConnection:
        connection = RespConnection(timeout=_CONNECT_TIMEOUT, on_push=self._on_push)
        try:
            async with asyncio.timeout(_CONNECT_TIMEOUT):
                await self._open(connection)
                await self._sign_in(connection)
            connection.tighten(self._timeout)
            await self._greet(self, connection)
        except BaseException:
            connection.close("the connection was of no use")
            raise
        return connection

    async def _open(self, connection: RespConnection) -> None:
        loop = asyncio.get_running_loop()
        address = self._address
        if address.path is not None:
            await loop.create_unix_connection(lambda: connection, address.path)
        else:
            await loop.create_connection(lambda: connection, address.host, address.port, ssl=self._tls)

    async def _sign_in(self, connection: RespConnection) -> None:
        address = self._address
        login = ("AUTH", address.username, address.password) if address.password else ()
        hello = await connection.call("HELLO", "3", *login)
        self.speaks_resp3 = not isinstance(hello, Exception)
        if isinstance(hello, hiredis.ReplyError) and address.password:
            # A server or proxy from before RESP3; a wrong password is refused here as well.
            named = login if address.username != "default" else ("AUTH", address.password)
            accepted(await connection.call(*named))
        if address.db:
            accepted(await connection.call("SELECT", address.db))

    def _say(self, trouble: str | None) -> None:
        if trouble == self.detail:
            return
        self.detail = trouble or ""
        if trouble:
            log.warning("cache down: %s; answering without it", trouble)
        else:
            log.info("cache up")


def accepted(reply: Any) -> Any:
    """The reply itself, or RefusedError where it is an error or the connection was lost."""
    if isinstance(reply, Exception):
        raise RefusedError(str(reply))
    return reply


def _tls_context(address: RedisAddress) -> ssl.SSLContext:
    return ssl.create_default_context(cafile=address.ca_file)
