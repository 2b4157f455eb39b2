"""The supervisor of one function: `python -m deployments.targets.local.serve FOLDER`.

Binds the port, starts the scoring server shut in with the listening socket, writes what it prints to the log, and
notes why it ended. A new job in next.json is started beside the old one on the same socket and takes over when its
model is open; if it cannot, or next.json is taken away before, the old one goes on. It is ours: the model's process
has no way to its lock or files.
"""

import signal
import socket
import sys
import threading
import time
from pathlib import Path

from ...domain.errors import ErrorDetail
from .folders import Folder, read_json, write_json
from .log_files import CappedLog
from .ports import HOST, port_taken
from .servers import Generation, start_generation

_BIND_SECONDS = 3.0
_BACKLOG = 1_024
_LOOK_EVERY = 0.2


def main(arguments: list[str]) -> int:
    folder = Folder(Path(arguments[0]))
    job = read_json(folder.job)
    ending = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: ending.set())
    log = CappedLog(folder.logs)
    try:
        listener = listen(int(job["port"]))
    except OSError:
        _note(folder, str(job["id"]), port_taken(int(job["port"])))
        return 1
    current = start_generation(folder, job, listener=listener, write=log.write, successor=False)
    fault = _Supervisor(folder, listener, log, current).run(ending)
    if fault is None:
        _say(log, "The server was stopped.")
        return 0
    _note(folder, str(read_json(folder.job)["id"]), fault)
    return 1


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


class _Supervisor:
    """Watches the generation that serves, and the one that is to follow it."""

    def __init__(self, folder: Folder, listener: socket.socket, log: CappedLog, current: Generation) -> None:
        self._folder = folder
        self._listener = listener
        self._log = log
        self._current = current
        self._coming: Generation | None = None
        self._refused = ""  # the last job that could not take over

    def run(self, ending: threading.Event) -> ErrorDetail | None:
        """Return None when the end was asked for, or why the function ended by itself."""
        fault = None
        while not ending.wait(_LOOK_EVERY) and fault is None:
            if self._current.replace_stuck():
                _say(self._log, "A process whose model got stuck has ended; another one opens it.")
            fault = self._current.fault()
            self._current.bound_threads()
            self._look_for_successor()
            if self._coming is not None:
                self._hand_over(self._coming)
        for generation in (self._coming, self._current):
            if generation is not None:
                generation.end()
        return fault

    def _look_for_successor(self) -> None:
        job = read_json(self._folder.next)
        identity = str(job.get("id", ""))
        if self._coming is not None and identity != self._coming.job["id"]:
            self._coming.end()
            self._coming = None
            _say(self._log, "The process that opened its model is not wanted any more and was ended.")
        if identity in ("", self._refused) or self._coming is not None:
            return
        _say(self._log, "Another process opens its model; until it is ready, this one goes on answering.")
        self._coming = start_generation(
            self._folder, job, listener=self._listener, write=self._log.write, successor=True
        )

    def _hand_over(self, coming: Generation) -> None:
        if fault := coming.fault():
            _say(self._log, f"{fault.message} The one before goes on answering.")
            self._refused = str(coming.job["id"])
            _note(self._folder, self._refused, fault)
            coming.end()
            self._coming = None
        elif coming.ready:
            before, self._current, self._coming = self._current, coming, None
            before.end()
            # In this order, and the old one gone: whoever looks in between sees a job that is starting.
            write_json(self._folder.job, {**coming.job, "spawned_at": time.time()})
            write_json(self._folder.child, {**read_json(self._folder.child), "job": coming.job["id"]})
            self._folder.next.unlink(missing_ok=True)
            _say(self._log, "The new process answers.")


def _say(log: CappedLog, line: str) -> None:
    log.write(f"{line}\n".encode())


def _note(folder: Folder, job: str, error: ErrorDetail) -> None:
    write_json(folder.result, {"job": job, "error": error.as_dict()})


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
