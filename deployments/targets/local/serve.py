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

from ...domain.errors import ErrorDetail, ResourceFailed
from .folders import Folder, read_json, write_json
from .log_files import CappedLog
from .ports import HOST, port_taken
from .servers import GRACE, Generation, end_all, start_generation

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
    try:
        current = start_generation(folder, job, listener=listener, write=log.write, successor=False)
    except ResourceFailed as error:
        _note(folder, str(job["id"]), error.detail)
        return 1
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
    """Watches the generation that serves, the one that is to follow it, and those that finish their last answers."""

    def __init__(self, folder: Folder, listener: socket.socket, log: CappedLog, current: Generation) -> None:
        self._folder = folder
        self._listener = listener
        self._log = log
        self._current = current
        self._coming: Generation | None = None
        self._leaving: list[Generation] = []
        self._settle_at: float | None = None  # when the one before takes no request any more, if it is not gone yet
        self._refused = ""  # the last job that could not take over

    def run(self, ending: threading.Event) -> ErrorDetail | None:
        """Return None when the end was asked for or the folder is gone, or why the function ended by itself."""
        fault = None
        while not ending.wait(_LOOK_EVERY) and fault is None and self._folder.job.exists():
            if self._current.replace_stuck():
                _say(self._log, "A process whose model got stuck has ended; another one opens it.")
            fault = self._current.fault()
            self._leaving = [generation for generation in self._leaving if not generation.is_gone()]
            for generation in self._all():
                generation.bound_threads()
            if self._settle_at is not None:
                self._settle(self._settle_at)
                continue
            self._look_for_successor()
            if self._coming is not None:
                self._hand_over(self._coming)
        end_all(self._all())
        return fault

    def _all(self) -> list[Generation]:
        coming = [] if self._coming is None else [self._coming]
        return [*coming, self._current, *self._leaving]

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
        try:
            self._coming = start_generation(
                self._folder, job, listener=self._listener, write=self._log.write, successor=True
            )
        except ResourceFailed as error:
            self._refuse(identity, error.detail)

    def _hand_over(self, coming: Generation) -> None:
        if fault := coming.fault():
            self._refuse(str(coming.job["id"]), fault)
            coming.end()
            self._coming = None
        elif coming.ready:
            # What it has taken on is answered, however long that takes, while the new one answers what comes.
            self._current.leave(self._current.last_prediction)
            self._leaving.append(self._current)
            self._current, self._coming = coming, None
            self._settle_at = time.monotonic() + GRACE

    def _refuse(self, identity: str, fault: ErrorDetail) -> None:
        _say(self._log, f"{fault.message} The one before goes on answering.")
        self._refused = identity
        _note(self._folder, identity, fault)

    def _settle(self, at: float) -> None:
        """Make the new one's job the folder's, as soon as no health check can meet the one before."""
        if self._leaving and time.monotonic() < at:
            return
        self._settle_at = None
        job = self._current.job
        # In this order: whoever looks in between sees a job that is starting.
        write_json(self._folder.job, {**job, "spawned_at": time.time()})
        write_json(self._folder.child, {**read_json(self._folder.child), "job": job["id"]})
        self._folder.next.unlink(missing_ok=True)
        _say(self._log, "The new process answers.")


def _say(log: CappedLog, line: str) -> None:
    log.write(f"{line}\n".encode())


def _note(folder: Folder, job: str, error: ErrorDetail) -> None:
    write_json(folder.result, {"job": job, "error": error.as_dict()})


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
