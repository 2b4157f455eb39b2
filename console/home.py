"""Where this console keeps its state: every path below CONSOLE_HOME, and the secrets it makes for itself."""

import contextlib
import hashlib
import json
import os
import secrets
import stat
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

CHECKOUT = Path(__file__).resolve().parent.parent

# A Unix socket's address holds 108 bytes on Linux, 104 on macOS, and supervisor appends its pid to it.
LONGEST_SOCKET_FOLDER = 70


class UnsafeFolder(Exception):
    """The short folder for sockets exists and belongs to somebody else."""


@dataclass(frozen=True)
class Home:
    """The folders and files of one console; nothing is created by looking at them."""

    root: Path

    @classmethod
    def from_environment(cls, environment: Mapping[str, str] = os.environ) -> "Home":
        return cls(Path(environment.get("CONSOLE_HOME") or CHECKOUT).expanduser().resolve())

    @property
    def var(self) -> Path:
        return self.root / "var"

    @property
    def database(self) -> Path:
        return self.var / "db.sqlite3"

    @property
    def artifacts(self) -> Path:
        return self.var / "artifacts"

    @property
    def uploads(self) -> Path:
        """Where a request's file is streamed to: beside the artifacts, so that keeping it is a rename."""
        return self.var / "uploads"

    @property
    def local(self) -> Path:
        return self.var / "local"

    @property
    def log(self) -> Path:
        return self.var / "log"

    @property
    def static(self) -> Path:
        return self.var / "static"

    @property
    def broker(self) -> Path:
        return self.var / "broker"

    @property
    def up_file(self) -> Path:
        """There while the console is up and ready, and only then."""
        return self.var / "up.json"

    @property
    def sign_in_file(self) -> Path:
        """What the first start made for its administrator; outlives the process."""
        return self.var / "sign_in.json"

    @property
    def run(self) -> Path:
        """Sockets, pid files and generated configuration; a short folder elsewhere if this is too deep."""
        inside = self.var / "run"
        if len(os.fsencode(inside)) <= LONGEST_SOCKET_FOLDER:
            return inside
        base = os.environ.get("XDG_RUNTIME_DIR") or tempfile.gettempdir()
        digest = hashlib.sha256(os.fsencode(self.root)).hexdigest()[:12]
        return Path(base) / f"scoring-console-{os.getuid()}-{digest}"

    @property
    def broker_socket(self) -> Path:
        return self.run / "broker.sock"

    def prepare(self) -> None:
        """Make the folders, readable by their owner alone.

        Raises UnsafeFolder where the folder for sockets, which may lie in a shared place, is not ours.
        """
        for folder in (self.var, self.artifacts, self.uploads, self.local, self.log, self.broker):
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        self.run.mkdir(mode=0o700, exist_ok=True)
        found = self.run.lstat()
        if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.getuid() or found.st_mode & 0o077:
            raise UnsafeFolder(f"{self.run} is not a folder of this user alone: remove it, or set XDG_RUNTIME_DIR")

    def secret_key(self) -> str:
        return kept(self.var / "secret_key", lambda: secrets.token_urlsafe(48))

    def broker_password(self) -> str:
        return kept(self.var / "broker_password", lambda: secrets.token_urlsafe(32))

    def console_id(self) -> str:
        """The tag that marks what this console made; two consoles never share one."""
        return kept(self.var / "console_id", lambda: secrets.token_hex(8))


def write_private(path: Path, content: dict[str, Any]) -> None:
    """Replace the file as a whole by the content as JSON, readable by its owner alone (mode 0600)."""
    handle, draft = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}-")  # mkstemp gives mode 0600
    with os.fdopen(handle, "w", encoding="utf-8") as file:
        json.dump(content, file, indent=2)
        file.write("\n")
    Path(draft).replace(path)


def kept(path: Path, make: Callable[[], str]) -> str:
    """The text in the file, made on the first call; of two processes that make it at once, one wins."""
    if not path.exists():
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        handle, draft = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}-")  # mkstemp gives mode 0600
        try:
            with os.fdopen(handle, "w", encoding="utf-8") as file:
                file.write(make())
            with contextlib.suppress(FileExistsError):
                os.link(draft, path)
        finally:
            Path(draft).unlink()
    return path.read_text(encoding="utf-8").strip()
