"""Log files of a resource, read: complete lines after a cursor."""

from pathlib import Path

from ...domain.limits import MAX_LOG_LINE
from ...domain.resources import LogChunk
from .log_files import log_files

MAX_CHUNK_BYTES = 256 * 1024


def read_log(folder: Path, cursor: str) -> LogChunk:
    """Complete lines after the cursor, which is `{file name}:{byte offset}`; "" is the beginning.

    A line longer than MAX_LOG_LINE bytes is cut, and a rotation that outran the reader leaves a gap.
    """
    files = log_files(folder)
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
    files = log_files(folder)
    if not files:
        return ()
    size = files[-1].stat().st_size
    data = _read(files[-1], max(0, size - 16 * 1024), 16 * 1024)
    return tuple(_text(line) for line in data.splitlines()[-count:])


def _read(path: Path, offset: int, size: int) -> bytes:
    try:
        with path.open("rb") as file:
            file.seek(offset)
            return file.read(size)
    except FileNotFoundError:
        return b""


def _text(line: bytes) -> str:
    return line[:MAX_LOG_LINE].decode("utf-8", "replace").rstrip("\r")
