"""The finder of Redis servers, and what its configuration gives, asked of a real server."""

import subprocess
import tempfile
from pathlib import Path

import psutil
import pytest
import redis

from deployments.domain.errors import Unavailable
from deployments.redis_server import FUNCTION_USER, find_server, function_rules, server_config
from tests.conftest import wait_for_redis


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


def test_a_function_has_a_user_of_its_own_in_every_server(monkeypatch: pytest.MonkeyPatch) -> None:
    servers = {find_server()}
    monkeypatch.delenv("REDIS_SERVER", raising=False)
    monkeypatch.setenv("PATH", "/nowhere")
    servers.add(find_server())
    for server in servers:
        with tempfile.TemporaryDirectory(prefix="redis-") as folder:
            allowed_and_refused(server, Path(folder))


def allowed_and_refused(server: Path, folder: Path) -> None:
    socket = folder / "redis.sock"
    rules = function_rules(password="theirs", prefix="iris")
    config = server_config(directory=folder, password="ours", unixsocket=socket, function_rules=rules)
    assert "theirs" not in config
    process = subprocess.Popen([server, "-"], stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True)
    try:
        assert process.stdin is not None
        process.stdin.write(config)
        process.stdin.close()
        wait_for_redis(f"unix://:ours@{socket}?db=0")
        with redis.Redis(unix_socket_path=str(socket), username=FUNCTION_USER, password="theirs", protocol=3) as theirs:
            theirs.execute_command("CLIENT TRACKING", "ON", "BCAST", "PREFIX", "iris:", "NOLOOP")
            theirs.set("iris:x", 1, ex=60)
            assert theirs.mget("iris:x", "iris:y") == [b"1", None]
            assert theirs.eval("return redis.call('SET', KEYS[1], ARGV[1])", 1, "iris:epoch", 2) == b"OK"
            for line in ("CONFIG GET dir", "MIGRATE 127.0.0.1 1 iris:x 0 10", "REPLICAOF 127.0.0.1 1", "SHUTDOWN",
                         "FLUSHALL", "KEYS *", "GET other:x", "ACL LIST", "CLIENT LIST"):  # fmt: skip
                with pytest.raises(redis.exceptions.NoPermissionError):
                    theirs.execute_command(*line.split())
    finally:
        process.kill()
        process.wait()
