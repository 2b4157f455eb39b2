"""A console of the tests' own, started as bin/up starts it, with its sample deployed."""

import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from console.home import CHECKOUT, Home

START_SECONDS = 300
STOP_SECONDS = 40


@dataclass(frozen=True, slots=True)
class Console:
    """Where it is, and who may sign in."""

    url: str
    username: str
    password: str
    home: Home


@contextmanager
def running() -> Iterator[Console]:
    """Start a console on an empty home; everything that it started is gone afterwards."""
    # Beside the pytest folder, not in it: a socket's address holds about a hundred bytes.
    with tempfile.TemporaryDirectory(prefix="console-", ignore_cleanup_errors=True) as folder:
        home = Home(Path(folder))
        environment = {**os.environ, "CONSOLE_HOME": folder, "PORT": str(_free_port())}
        environment.pop("DJANGO_SETTINGS_MODULE", None)
        log = Path(folder) / "up.log"
        with log.open("wb") as output:
            process = subprocess.Popen(
                [sys.executable, "-m", "console.boot"],
                cwd=CHECKOUT,
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
            )
        try:
            end = time.monotonic() + START_SECONDS
            while not home.up_file.exists():
                assert process.poll() is None, log.read_text()
                assert time.monotonic() < end, log.read_text()
                time.sleep(0.2)
            facts = json.loads(home.up_file.read_text())
            yield Console(facts["console_url"], facts["username"], facts["password"], home)
        finally:
            process.send_signal(signal.SIGTERM)
            try:
                process.wait(STOP_SECONDS)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def _free_port() -> int:
    with socket.socket() as trial:
        trial.bind(("127.0.0.1", 0))
        return int(trial.getsockname()[1])
