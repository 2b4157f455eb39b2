"""A resource's log: complete lines, once each, through rotation and floods."""

import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from deployments.domain.limits import MAX_LOG_LINE
from deployments.targets.local import log_files
from deployments.targets.local.log_files import CappedLog, open_log
from deployments.targets.local.logs import MAX_CHUNK_BYTES, read_log, tail


def write(folder: Path, data: bytes) -> None:
    handle = open_log(folder)
    os.write(handle, data)
    os.close(handle)


def test_nothing_yet(tmp_path: Path) -> None:
    assert read_log(tmp_path / "none", "").lines == ()
    assert tail(tmp_path / "none") == ()


def test_only_complete_lines(tmp_path: Path) -> None:
    handle = open_log(tmp_path)
    os.write(handle, b"one\ntwo\nhal")
    first = read_log(tmp_path, "")
    assert first.lines == ("one", "two")
    os.write(handle, b"f\n")
    second = read_log(tmp_path, first.cursor)
    assert second.lines == ("half",)
    assert read_log(tmp_path, second.cursor).lines == ()
    os.close(handle)


def test_on_to_the_next_file(tmp_path: Path) -> None:
    write(tmp_path, b"one\nended in the middle")
    first = read_log(tmp_path, "")
    write(tmp_path, b"two\n")
    assert read_log(tmp_path, first.cursor).lines == ("ended in the middle", "two")
    assert tail(tmp_path) == ("two",)


def test_a_line_without_end_is_cut(tmp_path: Path) -> None:
    write(tmp_path, b"x" * (MAX_CHUNK_BYTES + 10) + b"\nnext\n")
    first = read_log(tmp_path, "")
    assert [len(line) for line in first.lines] == [MAX_LOG_LINE]
    assert read_log(tmp_path, first.cursor).lines[-1] == "next"


def test_a_flood_is_read_in_pieces_and_loses_nothing(tmp_path: Path) -> None:
    lines = [f"line {number}" for number in range(60_000)]
    write(tmp_path, "\n".join(lines).encode() + b"\n")
    found: list[str] = []
    cursor = ""
    while chunk := read_log(tmp_path, cursor):
        if not chunk.lines:
            break
        found += chunk.lines
        cursor = chunk.cursor
    assert found == lines


def test_files_are_capped_and_the_oldest_go(tmp_path: Path) -> None:
    log = CappedLog(tmp_path)
    line = b"x" * 999 + b"\n"
    for _ in range(5 * log_files.MAX_FILE_BYTES // len(line)):
        log.write(line)
    files = log_files.log_files(tmp_path)
    assert len(files) == log_files.MAX_FILES
    assert all(file.stat().st_size <= log_files.MAX_FILE_BYTES for file in files)
    assert read_log(tmp_path, "000001.log:5").lines  # a cursor into a file that has gone


def test_several_threads_write_while_files_are_changed(tmp_path: Path) -> None:
    log = CappedLog(tmp_path / "log")
    lines = [f"{number:04d} ".encode() + b"x" * 50_000 + b"\n" for number in range(8)]
    with ThreadPoolExecutor(8) as pool:
        for written in [pool.submit(log.write, line) for _ in range(60) for line in lines]:
            written.result()
    for file in log_files.log_files(tmp_path / "log"):
        assert set(file.read_bytes().splitlines(keepends=True)) <= set(lines)
        assert file.stat().st_size <= log_files.MAX_FILE_BYTES
    blocked = tmp_path / "blocked"
    blocked_log = CappedLog(blocked)
    (blocked / "000001.log").unlink()
    blocked.rmdir()
    blocked.write_bytes(b"")  # no next file can be made
    for _ in range(100):
        blocked_log.write(lines[0])
