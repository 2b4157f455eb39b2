"""The supervisor of one function: `python -m deployments.targets.local.serve FOLDER`.

Binds the port, starts the scoring server shut in with the listening socket, writes what it prints to the log,
hands SIGTERM on to it, and notes why it ended. It is ours: the model's process has no way to its lock or files.
"""

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import psutil

from ...domain.errors import ErrorDetail
from ...domain.limits import MAX_LOG_LINE
from . import sandbox
from .folders import Folder, read_json, write_json
from .log_files import CappedLog
from .ports import HOST, port_taken
from .sandbox import Confinement, Mode

GRACE = 4.0  # seconds between SIGTERM and SIGKILL for the scoring server
_BIND_SECONDS = 3.0
_BACKLOG = 1_024
_LOOK_EVERY = 0.2
_MOST_THREADS = 512


@dataclass
class Server:
    """One process of the scoring server: what was started, and with bubblewrap the init in its namespace."""

    started: subprocess.Popen[bytes]
    init: int | None

    def process(self) -> psutil.Process:
        """The scoring server itself. Raises psutil.NoSuchProcess."""
        if self.init is None:
            return psutil.Process(self.started.pid)
        children = psutil.Process(self.init).children()
        if not children:
            raise psutil.NoSuchProcess(self.init)
        return children[0]

    def terminate(self) -> None:
        with contextlib.suppress(psutil.Error):
            self.process().terminate()

    def kill(self) -> None:
        with contextlib.suppress(psutil.Error):
            psutil.Process(self.init or self.started.pid).kill()
        with contextlib.suppress(ProcessLookupError):
            self.started.kill()


def main(arguments: list[str]) -> int:
    folder = Folder(Path(arguments[0]))
    job = read_json(folder.job)
    ending = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: ending.set())
    log = CappedLog(folder.logs)
    mode = sandbox.choose(job["sandbox"])
    _say(log, sandbox.explain(mode))
    try:
        listener = listen(int(job["port"]))
    except OSError:
        return _note(folder, job, port_taken(int(job["port"])))
    servers = [_start(folder, job, mode, listener, log) for _ in range(int(job["processes"]))]
    _watch(servers, ending)
    asked = ending.is_set()
    first = next((server for server in servers if server.started.poll() is not None), None)
    _end(servers)
    if asked:
        _say(log, "The server was stopped.")
        return 0
    return _note(folder, job, _why(first.started.returncode if first else 0, int(job["memory_mb"])))


def listen(port: int) -> socket.socket:
    """A listening socket on the loopback port; waits a moment for one that is just being left. Raises OSError."""
    deadline = time.monotonic() + _BIND_SECONDS
    while True:
        listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind((HOST, port))
            listener.listen(_BACKLOG)
        except OSError:
            listener.close()
            if time.monotonic() > deadline:
                raise
            time.sleep(0.1)
        else:
            return listener


def _start(folder: Folder, job: Mapping[str, Any], mode: Mode, listener: socket.socket, log: CappedLog) -> Server:
    package, python = Path(job["package"]), Path(job["python"])
    socket_path = Path(job["cache_socket"]) if job["cache_socket"] else None
    confinement = Confinement(
        owner=str(job["owner"]),
        interpreter=python,
        read=(package,),
        memory_mb=int(job["memory_mb"]),
        socket_folder=socket_path.parent if socket_path else None,
        tcp_port=int(job["cache_port"]),
    )
    read_info, write_info = os.pipe()
    with os.fdopen(read_info, "rb") as info:
        started = subprocess.Popen(
            sandbox.command(mode, confinement, [str(python), "-m", "scoring"], cwd=package, info_fd=write_info),
            env=sandbox.scrubbed_environment(mode, _settings(folder, job, mode, listener.fileno())),
            cwd=package,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            pass_fds=(listener.fileno(), write_info),
        )
        os.close(write_info)
        text = info.read() if mode == "bubblewrap" else b""
    assert started.stdout is not None  # noqa: S101 - PIPE gives it
    threading.Thread(target=_copy_lines, args=(started.stdout, log.write), daemon=True).start()
    child = json.loads(text).get("child-pid") if text.strip() else None
    return Server(started, int(child) if child else None)


def _settings(folder: Folder, job: Mapping[str, Any], mode: Mode, descriptor: int) -> dict[str, str]:
    """The scoring server's environment, secrets included: an environment is not shown by `ps`."""
    settings = {
        **job["environment"],
        "SCORING_ROOT": job["package"],
        "SCORING_FD": str(descriptor),
        "SCORING_FUNCTION_KEYS": folder.secret("key") if job["needs_key"] else "",
        "PYTHONPATH": job["package"],
    }
    if job["cache_socket"]:
        settings["SCORING_CACHE_PASSWORD"] = Folder(Path(job["cache_folder"])).known_secret("password")
        name = Path(job["cache_socket"]).name
        settings["SCORING_CACHE_URL"] = (
            f"unix://{sandbox.SOCKET_FOLDER}/{name}?db=0"
            if mode == "bubblewrap"
            else f"redis://{HOST}:{job['cache_port']}/0"
        )
    return settings


def _copy_lines(pipe: IO[bytes], write: Callable[[bytes], None]) -> None:
    """Copy what the server prints, a line at a time and none of them endless."""
    while line := pipe.readline(MAX_LOG_LINE):
        write(line if line.endswith(b"\n") else line + b"\n")


def _watch(servers: list[Server], ending: threading.Event) -> None:
    """Wait until the end is asked for or one process ends; one with too many threads is ended."""
    while not ending.wait(_LOOK_EVERY):
        for server in servers:
            if server.started.poll() is not None:
                return
            with contextlib.suppress(psutil.Error):
                if server.process().num_threads() > _MOST_THREADS:
                    server.kill()


def _end(servers: list[Server]) -> None:
    for server in servers:
        server.terminate()
    deadline = time.monotonic() + GRACE
    for server in servers:
        with contextlib.suppress(subprocess.TimeoutExpired):
            server.started.wait(max(0.0, deadline - time.monotonic()))
    for server in servers:
        if server.started.poll() is None:
            server.kill()
            server.started.wait()


def _say(log: CappedLog, line: str) -> None:
    log.write(f"{line}\n".encode())


def _note(folder: Folder, job: Mapping[str, Any], error: ErrorDetail) -> int:
    write_json(folder.result, {"job": job["id"], "fingerprint": job["fingerprint"], "error": error.as_dict()})
    return 1


def _why(code: int, memory_mb: int) -> ErrorDetail:
    """The likely cause of an end that nobody asked for, from the exit code."""
    number = -code if code < 0 else code - 128
    if number == signal.SIGKILL:
        return ErrorDetail(
            "killed",
            "The function's process was killed.",
            f"The system killed it when memory ran out, it started too many threads, or a person did. "
            f"Its limit is {memory_mb} MB.",
            "Give the machine more memory or lower hosting.memory_mb, then restart the deployment.",
        )
    if number in (signal.SIGSEGV, signal.SIGABRT, signal.SIGBUS, signal.SIGILL, signal.SIGFPE):
        return ErrorDetail(
            "crashed",
            f"The function's process crashed ({signal.Signals(number).name}).",
            "A library of the model crashed: often a version that differs from the one used in training, or memory "
            f"beyond {memory_mb} MB.",
            "Set the versions used in training in runtime.requirements, or raise hosting.memory_mb.",
        )
    return ErrorDetail(
        "exited",
        f"The function's process ended by itself with code {code}.",
        "The scoring server could not start, or the model ended the process.",
        "Read its last log lines, correct what they name, and deploy again.",
    )


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
