"""What tests everywhere share: a real Redis server, a browser where there is one, hypothesis' profiles."""

import os
import secrets
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import redis
from hypothesis import HealthCheck, settings
from xdist.scheduler import LoadFileScheduling

from deployments.redis_server import find_server, server_config

settings.register_profile("quick", max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.register_profile("thorough", max_examples=2000, deadline=None)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "quick"))

BROWSER_TESTS = "tests/browser/"
BROWSERS = ("chromium", "chromium-browser", "google-chrome")


class Side(LoadFileScheduling):
    """Among processes that test side by side a file stays with one, and so do all browser tests: they share a
    console, which takes its time to start."""

    def _split_scope(self, nodeid: str) -> str:
        return BROWSER_TESTS if nodeid.startswith(BROWSER_TESTS) else str(super()._split_scope(nodeid))


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Side:
    return Side(config, log)


@pytest.fixture
def redis_server() -> Iterator[str]:
    """The URL of an empty Redis server of this test's own, with a password, on a Unix socket.

    The folder is a short one: a socket's address holds about a hundred bytes, and `tmp_path` may be longer.
    """
    with tempfile.TemporaryDirectory(prefix="redis-") as folder:
        socket, password = Path(folder) / "redis.sock", secrets.token_urlsafe(16)
        config = server_config(directory=Path(folder), password=password, unixsocket=socket)
        process = subprocess.Popen([find_server(), "-"], stdin=subprocess.PIPE, stdout=subprocess.DEVNULL)
        try:
            assert process.stdin is not None
            process.stdin.write(config.encode())
            process.stdin.close()
            url = f"unix://:{password}@{socket}?db=0"
            wait_for_redis(url)
            yield url
        finally:
            process.kill()
            process.wait()


@pytest.fixture(scope="session")
def chromium() -> str:
    """The path of a Chromium; without one the test is skipped, but never in CI."""
    found = next((path for name in BROWSERS if (path := shutil.which(name))), None)
    if found is None:
        if os.environ.get("CI"):
            pytest.fail("CI needs a Chromium for the browser tests: install Debian's package chromium")
        pytest.skip("no Chromium on this machine: install Debian's package chromium to run the browser tests")
    return found


def wait_for_redis(url: str, *, seconds: float = 10) -> None:
    """Return when the server answers. Raises redis.ConnectionError when it does not in time."""
    retry = redis.retry.Retry(redis.backoff.ConstantBackoff(0.02), int(seconds / 0.02))
    with redis.Redis.from_url(url, retry=retry, retry_on_error=[redis.ConnectionError]) as client:
        client.ping()
