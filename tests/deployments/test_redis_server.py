"""The finder of Redis servers, and what its configuration gives, asked of a real server."""

from pathlib import Path

import psutil
import pytest
import redis

from deployments.domain.errors import Unavailable
from deployments.redis_server import find_server, server_config


def test_the_bundled_server_is_found_where_none_is_on_path(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("REDIS_SERVER", raising=False)
    monkeypatch.setenv("PATH", str(tmp_path))
    assert find_server().name == "valkey-server"


def test_a_named_server_that_is_not_there_is_not_replaced_by_another(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("REDIS_SERVER", "/nowhere/redis-server")
    with pytest.raises(Unavailable, match="/nowhere/redis-server") as refused:
        find_server()
    assert "REDIS_SERVER" in refused.value.detail.action


def test_the_password_is_asked_for_and_shown_by_no_process(redis_server: str) -> None:
    client = redis.Redis.from_url(redis_server)
    password = client.get_connection_kwargs()["password"]
    process = psutil.Process(client.info("server")["process_id"])
    assert password not in " ".join(process.cmdline())
    with pytest.raises(redis.AuthenticationError):
        redis.Redis.from_url(redis_server.replace(f":{password}@", "")).ping()
    assert process.net_connections() == []


def test_values_are_quoted() -> None:
    config = server_config(directory=Path('/a "b"\\c'), password='p"w', maxmemory_bytes=1024, policy="allkeys-lfu")
    assert 'requirepass "p\\"w"' in config
    assert 'dir "/a \\"b\\"\\\\c"' in config
    assert "maxmemory 1024\nmaxmemory-policy allkeys-lfu\n" in config
