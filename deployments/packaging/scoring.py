"""The scoring code that ships: which files, and the digest that names their version."""

import hashlib
from functools import cache
from pathlib import Path

SHIPPED = (
    "scoring/**/*.py", "score.py", "start.sh", "host.json", "Dockerfile", "requirements.txt", "requirements/*.txt",
)  # fmt: skip


def shipped_files(root: Path) -> tuple[Path, ...]:
    """The files of scoring_image that go into every package, sorted by path."""
    found = {path for pattern in SHIPPED for path in root.glob(pattern) if "__pycache__" not in path.parts}
    return tuple(sorted(path for path in found if path.is_file()))


@cache
def scoring_version(root: Path) -> str:
    """sha256 in hex over paths and bytes of the shipped files; read once a process, which a new release restarts."""
    digest = hashlib.sha256()
    for path in shipped_files(root):
        content = path.read_bytes()
        digest.update(f"{path.relative_to(root).as_posix()}\0{len(content)}\0".encode() + content)
    return digest.hexdigest()
