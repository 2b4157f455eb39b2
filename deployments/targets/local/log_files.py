"""Log files of a resource, written: numbered, and capped in size."""

import contextlib
import os
from pathlib import Path
from threading import Lock

MAX_FILE_BYTES = 4 * 1024 * 1024
MAX_FILES = 3


def open_log(folder: Path) -> int:
    """Open the next log file for appending and drop the oldest beyond the limit; returns its descriptor."""
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    files = log_files(folder)
    number = int(files[-1].stem) + 1 if files else 1
    for old in files[: max(0, len(files) - MAX_FILES + 1)]:
        old.unlink(missing_ok=True)
    return os.open(folder / f"{number:06d}.log", os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)


def log_files(folder: Path) -> list[Path]:
    """The log files in the folder, the oldest first."""
    try:
        return sorted(file for file in folder.iterdir() if file.suffix == ".log" and file.stem.isdigit())
    except (FileNotFoundError, NotADirectoryError):
        return []


class CappedLog:
    """Writes lines to numbered files, beginning the next when one is full; any thread may write."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._lock = Lock()
        files = log_files(folder)
        self._handle = os.open(files[-1], os.O_WRONLY | os.O_APPEND) if files else open_log(folder)

    def write(self, data: bytes) -> None:
        with self._lock, contextlib.suppress(OSError):  # a full disk must not end the server
            if os.fstat(self._handle).st_size + len(data) > MAX_FILE_BYTES:
                following = open_log(self._folder)
                os.close(self._handle)
                self._handle = following
            os.write(self._handle, data)
