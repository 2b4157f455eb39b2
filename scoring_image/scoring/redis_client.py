"""The way to Redis that is there or is not: kept up in the background, never waited for by a request.

A connection that fails or is late is given up at once, and while there is none, callers are told so without
delay: that is the circuit breaker. A new one counts only when Redis has answered its first question within
the same time that requests allow it. Sign-in is by password or by a token of Entra ID, which is renewed on the open
connection: AUTH takes its place in the line of commands, and none of them is lost.
"""

from __future__ import annotations

import asyncio
import logging
import random
import ssl
import time
from collections.abc import Awaitable, Callable
from typing import Any

import hiredis

from scoring.entra import Token, TokenError, Tokens
from scoring.resp import OnReply, RespConnection
from scoring.settings import RedisAddress

_CONNECT_TIMEOUT = 2.0
_SHORTEST_PAUSE = 0.05
_LONGEST_PAUSE = 2.0
_STEADY_AFTER = 5.0
# A replica refuses to write, and stays one for long or for ever.
_SECONDS_BETWEEN_SEARCHES = 5.0
_SHORTEST_RENEWAL_PAUSE = 1.0
_LONGEST_RENEWAL_PAUSE = 30.0

# Errors that say that this server is of no use now: another one may be behind the address, or this one soon be ready.
# https://redis.io/docs/latest/develop/reference/protocol-spec/#simple-errors has the form, the code first.
_OF_NO_USE = frozenset({"LOADING", "MASTERDOWN", "CLUSTERDOWN", "TRYAGAIN", "MOVED", "ASK", "NOAUTH", "NOPERM"})
_ADVICE = {
    "WRONGPASS": "check the user and the password, or the identity's access policy",
    "NOAUTH": "this Redis wants a password",
    "NOPERM": "this user may not do what a cache needs: GET, SET, EVAL, hashes and sets under the prefix",
    "LOADING": "it reads its data, which passes",
    "MOVED": "it is one server of a cluster: use a tier or clustering policy with a single endpoint",
    "READONLY": "it is a replica: entries are read, and none are stored until a leader is behind the address",
}

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
        self._tls: ssl.SSLContext | None = None
        self._tokens = Tokens(address.client_id) if address.auth == "entra" else None
        self._token: Token | None = None
        self._no_search_before = 0.0

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
        connection, self._connection = self._connection, None
        if connection is not None:
            self._say(advised(reason))
            connection.close(self.detail)

    def refused(self, error: hiredis.ReplyError) -> None:
        """A command was answered by an error: connect anew where that may help, as it does after a failover."""
        code = _code(str(error))
        if code == "READONLY" and time.monotonic() >= self._no_search_before:
            self._no_search_before = time.monotonic() + _SECONDS_BETWEEN_SEARCHES
            self.give_up(str(error))
        elif code in _OF_NO_USE:
            self.give_up(str(error))

    async def _keep(self) -> None:
        loop = asyncio.get_running_loop()
        pause = _SHORTEST_PAUSE
        while True:
            longest = _LONGEST_PAUSE
            connection: RespConnection | None = None
            renewal: asyncio.Task[None] | None = None
            try:
                connection = await self._connected()
                self._connection = connection
                self._say(None)
                self.tried.set()
                since = loop.time()
                if self._tokens is not None and self._token is not None:
                    renewal = asyncio.create_task(self._renew(self._tokens, self._token, connection))
                reason = await connection.lost
                if loop.time() - since > _STEADY_AFTER:
                    pause = _SHORTEST_PAUSE
            except TokenError as error:
                reason, longest = str(error), _LONGEST_RENEWAL_PAUSE
            except (OSError, TimeoutError, RefusedError) as error:
                reason = str(error) or "Redis did not answer in time"
            finally:
                self._connection = None
                if renewal is not None:
                    renewal.cancel()
                if connection is not None:
                    connection.close("closed by us")
            self._say(reason)
            self.tried.set()
            # Spread out, so that many functions do not return to a Redis that has just come back in step.
            await asyncio.sleep(pause * random.uniform(0.7, 1.0))  # noqa: S311
            pause = min(pause * 2, longest)

    async def _connected(self) -> RespConnection:
        password = self._address.password
        if self._tokens is not None:
            self._token = await self._tokens.current()
            password = self._token.text
        connection = RespConnection(timeout=_CONNECT_TIMEOUT, on_push=self._on_push)
        try:
            async with asyncio.timeout(_CONNECT_TIMEOUT):
                await self._open(connection)
                await self._sign_in(connection, password)
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
            return
        if address.tls and self._tls is None:
            # Certificate and name are checked. Made here, where a file that is missing is a cache that is down.
            self._tls = ssl.create_default_context(cafile=address.ca_file)
        await loop.create_connection(lambda: connection, address.host, address.port, ssl=self._tls)

    async def _sign_in(self, connection: RespConnection, password: str) -> None:
        address = self._address
        login = ("AUTH", address.username, password) if password else ()
        hello = await connection.call("HELLO", "3", *login)
        self.speaks_resp3 = not isinstance(hello, Exception)
        if isinstance(hello, hiredis.ReplyError) and password:
            # A server or proxy from before RESP3; a wrong password is refused here as well.
            named = login if address.username != "default" else ("AUTH", password)
            accepted(await connection.call(*named))
        if address.db:
            accepted(await connection.call("SELECT", address.db))

    async def _renew(self, tokens: Tokens, token: Token, connection: RespConnection) -> None:
        """Sign in again, with a new token, before the one that the connection was opened with ends."""
        pause = _SHORTEST_RENEWAL_PAUSE
        wait = token.renew_at - time.time()
        while True:
            await asyncio.sleep(max(0.0, wait))
            try:
                renewed = await tokens.renewed()
                accepted(await connection.call("AUTH", self._address.username, renewed.text))
            except (TokenError, RefusedError) as error:
                left = token.ends - time.time()
                log.warning("the cache's token could not be renewed and holds %.0f more seconds: %s", left, error)
                wait = pause * random.uniform(0.7, 1.0)  # noqa: S311
                pause = min(pause * 2, _LONGEST_RENEWAL_PAUSE)
            else:
                log.info("the cache's token was renewed")
                token = renewed
                pause = _SHORTEST_RENEWAL_PAUSE
                wait = token.renew_at - time.time()

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
        raise RefusedError(advised(str(reply)))
    return reply


def advised(error: str) -> str:
    """What Redis said, with what to do about it where that is known."""
    advice = _ADVICE.get(_code(error))
    return f"{error} ({advice})" if advice else error


def _code(error: str) -> str:
    return error.partition(" ")[0]
