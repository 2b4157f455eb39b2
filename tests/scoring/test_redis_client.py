"""The connection to Redis: shared by many, given up when late, made again, signed in to as the address says."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from itertools import pairwise
from typing import Any

import pytest

from scoring.redis_client import RedisClient, accepted
from scoring.resp import ConnectionLostError, RespConnection
from scoring.settings import RedisAddress, redis_address
from tests.scoring.processes import Redis
from tests.scoring.proxies import Proxy

OwnRedis = Callable[..., Redis]


@asynccontextmanager
async def client_of(address: RedisAddress, *, timeout: float = 0.5) -> AsyncIterator[RedisClient]:
    """A client that has tried to connect once."""

    async def greet(_: RedisClient, connection: RespConnection) -> None:
        accepted(await connection.call("GET", "greeting"))

    client = RedisClient(address, timeout=timeout, greet=greet, on_push=lambda _: None)
    client.start()
    await asyncio.wait_for(client.tried.wait(), 15)
    try:
        yield client
    finally:
        await client.stop()


async def until(condition: Callable[[], Any], *, seconds: float = 15) -> None:
    async with asyncio.timeout(seconds):
        while not condition():
            await asyncio.sleep(0.01)


async def asked(client: RedisClient, *command: bytes | str | int) -> Any:
    waiting = client.call(*command)
    assert waiting is not None
    return await waiting


def test_many_callers_share_one_connection_and_get_their_own_replies(cache_server: Redis) -> None:
    async def run() -> None:
        async with client_of(redis_address(cache_server.url)) as client:
            replies = await asyncio.gather(*(asked(client, "ECHO", f"word {number}") for number in range(2000)))
            assert replies == [b"word %d" % number for number in range(2000)]
            names = [found["name"] for found in cache_server.client.client_list() if found["cmd"] == "echo"]
            assert len(names) == 1

    asyncio.run(run())


def test_a_late_reply_fails_everything_that_waits_and_what_follows_at_once(own_redis: OwnRedis) -> None:
    async def run() -> None:
        server = own_redis()
        async with client_of(redis_address(server.url), timeout=0.3) as client:
            server.freeze()
            start = time.monotonic()
            replies = await asyncio.gather(*(asked(client, "GET", "a") for _ in range(50)))
            took = time.monotonic() - start
            assert all(isinstance(reply, ConnectionLostError) for reply in replies)
            assert 0.29 < took < 0.6
            assert not client.up
            assert client.call("GET", "a") is None
            assert not client.send("GET", "a", on_reply=print)
            assert client.detail == "Redis did not answer within 300 ms"
            server.thaw()
            await until(lambda: client.up)
            assert await asked(client, "PING") == b"PONG"

    asyncio.run(run())


def test_a_loop_that_is_held_up_is_not_redis_being_late(cache_server: Redis) -> None:
    async def run() -> None:
        async with client_of(redis_address(cache_server.url), timeout=0.2) as client:
            waiting = client.call("PING")
            assert waiting is not None
            await asyncio.sleep(0)
            time.sleep(0.5)  # as under a model that keeps the interpreter
            assert await waiting == b"PONG"
            assert client.up

    asyncio.run(run())


def test_a_server_that_hangs_up_is_not_besieged() -> None:
    async def run() -> None:
        knocks: list[float] = []

        def hang_up(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            knocks.append(time.monotonic())
            writer.close()

        server = await asyncio.start_server(hang_up, "127.0.0.1", 0)
        port = server.sockets[0].getsockname()[1]
        async with client_of(redis_address(f"redis://127.0.0.1:{port}")):
            await asyncio.sleep(1.5)
        server.close()
        pauses = [after - before for before, after in pairwise(knocks)]
        assert 3 <= len(knocks) <= 8
        assert pauses[-1] > 2 * pauses[0]

    asyncio.run(run())


def test_a_lost_connection_is_made_again(own_redis: OwnRedis) -> None:
    async def run() -> None:
        server = own_redis()
        proxy = Proxy(server.port)
        async with client_of(redis_address(proxy.url)) as client:
            proxy.cut()
            await until(lambda: not client.up)
            await until(lambda: client.up)
            assert await asked(client, "PING") == b"PONG"
        proxy.close()

    asyncio.run(run())


def test_a_user_of_the_access_list_signs_in_and_may_do_only_what_it_may(own_redis: OwnRedis) -> None:
    async def run() -> None:
        server = own_redis(password="admin")
        server.client.acl_setuser("scorer", enabled=True, passwords=["+se:cret"], keys=["mine:*"], categories=["+@all"])
        address = redis_address(f"redis://scorer:se%3Acret@127.0.0.1:{server.port}/0")
        async with client_of(address) as client:
            assert "NOPERM" in client.detail
            assert "GET, SET" in client.detail
        server.client.acl_setuser("scorer", enabled=True, keys=["greeting"])
        async with client_of(address) as client:
            assert client.up
            assert await asked(client, "ACL", "WHOAMI") == b"scorer"
        async with client_of(replace(address, password="wrong")) as client:
            assert client.detail.startswith("WRONGPASS")
            assert "check the user and the password" in client.detail

    asyncio.run(run())


def test_a_server_without_the_newer_protocol_is_signed_in_to_all_the_same(own_redis: OwnRedis) -> None:
    async def run() -> None:
        server = own_redis('rename-command HELLO ""', password="secret")
        async with client_of(redis_address(server.url)) as client:
            assert client.up
            assert not client.speaks_resp3
            assert await asked(client, "PING") == b"PONG"

    asyncio.run(run())


def test_a_replica_is_left_to_look_for_its_leader_and_not_again_and_again(own_redis: OwnRedis) -> None:
    async def run() -> None:
        leader = own_redis()
        replica = own_redis(f"replicaof 127.0.0.1 {leader.port}")
        async with client_of(redis_address(replica.url)) as client:
            refusal = await asked(client, "SET", "a", 1)
            client.refused(refusal)
            assert not client.up
            await until(lambda: client.up)
            client.refused(refusal)
            assert client.up
            # Full is not elsewhere: what it holds can still be read.
            client.refused(type(refusal)("OOM command not allowed when used memory > 'maxmemory'."))
            assert client.up
            client.refused(type(refusal)("MOVED 3999 127.0.0.1:6381"))
            await until(lambda: not client.up)
            assert "single endpoint" in client.detail

    asyncio.run(run())


@pytest.mark.parametrize("query", ["", "?ssl_ca_certs=/there/is/no/such/file.pem"])
def test_a_cache_without_its_certificates_is_down_and_no_crash(query: str, cache_server: Redis) -> None:
    async def run() -> None:
        address = redis_address(f"rediss://127.0.0.1:{cache_server.port}/0{query}")
        async with client_of(address) as client:
            assert not client.up
            assert client.detail

    asyncio.run(run())
