"""Real Celery workers and beat on a real broker, at work on the test's own database."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import redis
from celery import current_app
from django.conf import settings
from django.db import connection

from console.home import CHECKOUT
from deployments.models import WorkerSeen
from deployments.tasks import ring

WORKER = ("worker", "--concurrency", "1", "--without-gossip", "--without-mingle", "--without-heartbeat")
BEAT = ("beat", "--scheduler", "celery.beat.Scheduler", "--pidfile", "")
NAMES = ("first", "second")


class Workers:
    """Two workers of one process each, and beat, while the context lasts."""

    def __init__(self, *, broker: str, home: Path, paper: Mapping[str, Any]) -> None:
        self._broker = broker.replace("unix:", "redis+socket:").replace("?db=", "?virtual_host=")
        self._redis = redis.Redis.from_url(broker)
        self._log = home / "workers.log"
        self._environment = {
            "PATH": os.environ["PATH"],
            "DJANGO_SETTINGS_MODULE": "tests.engine.worker_settings",
            "CONSOLE_HOME": str(home),
            "CONSOLE_ID": settings.CONSOLE_ID,
            "DATABASE_URL": f"sqlite:///{connection.settings_dict['NAME']}",
            "BROKER_URL": self._broker,
            "LOCAL_TARGET_ROOT": str(settings.LOCAL_TARGET_ROOT),
            "PAPER_TARGET": json.dumps(paper),
            "LOG_LEVEL": "WARNING",
        }
        self._processes: dict[str, subprocess.Popen[bytes]] = {}

    def __enter__(self) -> Self:
        self._start("beat", BEAT)
        for name in NAMES:
            self._start(name, (*WORKER, "--hostname", f"{name}@test"))
        eventually(lambda: WorkerSeen.objects.count() == len(NAMES), seconds=60, why=self.log)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for process in self._processes.values():
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
        self._redis.close()

    def kill_and_start(self, name: str) -> None:
        """End a worker and its child with SIGKILL, in whatever they are doing, and start it anew."""
        process = self._processes[name]
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        self._start(name, (*WORKER, "--hostname", f"{name}@test"))

    def stop_in(self, the_middle: Callable[[], bool], *, seconds: float = 60) -> None:
        """Stop both workers where they are, once that is in the middle of what is asked for."""
        end = time.monotonic() + seconds
        while True:
            self._signal(signal.SIGSTOP)
            if the_middle():
                return
            self._signal(signal.SIGCONT)
            assert time.monotonic() < end, self.log()
            time.sleep(0.02)

    def ring(self, run_ids: list[int], *, times: int) -> None:
        with current_app.connection_for_write(self._broker) as broker:
            for run_id in run_ids:
                for _ in range(times):
                    ring.apply_async((run_id,), connection=broker)

    def lose_all_rings(self) -> None:
        """What a broker without a disk does when it starts again."""
        self._redis.flushall()

    def log(self) -> str:
        return self._log.read_text()[-4000:]

    def _signal(self, number: signal.Signals) -> None:
        for name in NAMES:
            os.killpg(self._processes[name].pid, number)

    def _start(self, name: str, arguments: tuple[str, ...]) -> None:
        with self._log.open("ab") as log:
            self._processes[name] = subprocess.Popen(
                [sys.executable, "-m", "celery", "--app", "console", "--quiet", *arguments, "--loglevel", "WARNING"],
                cwd=CHECKOUT,
                env=self._environment,
                stdout=log,
                stderr=subprocess.STDOUT,
                process_group=0,
            )


def eventually(what: Callable[[], bool], *, seconds: float, why: Callable[[], str]) -> None:
    end = time.monotonic() + seconds
    while not what():
        assert time.monotonic() < end, why()
        time.sleep(0.25)
