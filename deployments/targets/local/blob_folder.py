"""A folder with containers of blobs: seen without following a link, read and written whole.

Names and files are anybody's, so that every step of a path is opened from the one before it and never through a
symbolic link. A file that was written to within the last half second is left alone: it may not be complete.
"""

import contextlib
import errno
import os
import stat
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from uuid import uuid4

STABLE_SECONDS = 0.5
_DRAFTS = ".drafts"  # no container can have this name
_DRAFT_SECONDS = 60.0  # that a write takes at most
_MOST_DEPTH = 32
_GONE = frozenset({errno.ENOENT, errno.ENOTDIR, errno.ELOOP})  # or a link, or a file, since it was listed
_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_FILE = os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK  # a pipe must not hold up whoever opens it


@dataclass(frozen=True)
class Blob:
    """One version of a file: `name` is its path in the container, `etag` changes with every write or replacement."""

    name: str
    etag: str
    size: int
    modified: float
    stable: bool
    properties: Mapping[str, str] = field(default_factory=dict)  # as a Blob service keeps them


class Changed(Exception):
    """The file is no longer the version that was asked for."""


class StoreAway(OSError):
    """The store cannot be reached, which is no blob's fault."""


class BlobFolder:
    """Containers below `root`, each a folder."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def make(self, container: str) -> Path:
        """The container's folder, for nobody but its owner; nothing above the root, which goes with its deployment."""
        self.root.mkdir(exist_ok=True, mode=0o700)
        path = self.root / container
        path.mkdir(exist_ok=True, mode=0o700)
        return path

    def blobs(self, container: str, unseen: list[str]) -> Iterator[Blob]:
        """Every file of the container in no order; hidden ones, links and what is no file are passed over.

        What it was not let look at is added to `unseen`.
        """
        with _opened((str(self.root), container)) as folder:
            yield from _walk(folder, "", _MOST_DEPTH, unseen)

    def read(self, container: str, blob: Blob) -> bytes:
        """The content of that version. Raises Changed, OSError."""
        *folders, name = blob.name.split("/")
        with _opened((str(self.root), container, *folders)) as folder:
            handle = os.open(name, _FILE, dir_fd=folder)
        with os.fdopen(handle, "rb") as file:
            content = file.read(blob.size + 1)
            seen = _blob(blob.name, os.fstat(file.fileno()))
        if seen is None or seen.etag != blob.etag or len(content) != blob.size:
            raise Changed(blob.name)
        return content

    def find(self, container: str, name: str) -> Blob | None:
        """The file of that name; None where there is none. The name has no part that leads elsewhere."""
        *folders, last = name.split("/")
        try:
            with _opened((str(self.root), container, *folders)) as folder:
                return _blob(name, os.stat(last, dir_fd=folder, follow_symlinks=False))
        except OSError:
            return None

    def write(self, container: str, name: str, content: bytes) -> str:
        """Write so that a reader finds the old file or the whole new one, on the disk; returns its etag.

        Raises OSError.
        """
        *folders, last = name.split("/")
        self.make(container)
        draft = self.make(_DRAFTS) / uuid4().hex
        try:
            with draft.open("xb") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
                etag = _etag(os.fstat(file.fileno()))
            with _opened((str(self.root), container, *folders), make=True) as folder:
                os.rename(draft, last, dst_dir_fd=folder)
                os.fsync(folder)
        except BaseException:
            draft.unlink(missing_ok=True)
            raise
        return etag

    def tidy(self) -> None:
        """Remove what a writer that was killed left. Others may be writing: what is new is let be."""
        for draft in self.make(_DRAFTS).iterdir():
            with contextlib.suppress(FileNotFoundError):
                if abs(time.time() - draft.stat().st_mtime) > _DRAFT_SECONDS:
                    draft.unlink()


def _walk(folder: int, prefix: str, depth: int, unseen: list[str]) -> Iterator[Blob]:
    with os.scandir(folder) as entries:
        found = [entry.name for entry in entries if not entry.name.startswith(".")]
    for name in found:
        try:
            seen = os.stat(name, dir_fd=folder, follow_symlinks=False)
            if stat.S_ISDIR(seen.st_mode) and depth:
                inner = os.open(name, _FOLDER, dir_fd=folder)
                try:
                    yield from _walk(inner, f"{prefix}{name}/", depth - 1, unseen)
                finally:
                    os.close(inner)
            elif blob := _blob(prefix + name, seen):
                yield blob
        except OSError as error:
            if error.errno not in _GONE:
                unseen.append(prefix + name)


def _blob(name: str, seen: os.stat_result) -> Blob | None:
    if not stat.S_ISREG(seen.st_mode):
        return None
    return Blob(
        name=name,
        etag=_etag(seen),
        size=seen.st_size,
        modified=seen.st_mtime,
        # The change time is the system's own: a copy that keeps the file's date sets it too.
        stable=abs(time.time() - seen.st_ctime) >= STABLE_SECONDS,
    )


def _etag(seen: os.stat_result) -> str:
    return f"0x{seen.st_ino:x}-{seen.st_size:x}-{seen.st_mtime_ns:x}"


@contextlib.contextmanager
def _opened(path: tuple[str, ...], *, make: bool = False) -> Iterator[int]:
    """A descriptor of the folder at the path, whose first part is the way to the root."""
    handle = os.open(path[0], _FOLDER)
    try:
        for part in path[1:]:
            if make:
                with contextlib.suppress(FileExistsError):
                    os.mkdir(part, 0o700, dir_fd=handle)
            inner = os.open(part, _FOLDER, dir_fd=handle)
            os.close(handle)
            handle = inner
        yield handle
    finally:
        os.close(handle)
