"""A cache that does not answer is told with its cause and what to do, whatever is wrong with it."""

import socket

import pytest
import redis

from deployments.cache.connection import CacheAddress, SignInRefused, opened
from deployments.domain.errors import Unavailable


def address(server: str, **changes: str) -> CacheAddress:
    known = redis.connection.parse_url(server)
    wanted = {"password": str(known["password"]), "socket": str(known["path"]), **changes}
    return CacheAddress(prefix="digits", host="127.0.0.1", port=0, **wanted)


def test_it_is_reached_with_its_password(redis_server: str) -> None:
    with opened(address(redis_server)) as client:
        assert client.ping()


def test_a_password_is_not_in_what_is_printed(redis_server: str) -> None:
    assert "s3cret" not in repr(address(redis_server, password="s3cret"))


def test_a_wrong_password_is_told_apart(redis_server: str) -> None:
    with pytest.raises(SignInRefused) as told, opened(address(redis_server, password="wrong")) as client:
        client.ping()
    assert "wrong" not in str(told.value.detail)


def test_a_dead_server_is_told_with_what_to_do(redis_server: str) -> None:
    with (
        pytest.raises(Unavailable, match="cannot be reached") as told,
        opened(address(redis_server, socket="/nowhere/redis.sock")) as client,
    ):
        client.ping()
    assert "restart run" in told.value.detail.action


def test_a_server_that_says_nothing_costs_seconds_and_not_a_page(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("deployments.cache.connection.READ_TIMEOUT", 0.2)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        where = CacheAddress(prefix="digits", host="127.0.0.1", port=silent.getsockname()[1], password="x")
        with pytest.raises(Unavailable, match="in time"), opened(where) as client:
            client.ping()


def test_a_command_that_is_refused_is_no_crash(redis_server: str) -> None:
    with pytest.raises(Unavailable, match="refused"), opened(address(redis_server)) as client:
        client.execute_command("NOSUCH")
