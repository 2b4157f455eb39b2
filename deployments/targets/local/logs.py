"""Log files of a resource: numbered, capped in size, and read by a cursor of complete lines."""

import contextlib
import os
from pathlib import Path

from ...domain.limits import MAX_LOG_LINE
from ...domain.resources import LogChunk

MAX_FILE_BYTES = 4 * 1024 * 1024
MAX_FILES = 3
MAX_CHUNK_BYTES = 256 * 1024


def open_log(folder: Path) -> int:
    """Open the next log file for appending and drop the oldest beyond the limit; returns its descriptor."""
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    files = _files(folder)
    number = int(files[-1].stem) + 1 if files else 1
    for old in files[: max(0, len(files) - MAX_FILES + 1)]:
        old.unlink(missing_ok=True)
    return os.open(folder / f"{number:06d}.log", os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)


def read_log(folder: Path, cursor: str) -> LogChunk:
    """Complete lines after the cursor, which is `{file name}:{byte offset}`; "" is the beginning.

    A line longer than MAX_LOG_LINE bytes is cut, and a rotation that outran the reader leaves a gap.
    """
    files = _files(folder)
    if not files:
        return LogChunk((), cursor)
    name, _, offset_text = cursor.partition(":")
    names = [file.name for file in files]
    index, offset = (names.index(name), int(offset_text)) if name in names else (0, 0)
    lines: list[str] = []
    budget = MAX_CHUNK_BYTES
    while True:
        last = index == len(files) - 1
        data = _read(files[index], offset, budget)
        whole = data if not last and len(data) < budget else data[: data.rfind(b"\n") + 1]
        if len(data) == budget and not whole:
            whole = data  # a line without end
        lines += [_text(line) for line in whole.splitlines()]
        offset += len(whole)
        budget -= len(whole)
        if last or budget <= 0 or len(data) > len(whole):
            return LogChunk(tuple(lines), f"{files[index].name}:{offset}")
        index, offset = index + 1, 0


def tail(folder: Path, count: int = 8) -> tuple[str, ...]:
    """The last lines of the newest log file."""
    files = _files(folder)
    if not files:
        return ()
    size = files[-1].stat().st_size
    data = _read(files[-1], max(0, size - 16 * 1024), 16 * 1024)
    return tuple(_text(line) for line in data.splitlines()[-count:])


class CappedLog:
    """Writes lines to numbered files, beginning the next when one is full."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        files = _files(folder)
        self._handle = (
            os.open(files[-1], os.O_WRONLY | os.O_APPEND) if files else open_log(folder)
        )

    def write(self, data: bytes) -> None:
        if os.fstat(self._handle).st_size + len(data) > MAX_FILE_BYTES:
            os.close(self._handle)
            self._handle = open_log(self._folder)
        with contextlib.suppress(OSError):  # a full disk must not end the server
            os.write(self._handle, data)


def _files(folder: Path) -> list[Path]:
    try:
        return sorted(file for file in folder.iterdir() if file.suffix == ".log" and file.stem.isdigit())
    except (FileNotFoundError, NotADirectoryError):
        return []


def _read(path: Path, offset: int, size: int) -> bytes:
    try:
        with path.open("rb") as file:
            file.seek(offset)
            return file.read(size)
    except FileNotFoundError:
        return b""


def _text(line: bytes) -> str:
    return line[:MAX_LOG_LINE].decode("utf-8", "replace").rstrip("\r")
