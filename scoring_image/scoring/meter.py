"""How dear answers are: the time in which the event loop works or somebody waits, measured for a share of answers.

That one number is the right one under any load. Where the loop never rests, it is the CPU time of an answer, which
decides how many there are in a second. Where callers come one at a time, it is what each waits for. Between the
two, with a few callers at once, it is the time from answer to answer. What the callers take for themselves, when
nobody waits and the loop rests, does not count, and neither does the time in which other processes have the core.
"""

from __future__ import annotations

import os
import time

_STAMPS = 200


class Meter:
    """Measures while it is on; `enter` and `leave` are told of the first and the last request under way.

    All methods belong to the event loop's thread, whose CPU time is what counts.
    """

    def __init__(self) -> None:
        self._cpu_began = 0.0
        self._stolen_began = 0.0
        self._waited = 0.0
        self._busy: tuple[float, float] | None = None
        self._stamps = 0
        self._stamp_cost = 0.0
        self._schedule: int | None = None

    def start(self, *, busy: bool) -> None:
        """Begin to measure; `busy` says whether a request is under way."""
        if not self._stamp_cost:
            self._calibrate()
        self._waited = 0.0
        self._stamps = 0
        self._stolen_began = self._stolen()
        self._cpu_began = time.thread_time()
        self._busy = None
        if busy:
            self.enter()

    def enter(self) -> None:
        """The first request is under way."""
        self._stamps += 1
        self._busy = (time.perf_counter(), time.thread_time())

    def leave(self) -> None:
        """The last one has been answered."""
        if self._busy is None:
            return
        began, cpu_began = self._busy
        self._busy = None
        self._stamps += 1
        # What of this time the thread did not run, it waited for Redis or the model; or somebody had its core.
        self._waited += (time.perf_counter() - began) - (time.thread_time() - cpu_began)

    def stop(self) -> float:
        """The seconds since `start` in which the loop worked or somebody waited."""
        self.leave()
        worked = time.thread_time() - self._cpu_began - self._stamps * self._stamp_cost
        return max(worked, 0.0) + max(self._waited - (self._stolen() - self._stolen_began), 0.0)

    def _stolen(self) -> float:
        """Seconds that this thread could have run and another had the core: Documentation/scheduler/sched-stats.

        0 where the kernel does not tell.
        """
        if self._schedule is None:
            try:
                self._schedule = os.open("/proc/thread-self/schedstat", os.O_RDONLY | os.O_CLOEXEC)
            except OSError:
                self._schedule = -1
        if self._schedule < 0:
            return 0.0
        return int(os.pread(self._schedule, 100, 0).split()[1]) / 1e9

    def _calibrate(self) -> None:
        """What a stamp costs, which answers that are not measured do not pay."""
        began = time.thread_time()
        for _ in range(_STAMPS):
            self.enter()
        self._stamp_cost = (time.thread_time() - began) / _STAMPS
