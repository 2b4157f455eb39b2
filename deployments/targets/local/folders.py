"""Where one resource of one deployment keeps its files, and how they are written."""

import json
import os
import secrets
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

LONGEST_SOCKET_PATH = 100  # sockaddr_un holds 108 bytes on Linux, 104 on macOS


def write_atomic(path: Path, text: str, *, mode: int = 0o600) -> None:
    """Write so that a reader finds the old text or the new one, never a part."""
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(handle, "w") as file:
            file.write(text)
        Path(name).chmod(mode)
        Path(name).replace(path)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise


def write_json(path: Path, data: dict[str, Any]) -> None:
    write_atomic(path, json.dumps(data, sort_keys=True))


def read_json(path: Path) -> dict[str, Any]:
    """The object in the file; {} where there is none."""
    try:
        data = json.loads(path.read_text())
    except (FileNotFoundError, NotADirectoryError, json.JSONDecodeError):
        return {}
    return data if isinstance(data, dict) else {}


@dataclass(frozen=True)
class Folder:
    """One resource's folder, `root/{slug-uid}/{key}`."""

    path: Path

    @property
    def lock(self) -> Path:
        """Held with flock by the child for as long as it lives."""
        return self.path / "lock"

    @property
    def job(self) -> Path:
        """What the child is to do: written before it is started."""
        return self.path / "job.json"

    @property
    def next(self) -> Path:
        """The job that a running child is to go over to."""
        return self.path / "next.json"

    @property
    def child(self) -> Path:
        """Which process does which job: written by the child itself before exec."""
        return self.path / "child.json"

    @property
    def launched(self) -> Path:
        """Which job's launcher was started for sure."""
        return self.path / "launched.json"

    @property
    def result(self) -> Path:
        """How the job ended, where a child says so."""
        return self.path / "result.json"

    @property
    def state(self) -> Path:
        """What is kept across jobs: ports."""
        return self.path / "state.json"

    @property
    def ending(self) -> Path:
        """There from the moment the resource is to go."""
        return self.path / "ending"

    @property
    def logs(self) -> Path:
        return self.path / "log"

    @property
    def sockets(self) -> Path:
        """A folder for nothing but this resource's socket; elsewhere when the path would be too long."""
        inside = self.path / "run"
        if len(os.fsencode(inside)) <= LONGEST_SOCKET_PATH - len("/redis.sock"):
            return inside
        owner = self.path.parent.name.rpartition("-")[2]
        return Path(tempfile.gettempdir()) / f"scoring-{os.getuid()}-{owner}-{self.path.name}"

    def make(self) -> None:
        self.path.mkdir(parents=True, exist_ok=True, mode=0o700)

    def secret(self, name: str) -> str:
        """The secret in the file of that name, readable by its owner alone; made once."""
        path = self.path / name
        try:
            return path.read_text()
        except FileNotFoundError:
            self.make()
            write_atomic(path, secrets.token_urlsafe(32))
            return path.read_text()

    def known_secret(self, name: str) -> str:
        """The secret if it was made; otherwise empty."""
        try:
            return (self.path / name).read_text()
        except (FileNotFoundError, NotADirectoryError):
            return ""
