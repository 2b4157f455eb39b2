"""Folders for half-made things, held by their makers, and the locks that makers wait for."""

import contextlib
import fcntl
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

_PREFIX = ".making-"


@contextlib.contextmanager
def only_one(path: Path) -> Iterator[None]:
    """Wait for others that hold the lock in the file; it is held until the block ends, or the process."""
    handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield
    finally:
        os.close(handle)


@contextlib.contextmanager
def scratch_folder(root: Path) -> Iterator[Path]:
    """A new folder below `root`, removed when the block ends.

    A maker that is killed cannot remove its own, so those whose maker is gone are removed first.
    """
    with only_one(root / "making.lock"):  # no folder is seen between being made and being held
        for left in root.glob(f"{_PREFIX}*"):
            if (handle := _held(left)) is not None:
                shutil.rmtree(left, ignore_errors=True)
                os.close(handle)
        folder = Path(tempfile.mkdtemp(dir=root, prefix=_PREFIX))
        handle = _held(folder)
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)
        if handle is not None:
            os.close(handle)


def _held(folder: Path) -> int | None:
    """The folder's lock, which ends with its holder; None where another has it or the folder is gone."""
    try:
        handle = os.open(folder, os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        return None
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(handle)
        return None
    return handle
