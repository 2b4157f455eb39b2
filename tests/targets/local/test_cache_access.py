"""The function's own user in its cache: all that the scoring server does works, and nothing else is allowed."""

from collections.abc import Iterator
from typing import Any

import httpx
import pytest
import redis

from deployments.domain.resources import Ready
from deployments.redis_server import FUNCTION_USER
from deployments.targets.local.cache import FUNCTION_PASSWORD
from deployments.targets.local.folders import read_json, write_json
from deployments.targets.local.redis_child import SOCKET, connect
from tests.scoring.processes import wait_for
from tests.targets.driving import Driven, Failed

from .conftest import LocalHarness

ROW = [5.1, 3.5, 1.4, 0.2]
FORBIDDEN = (
    "CONFIG GET dir", "CONFIG SET dir /tmp", "MIGRATE 127.0.0.1 1 access:x 0 10", "REPLICAOF 127.0.0.1 1", "SHUTDOWN",
    "FLUSHALL", "KEYS *", "SCAN 0", "ACL LIST", "ACL SETUSER function +@all", "CLIENT LIST", "CLIENT KILL TYPE normal",
    "SAVE", "SCRIPT FLUSH", "FUNCTION LIST", "MODULE LIST", "GET other:x", "SET other:x 1", "SUBSCRIBE other:epoch",
    "PUBLISH access:epoch 9",
)  # fmt: skip


@pytest.fixture
def driven(harness: LocalHarness) -> Iterator[Driven]:
    made = harness.driven("access")
    yield made
    made.destroy()


def signed_in(harness: LocalHarness, driven: Driven, password: str) -> "redis.Redis":
    socket = str(harness.folder(driven, "cache").sockets / SOCKET)
    return redis.Redis(unix_socket_path=socket, username=FUNCTION_USER, password=password)


def test_a_function_keeps_counts_and_follows_but_may_do_nothing_else(harness: LocalHarness, driven: Driven) -> None:
    spec = harness.spec(hosting={"processes": 1}, cache={"max_memory_mb": 16, "timeout_ms": 1000, "local_mb": 1})
    driven.deploy(spec)
    url, base = (str(driven.outputs["function"][name]) for name in ("url", "base_url"))
    secrets = driven.resource(spec, "function").secrets(driven.context())

    def verdict() -> str:
        answer = httpx.post(url, json={"data": [ROW]}, headers={"x-functions-key": secrets["key"]}, timeout=20)
        return str(answer.headers["x-cache"])

    def health() -> Any:
        return httpx.get(f"{base}/healthz", timeout=20).json()

    assert health()["cache"]["state"] == "up"
    assert verdict() == "MISS"
    wait_for(lambda: verdict() == "HIT")
    with connect(harness.folder(driven, "cache")) as console:

        def counted(name: str) -> int:
            return sum(int(console.hget(key, name) or 0) for key in console.scan_iter("access:stats:*"))

        wait_for(lambda: counted("hits"))
        # Kept in the process, which Redis allows only while it tells what changes.
        wait_for(lambda: verdict() == "HIT" and counted("local_hits"))
        assert console.scard("access:versions") == 1
        console.set("access:epoch", 3)
        console.publish("access:epoch", 3)
        wait_for(lambda: health()["epoch"] == 3)
        assert verdict() == "MISS"
        # Lost, it is raised again by the function's script.
        console.delete("access:epoch")
        assert wait_for(lambda: console.get("access:epoch")) == "3"
        assert secrets["cache_password"] not in (harness.folder(driven, "cache").known_secret("password"), "")

    with signed_in(harness, driven, secrets["cache_password"]) as function:
        assert function.ping()
        for line in FORBIDDEN:
            with pytest.raises(redis.exceptions.NoPermissionError):
                function.execute_command(*line.split())
        for script in ("redis.call('GET', 'other:x')", "redis.call('CONFIG', 'GET', 'dir')"):
            with pytest.raises(redis.exceptions.RedisError):
                function.eval(f"return {script}", 0)


def test_a_cache_from_before_there_was_such_a_user_gets_it_in_place(harness: LocalHarness, driven: Driven) -> None:
    spec = harness.spec()
    cache = driven.resource(spec, "cache")
    driven.bring(cache)
    folder = harness.folder(driven, "cache")
    with connect(folder) as console:
        console.set("access:kept", 1)
        console.acl_deluser(FUNCTION_USER)
    folder.path.joinpath(FUNCTION_PASSWORD).unlink()
    write_json(folder.job, {**read_json(folder.job), "fingerprint": "an older one"})
    driven.bring(cache)
    with signed_in(harness, driven, cache.secrets(driven.context())[FUNCTION_PASSWORD]) as function:
        assert function.get("access:kept") == b"1"


def test_a_lost_secret_of_the_cache_is_a_clear_fault_and_the_one_before_goes_on(
    harness: LocalHarness, driven: Driven
) -> None:
    spec = harness.spec(hosting={"processes": 1}, cache={"max_memory_mb": 16, "keyed_digests": True})
    driven.deploy(spec)
    cache = harness.folder(driven, "cache").path
    (cache / FUNCTION_PASSWORD).unlink()
    changed = harness.spec(hosting={"processes": 1}, cache={"max_memory_mb": 16, "keyed_digests": True, "keys": "row"})
    with pytest.raises(Failed) as caught:
        driven.bring(driven.resource(changed, "function"))
    assert caught.value.error.code == "secret_lost"
    assert isinstance(driven.resource(spec, "function").observe(driven.context()), Ready)
