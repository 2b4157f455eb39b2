"""The scoring server's processes of one function: started shut in on a shared socket, watched, and ended."""

import contextlib
import json
import math
import os
import socket
import subprocess
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import IO, Any

import psutil

from ...domain.errors import ErrorDetail
from ...domain.limits import MAX_LOG_LINE
from . import sandbox
from .ends import opening_failure, why_ended
from .folders import Folder
from .sandbox import Confinement, Mode
from .server_settings import package_settings, server_settings

GRACE = 4.0  # seconds between SIGTERM and SIGKILL for the scoring server
MOST_THREADS = 512
# What a scoring server takes at its end beside the prediction that it is at: notice, quiet, its last counts.
_DRAIN_SECONDS = 2.0
_LOOK_EVERY = 0.02
# What a scoring server ends with whose model is stuck: by its own choice, or by SIGPROF, alone or under bubblewrap.
STUCK = (70, -27, 155)
_STEADY_SECONDS = 10.0  # one that ends sooner than that would only do so again


@dataclass
class Server:
    """One process of the scoring server: what was started, and with bubblewrap the init in its namespace.

    `told` holds what it said when its model was open, where it was asked to wait with requests until then. Its
    `predictor` is a process of its own, shut in as it is but without a cache, in which slow models predict; where the
    model turns out to be fast it ends at once.
    """

    started: subprocess.Popen[bytes]
    init: int | None = None
    predictor: "Server | None" = None
    told: dict[str, Any] = field(default_factory=dict)
    since: float = field(default_factory=time.monotonic)
    _process: psutil.Process | None = None

    def process(self) -> psutil.Process:
        """The scoring server itself, looked for once. Raises psutil.NoSuchProcess."""
        if self._process is None:
            if self.init is None:
                self._process = psutil.Process(self.started.pid)
            elif children := psutil.Process(self.init).children():
                self._process = children[0]
            else:
                raise psutil.NoSuchProcess(self.init)
        return self._process

    def terminate(self) -> None:
        with contextlib.suppress(psutil.Error):
            self.process().terminate()

    def kill(self) -> None:
        """End it with all that is in its namespace; nothing where it has ended, for its numbers may be another's."""
        if self.started.poll() is not None:
            return
        with contextlib.suppress(psutil.Error):
            psutil.Process(self.init or self.started.pid).kill()
        with contextlib.suppress(ProcessLookupError):
            self.started.kill()


@dataclass
class Generation:
    """All processes that serve one job."""

    job: Mapping[str, Any]
    servers: list[Server]
    start: Callable[[], Server]  # one more, that takes no request before its model is open
    _kill_at: float | None = None

    @property
    def ready(self) -> bool:
        """Whether every process that was asked to wait has its model open."""
        return all(server.told.get("status") == "ready" for server in self.servers)

    def fault(self) -> ErrorDetail | None:
        """Why it cannot serve any more: a process has ended, or could not open its model."""
        for server in self.servers:
            if server.told.get("status") == "failed":
                return opening_failure(server.told.get("error"))
            if server.started.poll() is not None:
                return why_ended(server.started.returncode, int(self.job["memory_mb"]))
        return None

    def replace_stuck(self) -> bool:
        """Start another process in the place of each whose model got stuck; says whether there was one."""
        found = False
        for index, server in enumerate(self.servers):
            lived = time.monotonic() - server.since > _STEADY_SECONDS
            if server.started.poll() in STUCK and lived and server.told.get("status") != "failed":
                found = True
                self.servers[index] = self.start()
        return found

    def bound_threads(self) -> None:
        """End a process with too many threads, where no limit of the system holds."""
        predictors = [server.predictor for server in self.servers if server.predictor is not None]
        for server in (*self.servers, *predictors):
            if server.started.poll() is not None:
                continue
            with contextlib.suppress(psutil.Error):
                if server.process().num_threads() > MOST_THREADS:
                    server.kill()

    @property
    def last_prediction(self) -> float:
        """Seconds within which the processes have answered what they took on, having been told to end."""
        return float(self.job["environment"].get("SCORING_PREDICT_SECONDS", 60)) + _DRAIN_SECONDS

    def leave(self, seconds: float) -> None:
        """Have the processes finish what they answer, at most within `seconds`; `is_gone` ends who does not."""
        if self._kill_at is None:
            for server in self.servers:
                server.terminate()
        self._kill_at = min(self._kill_at or math.inf, time.monotonic() + seconds)

    def is_gone(self) -> bool:
        """Whether all processes have ended after `leave`, ending those whose time is over."""
        late = self._kill_at is not None and time.monotonic() >= self._kill_at
        gone = [self._is_gone(server, late) for server in self.servers]
        return all(gone)

    def _is_gone(self, server: Server, late: bool) -> bool:
        if server.started.poll() is None:
            if not late:
                return False
            server.kill()
            server.started.wait()
        if server.predictor is not None:
            # It ended with its server's end of their socket, unless its model does not let it.
            server.predictor.kill()
            server.predictor.started.wait()
        return True

    def end(self) -> None:
        """Let the processes finish what they can in a moment, then end them all."""
        end_all([self])


def end_all(generations: Sequence[Generation]) -> None:
    """End them together, within GRACE."""
    for generation in generations:
        generation.leave(GRACE)
    while [generation for generation in generations if not generation.is_gone()]:
        time.sleep(_LOOK_EVERY)


def start_generation(
    folder: Folder, job: Mapping[str, Any], *, listener: socket.socket, write: Callable[[bytes], None], successor: bool
) -> Generation:
    """Start the job's processes on the listening socket.

    The first process of a first generation answers at once, with 503 while its model is being opened, so that it
    can be asked how it is. All others take no request before their model is open: who calls does not notice them.
    Raises ResourceFailed where a secret that they need is gone.
    """
    mode, abi = sandbox.choose(job["sandbox"]), sandbox.landlock_abi()
    write(f"{sandbox.explain(mode, abi)}\n".encode())
    served = within_reach(job, mode, abi)
    settings = server_settings(folder, served, mode, listener.fileno())
    waits = [successor or number > 0 for number in range(int(job["processes"]))]

    def start(*, waits: bool = True) -> Server:
        return _start(served, settings, mode, listener, write, waits=waits)

    return Generation(job, [start(waits=wait) for wait in waits], start)


def within_reach(job: Mapping[str, Any], mode: Mode, abi: int) -> Mapping[str, Any]:
    """The job as it can be served: without its cache where the sandbox could not let a process to that alone."""
    return job if sandbox.reaches_cache(mode, abi) else {**job, "cache_socket": "", "cache_port": 0}


def _start(
    job: Mapping[str, Any],
    settings: Mapping[str, str],
    mode: Mode,
    listener: socket.socket,
    write: Callable[[bytes], None],
    *,
    waits: bool,
) -> Server:
    socket_path = Path(job["cache_socket"]) if job["cache_socket"] else None
    confinement = replace(
        confinement_of(job),
        socket_folder=socket_path.parent if socket_path else None,
        tcp_port=int(job["cache_port"]),
    )
    ready_read, ready_write = os.pipe()
    ours, theirs = socket.socketpair()
    more = {"SCORING_PREDICTOR_FD": str(ours.fileno())}
    if waits:
        more["SCORING_READY_FD"] = str(ready_write)
    descriptors = (listener.fileno(), ours.fileno(), *((ready_write,) if waits else ()))
    with ours, theirs:
        server = _spawn(job, mode, confinement, "scoring", {**settings, **more}, descriptors, write)
        told = {**package_settings(job), "SCORING_PREDICTOR_FD": str(theirs.fileno())}
        server.predictor = _spawn(job, mode, confinement_of(job), "scoring.predictor", told, (theirs.fileno(),), write)
    os.close(ready_write)
    if not waits:
        server.told["status"] = "ready"
    threading.Thread(target=_listen_to, args=(os.fdopen(ready_read, "rb"), server), daemon=True).start()
    return server


def confinement_of(job: Mapping[str, Any]) -> Confinement:
    """Of a process that reaches nothing but its package.

    The system counts the threads of all processes of the job together, for they share a user: each server and its
    predictor, and at a hand-over as many again.
    """
    return Confinement(
        owner=str(job["owner"]),
        interpreter=Path(job["python"]),
        read=(Path(job["package"]),),
        memory_mb=int(job["memory_mb"]),
        threads=Confinement.threads * int(job["processes"]) * 2 * 2,
    )


def _spawn(
    job: Mapping[str, Any],
    mode: Mode,
    confinement: Confinement,
    module: str,
    settings: Mapping[str, str],
    descriptors: tuple[int, ...],
    write: Callable[[bytes], None],
) -> Server:
    """Start a module of the package shut in, with the descriptors, and copy what it prints."""
    package, python = Path(job["package"]), Path(job["python"])
    info_read, info_write = os.pipe()
    with os.fdopen(info_read, "rb") as info:
        started = subprocess.Popen(
            sandbox.command(mode, confinement, [str(python), "-m", module], cwd=package, info_fd=info_write),
            env=sandbox.scrubbed_environment(mode, settings),
            cwd=package,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            pass_fds=(*descriptors, info_write),
        )
        os.close(info_write)
        text = info.read() if mode == "bubblewrap" else b""
    assert started.stdout is not None  # noqa: S101 - PIPE gives it
    threading.Thread(target=_copy_lines, args=(started.stdout, write), daemon=True).start()
    return Server(started, json.loads(text)["child-pid"] if text.strip() else None)


def _copy_lines(pipe: IO[bytes], write: Callable[[bytes], None]) -> None:
    """Copy what the server prints, a line at a time and none of them endless."""
    while line := pipe.readline(MAX_LOG_LINE):
        write(line if line.endswith(b"\n") else line + b"\n")


def _listen_to(pipe: IO[bytes], server: Server) -> None:
    """Keep what the server says when its model is open; it says nothing where it does not wait."""
    with pipe, contextlib.suppress(ValueError):
        told = json.loads(pipe.readline(64 * 1024) or b"{}")
        if isinstance(told, dict):
            server.told.update(told)
