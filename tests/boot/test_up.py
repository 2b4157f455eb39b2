"""bin/up from an empty home: a sample deployed and scored, what dies comes back, a stop leaves nothing."""

import json
import os
import shutil
import signal
import socket
import stat
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx
import psutil
import pytest

from console.boot.guard import MARK
from console.home import CHECKOUT, Home

START_SECONDS = 240
STOP_SECONDS = 20


def free_port() -> int:
    with socket.socket() as trial:
        trial.bind(("127.0.0.1", 0))
        return int(trial.getsockname()[1])


def listens(port: int) -> bool:
    with socket.socket() as trial:
        return trial.connect_ex(("127.0.0.1", port)) == 0


def eventually(what: Callable[[], bool], *, seconds: float, why: str) -> None:
    end = time.monotonic() + seconds
    while not what():
        assert time.monotonic() < end, why
        time.sleep(0.2)


@dataclass
class Up:
    """One home, and the bin/up that runs on it."""

    home: Home
    port: int
    processes: list[subprocess.Popen[bytes]] = field(default_factory=list)

    @property
    def log(self) -> Path:
        return self.home.root / "up.log"

    def start(self) -> None:
        with self.log.open("wb") as log:
            process = self.command(stdout=log, stderr=subprocess.STDOUT)
        self.processes.append(process)
        eventually(
            lambda: self.home.up_file.exists() or process.poll() is not None,
            seconds=START_SECONDS,
            why="bin/up was not ready in time",
        )
        assert process.poll() is None, self.log.read_text()

    def stop(self, how: signal.Signals) -> int:
        process = self.processes[-1]
        process.send_signal(how)
        return process.wait(STOP_SECONDS)

    def command(self, *, port: int | None = None, home: Path | None = None, **more: Any) -> subprocess.Popen[bytes]:
        environment = {
            **os.environ,
            "CONSOLE_HOME": str(home or self.home.root),
            "PORT": str(port or self.port),
        }
        environment.pop("DJANGO_SETTINGS_MODULE", None)
        return subprocess.Popen([CHECKOUT / "bin" / "up"], env=environment, start_new_session=True, **more)

    def facts(self) -> dict[str, Any]:
        return dict(json.loads(self.home.up_file.read_text()))

    def call(self, method: str, path: str, body: Any = None) -> Any:
        facts = self.facts()
        response = httpx.request(
            method,
            f"{facts['console_url']}/api/v1{path}",
            json=body,
            headers={"Authorization": f"Bearer {facts['api_token']}"},
            timeout=60,
        )
        response.raise_for_status()
        return response.json()

    def marked(self) -> list[psutil.Process]:
        """What the supervisor started, itself included."""
        found = []
        for process in psutil.process_iter():
            try:
                if process.environ().get(MARK) == str(self.home.root):
                    found.append(process)
            except psutil.Error:
                continue
        return found


@pytest.fixture(scope="module")
def up() -> Iterator[Up]:
    folder = Path(tempfile.mkdtemp(prefix="up-"))
    up = Up(Home(folder), free_port())
    try:
        yield up
    finally:
        for process in up.processes:
            if process.poll() is None:
                process.send_signal(signal.SIGTERM)
                process.wait(STOP_SECONDS)
        shutil.rmtree(folder)


def ready(up: Up) -> bool:
    try:
        return httpx.get(f"http://127.0.0.1:{up.port}/readyz", timeout=5).status_code == 200
    except httpx.TransportError:
        return False


@pytest.mark.xdist_group("up")
def test_the_first_start_ends_with_a_model_deployed_scored_and_cached(up: Up) -> None:
    up.start()
    facts = up.facts()
    assert stat.S_IMODE(up.home.up_file.stat().st_mode) == 0o600
    assert set(facts) == {"console_url", "username", "password", "api_token", "function_url", "deployment"}
    assert facts["deployment"] == "digits"
    eventually(lambda: "Ctrl-C stops everything" in up.log.read_text(), seconds=5, why="the last words")
    text = up.log.read_text()
    assert "MISS" in text
    assert "HIT" in text.partition("MISS")[2]
    assert facts["password"] in text
    assert facts["api_token"] not in text
    assert up.call("GET", "/deployments/digits")["status"] == "live"
    assert httpx.get(f"{facts['console_url']}/", follow_redirects=True).status_code == 200


@pytest.mark.xdist_group("up")
def test_no_secret_is_on_a_command_line_or_in_a_log(up: Up) -> None:
    facts = up.facts()
    kept = ("secret_key", "broker_password")
    secrets = [facts["api_token"], *((up.home.var / name).read_text().strip() for name in kept)]
    lines = [" ".join(process.info["cmdline"] or []) for process in psutil.process_iter(["cmdline"])]
    logs = [path.read_text(errors="replace") for path in up.home.log.iterdir()]
    for secret in [*secrets, facts["password"]]:
        assert not [line for line in lines if secret in line]
        assert not [log for log in logs if secret in log]


@pytest.mark.xdist_group("up")
def test_a_second_console_on_the_home_and_a_taken_port_are_refused(up: Up, tmp_path: Path) -> None:
    second = up.command(port=free_port(), stderr=subprocess.PIPE)
    _, words = second.communicate(timeout=30)
    assert second.returncode == 1
    assert str(up.processes[-1].pid) in words.decode()
    elsewhere = up.command(home=tmp_path, stderr=subprocess.PIPE)
    _, words = elsewhere.communicate(timeout=30)
    assert elsewhere.returncode == 1
    assert f"PORT={up.port + 1} bin/up" in words.decode()
    assert ready(up)


@pytest.mark.xdist_group("up")
def test_what_is_killed_comes_back(up: Up) -> None:
    killed = [process for process in up.marked() if "supervisor" not in " ".join(process.cmdline())]
    assert len(killed) >= 4
    for process in killed:
        process.kill()
    eventually(lambda: not ready(up), seconds=5, why="a killed web server still answers")
    eventually(lambda: ready(up), seconds=60, why="the console did not come back")


@pytest.mark.xdist_group("up")
def test_a_stop_leaves_nothing_and_a_start_brings_everything_back(up: Up) -> None:
    before = up.facts()
    port = urlsplit(before["function_url"]).port
    assert port is not None
    assert listens(port)
    assert up.stop(signal.SIGTERM) == 0
    assert not up.home.up_file.exists()
    assert not listens(port)
    assert not listens(up.port)
    assert up.marked() == []

    up.start()
    assert up.facts() == before
    assert listens(port)
    assert before["password"] in up.log.read_text()
    runs = up.call("GET", "/deployments/digits")
    assert runs["status"] == "live"
    entries = up.call("GET", "/deployments/digits/cache/entries")
    assert len(entries["entries"]) == 1, "the cache kept its data"
    assert up.stop(signal.SIGINT) == 0
    assert not listens(port)
    assert up.marked() == []
