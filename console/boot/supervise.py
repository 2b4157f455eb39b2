"""The long-running processes of a console under supervisor, which starts again what dies."""

import os
import pwd
import shlex
import signal
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

from console.boot.guard import MARK, end_leftovers
from console.home import CHECKOUT, Home

# Longer than all programs' stopwaitsecs together: supervisor stops them one after the other.
STOP_SECONDS = 14
LOGS = "log"

# Imported once and forked: half the work of a start. A thread is held by each request, a slow upload included.
GUNICORN = (
    *("--worker-class", "gthread", "--threads", "8", "--preload", "--no-control-socket"),
    *("--timeout", "120", "--graceful-timeout", "2"),
)
CELERY = ("-m", "celery", "--app", "console", "--quiet")
# What workers tell each other; the database's leases are all that they need to agree on.
CELERY_WORKER = ("--loglevel", "INFO", "--without-gossip", "--without-mingle", "--without-heartbeat")


@dataclass(frozen=True)
class Program:
    """One supervised process; those with a lower `priority` are started earlier and stopped later."""

    name: str
    arguments: tuple[str, ...]
    priority: int
    stop_seconds: int


def programs(home: Home, *, host: str, port: int, environment: Mapping[str, str]) -> list[Program]:
    """What a console consists of; without the broker where the environment names one."""
    bind = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
    web = ("--workers", environment.get("WEB_CONCURRENCY") or "2", "--bind", bind, "--worker-tmp-dir", str(home.run))
    worker = ("--concurrency", environment.get("WORKER_CONCURRENCY") or "2")
    wanted = [
        Program("web", ("-m", "gunicorn", "console.wsgi", *GUNICORN, *web), 40, 3),
        Program("worker", (*CELERY, "worker", *CELERY_WORKER, *worker), 20, 5),
        # A schedule in memory: there is no file that a kill could leave half-written.
        Program("beat", (*CELERY, "beat", "--scheduler", "celery.beat.Scheduler", "--pidfile", ""), 30, 2),
    ]
    if not (environment.get("BROKER_URL") or environment.get("REDIS_URL")):
        wanted.append(Program("broker", ("-m", "console.boot.broker"), 10, 3))
    return wanted


def configuration(wanted: list[Program]) -> str:
    """The text of supervisord.conf, to be run in the home's `var`.

    It has no control socket, for whoever reaches one can stop things. Paths of logs are relative, because
    supervisor expands them twice and so stumbles over a percent sign in them, however it is escaped.
    """
    sections = [
        _section(
            "supervisord",
            nodaemon="true",
            silent="true",
            logfile=f"{LOGS}/supervisord.log",
            pidfile="supervisord.pid",
            user=pwd.getpwuid(os.getuid()).pw_name,
        )
    ]
    for program in wanted:
        command = shlex.join([sys.executable, *program.arguments])
        sections.append(
            _section(
                f"program:{program.name}",
                command=command,
                directory=CHECKOUT,
                priority=program.priority,
                autorestart="true",
                startsecs=1,
                startretries=1000,
                stopwaitsecs=program.stop_seconds,
                killasgroup="true",
                redirect_stderr="true",
                stdout_logfile=f"{LOGS}/{program.name}.log",
                stdout_logfile_maxbytes="10MB",
                stdout_logfile_backups=3,
            )
        )
    return "\n".join(sections)


class Supervisor:
    """Runs supervisord while the context lasts, and leaves nothing that it started behind."""

    def __init__(self, home: Home, wanted: list[Program]) -> None:
        self._home = home
        self._config = home.run / "supervisord.conf"
        self._config.write_text(configuration(wanted), encoding="utf-8")
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "supervisor.supervisord", "--nodaemon", "--configuration", self._config],
            cwd=self._home.var,
            env={**os.environ, "PYTHONUNBUFFERED": "1", MARK: str(self._home.root)},
            stdin=subprocess.DEVNULL,
            # Ctrl-C reaches the terminal's whole foreground group; the order of stopping is ours to give.
            process_group=0,
        )
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._process and self._process.poll() is None:
            self._process.send_signal(signal.SIGTERM)
            try:
                self._process.wait(STOP_SECONDS)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()
        end_leftovers(self._home, patience=1)

    def is_alive(self) -> bool:
        return self._process is not None and self._process.poll() is None


def last_lines(path: Path, count: int = 15) -> str:
    """The end of a program's log, for an error message; empty where there is none yet."""
    if not path.exists():
        return ""
    return "\n".join(path.read_text(encoding="utf-8", errors="replace").splitlines()[-count:])


def _section(name: str, **settings: object) -> str:
    """One section of supervisor's INI dialect, in which a percent sign begins an expansion."""
    lines = [f"{key} = {str(value).replace('%', '%%')}" for key, value in settings.items()]
    return "\n".join([f"[{name}]", *lines, ""])
