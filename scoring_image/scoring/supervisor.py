"""Several server processes on one socket: started, started again when one ends, and ended together.

Not uvicorn's own supervisor: that one kills a process that does not answer a ping within seconds, as one does that
is opening a large model, and starts one that cannot run again without a pause. Nothing but the standard library is
imported here, so that the supervisor itself takes next to no memory.
"""

from __future__ import annotations

import logging
import os
import signal
import subprocess
import sys
import threading
import time
from dataclasses import dataclass

_LOOK_EVERY = 0.2
_SHORTEST_PAUSE = 0.5
_LONGEST_PAUSE = 30.0
_STEADY_AFTER = 60.0
# Beside the prediction that it is at, a process may take so long to drain; and it drains for so long at least.
_DRAIN_SECONDS = 15.0
_SHORTEST_END = 40.0
# Names the descriptor of a pipe whose other end nobody but the supervisor holds: it ends however that one does.
_LIFELINE = "SCORING_SUPERVISOR_FD"
# What a process ends with whose settings or package cannot be used: starting it again would not help.
_UNUSABLE = 2
# And where only its model could not be opened, which the first process goes on telling.
_NOT_OPENED = 3

log = logging.getLogger("scoring")


@dataclass(slots=True)
class _Slot:
    """The place of one process, and the one that has it now."""

    waits: bool
    process: subprocess.Popen[bytes] | None = None
    since: float = 0.0
    pause: float = _SHORTEST_PAUSE
    not_before: float = 0.0


class Supervisor:
    """Keeps `count` processes on the listening socket whose descriptor is `listener`.

    The first answers at once, with 503 while it opens its model; all others, and whatever is started later, take no
    request before their model is open. With `ready_fd` the first waits as well, and that descriptor is told when it
    is ready, by itself. `predict_seconds` is what one prediction may take, at the end as well.
    """

    def __init__(self, *, count: int, listener: int, ready_fd: int | None, predict_seconds: float) -> None:
        self._end_seconds = end_seconds(predict_seconds)
        self._lifeline, self._held = os.pipe()
        self._listener = listener
        self._ready_fd = ready_fd
        self._slots = [_Slot(waits=number > 0) for number in range(count)]
        self._ending = threading.Event()

    def run(self) -> int:
        """Run until SIGTERM or SIGINT; 0 after a clean end, 2 where no process can run."""
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: self._ending.set())
        outcome = 0
        while not self._ending.is_set():
            for slot in self._slots:
                outcome = self._look_after(slot) or outcome
            if outcome:
                break
            self._ending.wait(_LOOK_EVERY)
        self._end()
        return outcome

    def _look_after(self, slot: _Slot) -> int:
        """Start the slot's process where there is none; the exit code where none can run."""
        now = time.monotonic()
        if slot.process is not None and (code := slot.process.poll()) is not None:
            if code == _UNUSABLE:
                return code
            if code == _NOT_OPENED:
                slot.pause = _LONGEST_PAUSE
            else:
                steady = now - slot.since > _STEADY_AFTER
                slot.pause = _SHORTEST_PAUSE if steady else min(slot.pause * 2, _LONGEST_PAUSE)
            slot.not_before = now + slot.pause
            slot.process = None
            slot.waits = True
            log.error("a server process ended with code %s; starting another", code)
        if slot.process is None and now >= slot.not_before:
            slot.since = now
            slot.process = self._started(slot)
        return 0

    def _started(self, slot: _Slot) -> subprocess.Popen[bytes]:
        environment = {**os.environ, "SCORING_FD": str(self._listener), "SCORING_PROCESSES": "1"}
        told: tuple[int, ...] = ()
        nobody = -1
        if slot.waits:
            # It waits with requests wherever it has somebody to tell; here nobody listens.
            nobody = os.open(os.devnull, os.O_WRONLY)
            told = (nobody,)
        elif self._ready_fd is not None:
            told = (self._ready_fd,)
        environment["SCORING_READY_FD"] = str(told[0]) if told else ""
        environment[_LIFELINE] = str(self._lifeline)
        process = subprocess.Popen(
            [sys.executable, "-m", "scoring"], env=environment, pass_fds=(self._listener, self._lifeline, *told)
        )
        if nobody >= 0:
            os.close(nobody)
        elif self._ready_fd is not None:
            # The end of it is seen by who reads there only when nobody has it open any more.
            os.close(self._ready_fd)
            self._ready_fd = None
        return process

    def _end(self) -> None:
        processes: list[subprocess.Popen[bytes]] = [slot.process for slot in self._slots if slot.process is not None]
        for process in processes:
            process.terminate()
        deadline = time.monotonic() + self._end_seconds
        for process in processes:
            try:
                process.wait(max(0.0, deadline - time.monotonic()))
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def end_with_supervisor(predict_seconds: float) -> None:
    """In a server process: drain and end when the supervisor that started it is gone, even killed.

    A Functions host kills its handler, which is the supervisor alone, and starts another that needs the port.
    """
    descriptor = os.environ.pop(_LIFELINE, "")
    if descriptor.isdigit():
        threading.Thread(target=_follow, args=(int(descriptor), end_seconds(predict_seconds)), daemon=True).start()


def _follow(lifeline: int, seconds: float) -> None:
    os.read(lifeline, 1)
    log.error("the supervisor is gone; this process ends")
    os.kill(os.getpid(), signal.SIGTERM)
    time.sleep(seconds)
    os._exit(1)


def end_seconds(predict_seconds: float) -> float:
    """How long a process may take to end once it is told to."""
    return max(_SHORTEST_END, predict_seconds + _DRAIN_SECONDS)


def cores() -> int:
    """How many processes there are by default: as many as the cores that this one may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
