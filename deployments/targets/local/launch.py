"""The launcher: takes a resource's lock, writes its own pid and becomes the child; or ends the child.

`start FOLDER JOB` and `end FOLDER`. Both go to the background at once, in a session of their own.
"""

import contextlib
import fcntl
import os
import shutil
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path

import psutil

from .children import GRACE, holder, signal_group
from .folders import Folder, read_json, write_json
from .log_files import open_log

_LOOK_EVERY = 0.02  # seconds
_PATIENCE = 5.0  # seconds for the lock after everything known was killed


def main(arguments: list[str]) -> int:
    verb, path, *rest = arguments
    if os.fork():
        return 0
    os.setsid()
    folder = Folder(Path(path))
    return start(folder, rest[0]) if verb == "start" else end(folder)


def start(folder: Folder, identity: str) -> int:
    """Become the child of the job, unless it is not wanted any more or has been started already."""
    handle = take_lock(folder, identity)
    if handle is None:
        return 0
    job = read_json(folder.job)
    write_json(folder.child, {"job": identity, "pid": os.getpid(), "started": psutil.Process().create_time()})
    folder.result.unlink(missing_ok=True)
    folder.next.unlink(missing_ok=True)
    log = open_log(folder.logs)
    os.dup2(log, 1)
    os.dup2(log, 2)
    os.set_inheritable(handle, True)
    os.chdir(folder.path)
    try:
        os.execv(job["argv"][0], job["argv"])  # noqa: S606 - a list, no shell
    except OSError as error:
        print(f"{job['argv'][0]} cannot be started: {error.strerror}", file=sys.stderr)
        return 127


def end(folder: Folder) -> int:
    """End the folder's child and remove the folder with all that is in it."""
    handle = _lock_now(folder.path / "ender.lock")
    if handle is None:
        return 0
    free = _take(folder, deadline=time.monotonic() + GRACE + _PATIENCE, wanted=lambda: True)
    if free is None:
        return 1
    if folder.sockets.parent != folder.path:
        shutil.rmtree(folder.sockets, ignore_errors=True)
    try:
        _remove(folder.path)
    except OSError as error:
        # Where it is seen as half gone, by whoever looks; the next removal tries again.
        folder.ending.write_text(f"{error.filename}: {error.strerror}")
        return 1
    with contextlib.suppress(OSError):
        folder.path.parent.rmdir()  # the deployment's own folder, if this was the last of it
    return 0


def take_lock(folder: Folder, identity: str) -> int | None:
    """The lock's descriptor once it is ours; None where the job is superseded, started, or to go."""

    def wanted() -> bool:
        return (
            read_json(folder.job).get("id") == identity
            and read_json(folder.child).get("job") != identity
            and not folder.ending.exists()
        )

    return _take(folder, deadline=time.monotonic() + GRACE + _PATIENCE, wanted=wanted)


def _take(folder: Folder, *, deadline: float, wanted: Callable[[], bool]) -> int | None:
    """Take the lock, ending whoever holds it: first asked, after the grace killed with its whole group."""
    asked = 0.0
    while time.monotonic() < deadline and wanted():
        handle = _lock_now(folder.lock)
        if handle is not None:
            if wanted():
                return handle
            os.close(handle)
            return None
        if process := holder(folder):
            if not asked:
                signal_group(process, signal.SIGTERM)
                asked = time.monotonic()
            elif time.monotonic() - asked > GRACE:
                signal_group(process, signal.SIGKILL)
        time.sleep(_LOOK_EVERY)
    return None


def _lock_now(path: Path) -> int | None:
    try:
        handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except FileNotFoundError:
        return None  # the folder is gone
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        if os.fstat(handle).st_ino == path.stat().st_ino:
            return handle
    except (BlockingIOError, FileNotFoundError):
        pass
    os.close(handle)
    return None


def _remove(path: Path) -> None:
    """Remove the folder, its `ending` mark and locks last: until then it is seen as going."""
    last = {"ending", "ender.lock", "lock"}
    for entry in path.iterdir():
        if entry.name in last:
            continue
        if entry.is_dir() and not entry.is_symlink():
            shutil.rmtree(entry, onerror=_opened_first)
        else:
            entry.unlink()
    shutil.rmtree(path)


def _opened_first(_step: object, path: str, _seen: object) -> None:
    """Remove what a folder that was copied in read-only holds, or is. Raises OSError."""
    refused = Path(path)
    refused.parent.chmod(0o700)
    if refused.is_dir() and not refused.is_symlink():
        refused.chmod(0o700)
        for inner in list(refused.iterdir()):
            _opened_first(_step, str(inner), _seen)
        refused.rmdir()
    else:
        refused.unlink(missing_ok=True)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
