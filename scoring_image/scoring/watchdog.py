"""Ends this process where its work does not return, counting only the time in which the process runs.

A container that was paused, or a machine that was, goes on as if nothing had been: a thread counts its own short
sleeps, of which a pause takes one at most. Code that never lets go of the interpreter's lock stops that thread as
well; then the CPU time that the process takes is what counts (getitimer(2), ITIMER_PROF), and the system ends it.
Code that keeps the lock and waits without computing is not noticed.
"""

from __future__ import annotations

import faulthandler
import logging
import os
import signal
import sys
import threading
import time

STUCK = 70

_EVERY = 0.5

log = logging.getLogger("scoring")


class Watchdog:
    """Watches one piece of work at a time. One a process; to be made on its main thread."""

    def __init__(self, work: str) -> None:
        """`work` is what the log says has not returned."""
        self._work = work
        self._watched: _Watched | None = None
        # Where the signal comes, a trace of all threads, and then what the signal does by itself: the end.
        faulthandler.register(signal.SIGPROF, chain=True)
        threading.Thread(target=self._count, name="watchdog", daemon=True).start()

    def watch(self, seconds: float) -> None:
        """From now on so many seconds, whatever was said before."""
        self._watched = _Watched(seconds)
        signal.setitimer(signal.ITIMER_PROF, seconds)

    def rest(self) -> None:
        """The work has returned."""
        self._watched = None
        signal.setitimer(signal.ITIMER_PROF, 0.0)

    def _count(self) -> None:
        while True:
            watched = self._watched
            time.sleep(_EVERY)
            # Another one, where `watch` was called meanwhile.
            if watched is None or watched is not self._watched:
                continue
            watched.left -= _EVERY
            if watched.left <= 0:
                end_stuck(self._work)
            # Nobody keeps the lock: what several threads compute meanwhile is not counted.
            signal.setitimer(signal.ITIMER_PROF, watched.seconds)


class _Watched:
    __slots__ = ("left", "seconds")

    def __init__(self, seconds: float) -> None:
        self.seconds = self.left = seconds


def end_stuck(work: str) -> None:
    """End this process at once, saying what does not return and where every thread is."""
    log.error("Timeout: %s does not return; this process ends itself, to be started again", work)
    faulthandler.dump_traceback(sys.stderr)
    os._exit(STUCK)
