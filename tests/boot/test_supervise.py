"""The supervisor, for real: it starts again what is killed, and leaves nothing behind."""

import secrets
import shutil
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from configparser import RawConfigParser
from pathlib import Path

import psutil
import pytest
import redis

from console.boot.guard import MARK
from console.boot.supervise import Program, Supervisor, configuration, programs
from console.home import Home


@pytest.fixture
def home() -> Iterator[Home]:
    # Short enough for a socket, and with the characters that configuration files stumble over.
    folder = Path(tempfile.mkdtemp(prefix="100% of a home "))
    home = Home(folder)
    home.prepare()
    yield home
    shutil.rmtree(folder)


def eventually(what: Callable[[], bool], *, seconds: float = 20) -> None:
    end = time.monotonic() + seconds
    while not what():
        assert time.monotonic() < end, "it did not come about in time"
        time.sleep(0.05)


def broker_of(home: Home, monkeypatch: pytest.MonkeyPatch) -> Program:
    monkeypatch.setenv("CONSOLE_HOME", str(home.root))
    return next(p for p in programs(home, host="127.0.0.1", port=1, environment={}) if p.name == "broker")


def ask(home: Home) -> redis.Redis:
    return redis.Redis(unix_socket_path=str(home.broker_socket), password=home.broker_password())


def answers(home: Home) -> bool:
    try:
        return bool(ask(home).ping())
    except redis.ConnectionError:
        return False


def marked(home: Home) -> list[psutil.Process]:
    found = []
    for process in psutil.process_iter():
        try:
            if process.environ().get(MARK) == str(home.root):
                found.append(process)
        except psutil.Error:
            continue
    return found


def test_a_killed_broker_comes_back_with_its_queue(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    with Supervisor(home, [broker_of(home, monkeypatch)]) as supervisor:
        eventually(lambda: answers(home))
        client = ask(home)
        client.rpush("queue", "a task")
        assert client.config_get("maxmemory-policy") == {"maxmemory-policy": "noeviction"}
        first = client.info("server")["process_id"]
        eventually(lambda: ask(home).info("persistence")["aof_pending_bio_fsync"] == 0)
        psutil.Process(first).kill()
        eventually(lambda: answers(home) and ask(home).info("server")["process_id"] != first)
        assert ask(home).lrange("queue", 0, -1) == [b"a task"]
        assert supervisor.is_alive()
        pid = ask(home).info("server")["process_id"]
        assert home.broker_password() not in " ".join(psutil.Process(pid).cmdline())
        assert home.broker_password().encode() not in Path(f"/proc/{pid}/environ").read_bytes()
    assert marked(home) == []


def test_programs_that_outlive_their_supervisor_are_ended(home: Home) -> None:
    sleeper = Program("sleeper", ("-c", "import time; time.sleep(60)"), 1, 1)
    with Supervisor(home, [sleeper]) as supervisor:
        eventually(lambda: len(marked(home)) == 2)
        supervisord = next(process for process in marked(home) if "supervisord" in " ".join(process.cmdline()))
        supervisord.kill()
        eventually(lambda: not supervisor.is_alive())
    assert marked(home) == []


def test_an_environment_with_a_broker_gets_none_of_ours(home: Home) -> None:
    wanted = programs(home, host="127.0.0.1", port=1, environment={"REDIS_URL": "redis://elsewhere"})
    assert {program.name for program in wanted} == {"web", "worker", "beat"}


def test_the_configuration_holds_no_secret_and_no_control_socket(home: Home) -> None:
    secret = secrets.token_hex(8)
    wanted = programs(home, host="::1", port=8000, environment={"SECRET_KEY": secret})
    text = configuration(wanted)
    parsed = RawConfigParser(inline_comment_prefixes=None)
    parsed.read_string(text)
    assert set(parsed.sections()) == {"supervisord", *(f"program:{p.name}" for p in wanted)}
    assert "[::1]:8000" in parsed["program:web"]["command"]
    assert sys.executable in parsed["program:worker"]["command"]
    assert secret not in text
    assert home.broker_password() not in text
