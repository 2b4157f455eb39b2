"""What bin/up refuses, and what it clears away, before it starts anything."""

import os
import socket
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from console.boot import guard
from console.boot.progress import Refused
from console.home import Home
from deployments.redis_server import find_server, server_config
from tests.conftest import wait_for_redis


@pytest.fixture
def home(tmp_path: Path) -> Home:
    home = Home(tmp_path)
    home.prepare()
    return home


def test_a_second_console_on_the_same_home_is_refused_and_told_who_has_it(home: Home) -> None:
    with guard.take(home), pytest.raises(Refused, match=f"process {os.getpid()}.*CONSOLE_HOME"):
        guard.take(home)
    guard.take(home).close()


def test_a_killed_holder_holds_nothing(home: Home) -> None:
    code = (
        "import sys, time; from pathlib import Path;"
        "from console.boot import guard; from console.home import Home;"
        "held = guard.take(Home(Path(sys.argv[1]))); print('held', flush=True); time.sleep(60)"
    )
    holder = subprocess.Popen([sys.executable, "-c", code, str(home.root)], stdout=subprocess.PIPE)
    assert holder.stdout is not None
    assert holder.stdout.readline() == b"held\n"
    with pytest.raises(Refused, match=str(holder.pid)):
        guard.take(home)
    holder.kill()
    holder.wait()
    guard.take(home).close()


def test_a_taken_port_is_refused_with_another_to_try() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(Refused, match=f"PORT={port + 1} bin/up"):
            guard.check_port("127.0.0.1", port)
    guard.check_port("127.0.0.1", port)


def test_only_what_this_home_started_is_ended(home: Home) -> None:
    sleep = [sys.executable, "-c", "import time; time.sleep(60)"]
    ours = subprocess.Popen(sleep, env={**os.environ, guard.MARK: str(home.root)})
    others = subprocess.Popen(sleep, env={**os.environ, guard.MARK: f"{home.root}-other"})
    try:
        guard.end_leftovers(home)
        assert not psutil.pid_exists(ours.pid) or ours.wait(5) is not None
        assert others.poll() is None
    finally:
        for process in (ours, others):
            process.kill()
            process.wait()


def test_a_broker_is_known_by_its_socket_for_its_title_hides_its_environment(tmp_path: Path) -> None:
    home = Home(tmp_path)
    home.prepare()
    config = server_config(directory=home.var, password="a password", unixsocket=home.broker_socket)
    broker = subprocess.Popen([find_server(), "-"], stdin=subprocess.PIPE, stdout=subprocess.DEVNULL)
    try:
        assert broker.stdin is not None
        broker.stdin.write(config.encode())
        broker.stdin.close()
        wait_for_redis(f"unix://:a password@{home.broker_socket}?db=0")
        guard.end_leftovers(home)
        assert broker.wait(timeout=10) == 0
    finally:
        broker.kill()
        broker.wait()
