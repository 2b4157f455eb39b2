"""The little host of one function's trigger: `python -m deployments.targets.local.trigger_host FOLDER`.

It does what the Functions host does in Azure: sees what arrives, posts it to the function, writes the answer, tries
again what failed and puts aside what never succeeds. It is ours and never opens a model; names and contents that
arrive are anybody's. Killed at any point it leaves everything to be seen again, so each is scored at least once.
"""

import contextlib
import os
import signal
import sqlite3
import sys
import threading
import time
from collections import deque
from collections.abc import Callable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor, wait
from pathlib import Path
from typing import Any, Protocol

from redis.exceptions import RedisError

from ...domain.arrivals import Tally
from . import blob_source, message_source
from .folders import Folder, read_json, write_json
from .invocations import FunctionAddress, NotKept, NotReached
from .log_files import CappedLog

STATUS, TROUBLE = "status.json", "trouble"
WORKERS = 4  # invocations at a time
_INVOCATION_SECONDS = 300.0  # the Functions host's own limit by default
_END_SECONDS = 4.0  # for what is under way; less than the grace that the target gives
_SHORTEST, _LONGEST = 0.2, 2.0  # seconds between looks at what is not there
_BUSY_SECONDS = 0.02
_TALLY_SECONDS = 1.0
_LASTING_SECONDS = 5.0  # after which trouble is told to whoever looks


class Source(Protocol):
    """Where things arrive. `take` and `tend` belong to one thread, `work` to several."""

    def open(self) -> None:
        """Get ready; what a predecessor left half done is seen again."""

    def take(self, most: int) -> list[Any]:
        """Up to `most` that are to be scored now, waiting a moment for the first."""

    def work(self, item: Any) -> None:
        """Score one and keep what became of it. Raises NotReached where it was not tried."""

    def is_alone(self, item: Any) -> bool:
        """Whether nothing else should be under way with it, for the function ended with it before."""

    def tend(self) -> None:
        """Keep what is under way, and what was taken and not worked on yet."""

    def tally(self) -> Tally:
        """How many wait, are done, were given up."""


def main(arguments: list[str]) -> int:
    folder = Folder(Path(arguments[0]))
    job = read_json(folder.job)
    ending = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: ending.set())
    log = CappedLog(folder.logs)

    def say(line: str) -> None:
        stamp = time.strftime("%Y-%m-%d %H:%M:%S")
        log.write(f"{stamp} {line}\n".encode("utf-8", "backslashreplace"))

    function = FunctionAddress(Folder(Path(job["function_folder"])), str(job["function"]), _INVOCATION_SECONDS)
    make = blob_source.BlobSource if job["trigger"]["kind"] == "blob" else message_source.MessageSource
    source: Source = make(folder, job, function, say)
    _Host(folder, str(job["id"]), source, function, say).run(ending)
    say("The trigger was stopped.")
    return 0


class _Host:
    """Hands what arrives to a few workers, and waits with a growing pause for what is not there."""

    def __init__(
        self, folder: Folder, job: str, source: Source, function: FunctionAddress, say: Callable[[str], None]
    ) -> None:
        self._folder = folder
        self._job = job
        self._source = source
        self._function = function
        self._say = say
        self._under_way: set[Future[None]] = set()
        self._later: deque[Any] = deque()  # taken, each to be worked on alone
        self._is_alone = False
        self._reachable = threading.Event()
        self._pause, self._resume = _SHORTEST, 0.0  # after what was not reached
        self._told: dict[str, Any] = {}
        self._tally_due = 0.0
        self._looking, self._keeping = _Trouble(), _Trouble()

    def run(self, ending: threading.Event) -> None:
        """Work until the end is asked for or the folder is gone, then give what is under way a moment."""
        pause, opened = _SHORTEST, False
        pool = ThreadPoolExecutor(WORKERS, thread_name_prefix="invocation")
        while not ending.is_set() and self._folder.job.exists():
            try:
                if not opened:
                    self._source.open()
                    opened = True
                    self._say("Listening.")
                self._source.tend()
                self._tell()
                reachable = self._is_reachable()
                if reachable:
                    self._hand_out(pool)
                self._looking.clear()
                if reachable:
                    pause = _SHORTEST
                    continue
            except (OSError, RedisError, sqlite3.Error) as error:
                told = f"{type(error).__name__}: {error}"
                if self._looking.note(told):
                    self._say(f"Trying again: {told}")
                self._tell_trouble()
            ending.wait(pause)
            pause = min(2 * pause, _LONGEST)
        wait(self._under_way, timeout=_END_SECONDS)

    def _hand_out(self, pool: ThreadPoolExecutor) -> None:
        self._under_way = {future for future in self._under_way if not future.done()}
        self._is_alone = self._is_alone and bool(self._under_way)
        free = WORKERS - len(self._under_way)
        if self._later and not self._under_way:
            self._is_alone = True
            self._under_way.add(pool.submit(self._work, self._later.popleft()))
        elif free and not self._is_alone and not self._later:
            for item in self._source.take(free):
                if self._source.is_alone(item):
                    self._later.append(item)
                else:
                    self._under_way.add(pool.submit(self._work, item))
        else:
            wait(self._under_way, timeout=_BUSY_SECONDS)

    def _work(self, item: Any) -> None:
        try:
            self._source.work(item)
            self._pause = _SHORTEST
            self._keeping.clear()
        except NotReached as error:
            if isinstance(error, NotKept):
                self._keeping.note(str(error))
            if self._reachable.is_set():
                self._say(f"Waiting: {error}")
                # What cannot be now may be so for long: it is not to be taken in and put back all the time.
                self._resume = time.monotonic() + self._pause
                self._pause = min(2 * self._pause, _LONGEST)
            self._reachable.clear()
        except Exception as error:
            # Whatever it was, the others go on; this one is seen again.
            self._say(f"Put back: {type(error).__name__}: {error}")

    def _is_reachable(self) -> bool:
        if not self._reachable.is_set() and time.monotonic() >= self._resume and self._function.is_ready():
            self._reachable.set()
        return self._reachable.is_set()

    def _tell(self) -> None:
        """Keep the counts where the console reads them, once a second at most and where they changed."""
        if time.monotonic() < self._tally_due:
            return
        self._tally_due = time.monotonic() + _TALLY_SECONDS
        tally = self._source.tally()
        self._write({"waiting": tally.waiting, "done": tally.done, "poisoned": tally.poisoned})

    def _tell_trouble(self) -> None:
        """Say what lasts; the counts stay as they were."""
        with contextlib.suppress(OSError):  # a full disk may be the trouble
            if self._looking.lasting():
                self._write(self._told)

    def _write(self, told: Mapping[str, Any]) -> None:
        told = {**told, "job": self._job, TROUBLE: self._looking.lasting() or self._keeping.lasting()}
        if told != self._told:
            write_json(self._folder.path / STATUS, told)
            self._told = told


class _Trouble:
    """What does not succeed, and since when."""

    def __init__(self) -> None:
        self._text = ""
        self._since = 0.0

    def note(self, text: str) -> bool:
        """Whether it is new."""
        is_new = text != self._text
        if not self._text:
            self._since = time.monotonic()
        self._text = text
        return is_new

    def clear(self) -> None:
        self._text = ""

    def lasting(self) -> str:
        """Its words once it has lasted; "" before."""
        return self._text[:500] if self._text and time.monotonic() - self._since >= _LASTING_SECONDS else ""


if __name__ == "__main__":
    code = main(sys.argv[1:])
    # What still waits for a function must not hold up the end: it is seen again.
    os._exit(code)
