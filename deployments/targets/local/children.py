"""Child processes that outlive the worker: started, found again by lock and start time, and ended.

A job is written to the resource's folder, then a launcher is started that takes the folder's lock, writes its
own pid and becomes the child. So a crash at any point leaves a job that was not started, or a child that is known.
"""

import contextlib
import fcntl
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any
from uuid import uuid4

import psutil

from .folders import Folder, read_json, write_json

SERVERS = frozenset({"cache", "queue"})  # keys of the resources that are stopped last
CHECKOUT = Path(__file__).resolve().parents[3]
START_WINDOW = 30.0  # seconds from writing a job until its launcher must hold the lock, an older child having ended
CRASH_WINDOW = 3.0  # the same where nobody noted that a launcher was started: the worker may have died before it
ENDER_WINDOW = 5.0  # seconds until whoever removes the folder must hold its own lock
GRACE = 6.0  # seconds between SIGTERM and SIGKILL
_CLOCK_TOLERANCE = 2.0  # seconds by which two readings of a start time may differ


class Phase(StrEnum):
    ABSENT = "absent"  # no job, or one whose launcher never came
    STARTING = "starting"
    RUNNING = "running"
    ENDED = "ended"  # started and no longer there
    ENDING = "ending"  # being taken away
    HALF_GONE = "half_gone"  # was being taken away, and whoever did it died


@dataclass(frozen=True)
class Look:
    """What is seen of a folder's child now."""

    phase: Phase
    job: Mapping[str, Any]

    @property
    def fingerprint(self) -> str:
        return str(self.job.get("fingerprint", ""))


def look(folder: Folder) -> Look:
    """See the child of the folder, changing nothing."""
    job = read_json(folder.job)
    if (since := _ending_since(folder)) is not None:
        going = is_locked(folder.path / "ender.lock") or abs(time.time() - since) < ENDER_WINDOW
        return Look(Phase.ENDING if going else Phase.HALF_GONE, job)
    if not job:
        return Look(Phase.ABSENT, job)
    child = read_json(folder.child)
    locked = is_locked(folder.lock)
    if child.get("job") == job["id"]:
        return Look(Phase.RUNNING if locked else Phase.ENDED, job)
    launched = read_json(folder.launched).get("job") == job["id"]
    window = START_WINDOW if launched or locked else CRASH_WINDOW
    return Look(Phase.STARTING if abs(time.time() - float(job["spawned_at"])) < window else Phase.ABSENT, job)


def spawn(
    folder: Folder,
    *,
    argv: list[str],
    job: Mapping[str, Any],
    env: Mapping[str, str],
    stdin: str = "",
) -> None:
    """Start a child for the job; an older child of the folder is ended first by the launcher, not by us."""
    folder.make()
    identity = uuid4().hex
    write_json(folder.job, {**job, "id": identity, "argv": argv, "spawned_at": time.time()})
    launcher = _background("start", folder, identity, env=env, stdin=subprocess.PIPE)
    assert launcher.stdin is not None  # noqa: S101 - PIPE gives it
    with launcher.stdin as pipe:
        pipe.write(stdin.encode())  # fits into the pipe's buffer
    write_json(folder.launched, {"job": identity})


def hand_over(folder: Folder, *, argv: list[str], job: Mapping[str, Any]) -> None:
    """Give the running child its next job; it goes over to it by itself, or notes why it cannot."""
    write_json(folder.next, {**job, "id": uuid4().hex, "argv": argv, "spawned_at": time.time()})


def end(folder: Folder) -> None:
    """Begin to end the child and to remove the folder; returns at once."""
    if not folder.path.exists():
        return
    folder.ending.touch()
    _background("end", folder, env=plain_environment(), stdin=subprocess.DEVNULL)


def interrupt(folder: Folder) -> None:
    """Ask the child to stop, without waiting and without removing anything."""
    if process := holder(folder):
        signal_group(process, signal.SIGTERM)


def holder(folder: Folder) -> psutil.Process | None:
    """The process that holds the folder's lock, if it is the one that wrote its pid."""
    if not is_locked(folder.lock):
        return None
    child = read_json(folder.child)
    try:
        process = psutil.Process(int(child["pid"]))
        same = abs(process.create_time() - float(child["started"])) < _CLOCK_TOLERANCE
    except (KeyError, psutil.NoSuchProcess):
        return None
    return process if same else None


def signal_group(process: psutil.Process, number: signal.Signals) -> None:
    """Signal the child; with SIGKILL all of its process group, which it leads."""
    with contextlib.suppress(ProcessLookupError, psutil.NoSuchProcess):
        if number == signal.SIGKILL:
            os.killpg(process.pid, number)
        else:
            process.send_signal(number)


def is_locked(path: Path) -> bool:
    """Whether a process holds the file's lock. Looks with a shared lock, so that lookers do not meet."""
    try:
        handle = os.open(path, os.O_RDONLY)
    except FileNotFoundError:
        return False
    try:
        fcntl.flock(handle, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    else:
        return False
    finally:
        os.close(handle)


def folders(root: Path) -> Iterator[Folder]:
    """Every resource folder below the target's root that may have a child."""
    for lock in sorted(root.glob("*/*/lock")):
        yield Folder(lock.parent)


def stop_all(root: Path, *, grace: float = 5.0) -> int:
    """End every child below `root` within about twice `grace` seconds; data, ports and keys stay.

    Returns how many there were. Functions go before the caches, to which they hand their last counts, and triggers
    before the queues, where they put what they have done.
    """
    everything = list(folders(root))
    servers = [folder for folder in everything if folder.path.name in SERVERS]
    first = [folder for folder in everything if folder not in servers]
    return sum(_stop(wave, grace=grace) for wave in (first, servers))


def _stop(wave: Iterable[Folder], *, grace: float) -> int:
    found = {folder: process for folder in wave if (process := holder(folder))}
    for process in found.values():
        signal_group(process, signal.SIGTERM)
    _wait(found, until=time.monotonic() + grace)
    for folder in found:
        if process := holder(folder):
            signal_group(process, signal.SIGKILL)
    _wait(found, until=time.monotonic() + 1)
    return len(found)


def plain_environment() -> dict[str, str]:
    """What a child of ours needs of this process's environment, and nothing else of it."""
    return {
        "PATH": os.environ.get("PATH", os.defpath),
        "LANG": "C.UTF-8",
        "PYTHONUNBUFFERED": "1",
        "PYTHONDONTWRITEBYTECODE": "1",
    }


def _background(
    verb: str, folder: Folder, *arguments: str, env: Mapping[str, str], stdin: int
) -> subprocess.Popen[bytes]:
    """Start the launcher without waiting for it; a thread reaps it, which ends at once, for it forks."""
    launcher = subprocess.Popen(
        [*_module("launch"), verb, str(folder.path), *arguments],
        env={**env, "PYTHONPATH": str(CHECKOUT)},
        stdin=stdin,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
        cwd="/",
    )
    threading.Thread(target=launcher.wait, daemon=True).start()
    return launcher


def _module(name: str) -> list[str]:
    return [sys.executable, "-m", f"deployments.targets.local.{name}"]


def module_command(name: str, *arguments: str) -> list[str]:
    """The command line of one of the target's own programs."""
    return [*_module(name), *arguments]


def _ending_since(folder: Folder) -> float | None:
    try:
        return folder.ending.stat().st_mtime
    except (FileNotFoundError, NotADirectoryError):
        return None


def _wait(waited: Iterable[Folder], *, until: float) -> None:
    while time.monotonic() < until and any(is_locked(folder.lock) for folder in waited):
        time.sleep(0.05)
