"""Unpacks uploaded code safely: one .py file, a .zip or a .tar.gz, bounded in size, inside its own folder only."""

import lzma
import shutil
import stat
import tarfile
import zipfile
import zlib
from collections.abc import Iterable
from pathlib import Path, PurePosixPath
from typing import IO

from ..domain.errors import ResourceFailed
from ..domain.resources import ArtifactFile

MAX_FILES = 2_000
MAX_BYTES = 200 * 1024 * 1024
# RuntimeError: encrypted; ValueError: names that no file can have, and positions outside the file.
_DAMAGED = (zipfile.BadZipFile, tarfile.TarError, EOFError, RuntimeError, ValueError, zlib.error, lzma.LZMAError)
_TAR = (".tar.gz", ".tgz", ".tar", ".tar.bz2", ".tar.xz")


def unpack_code(artifact: ArtifactFile, destination: Path) -> tuple[str, ...]:
    """Write the code's files below `destination`, which is made; returns their paths in order.

    Raises ResourceFailed for an archive that is damaged, too large, or reaches outside its folder.
    """
    destination.mkdir(parents=True, exist_ok=True)
    name = artifact.name.lower()
    try:
        if name.endswith(".py"):
            shutil.copyfile(artifact.path, destination / PurePosixPath(artifact.name).name)
        elif name.endswith(".zip"):
            with zipfile.ZipFile(artifact.path) as archive:
                _unzip(archive, destination)
        elif name.endswith(_TAR):
            with tarfile.open(artifact.path) as archive:
                _untar(archive, destination)
        else:
            raise _refused(artifact, "It is none of .py, .zip, .tar.gz.", "Upload one .py file, a .zip or a .tar.gz.")
    except (*_DAMAGED, OSError) as error:
        if isinstance(error, OSError) and error.errno is not None:
            raise  # the disk's, not the archive's: gzip and bz2 tell of damage without a number
        raise _refused(
            artifact, f"The archive cannot be read: {error}.", "Make the archive anew and upload it."
        ) from error
    return tuple(sorted(str(path.relative_to(destination)) for path in destination.rglob("*") if path.is_file()))


def _unzip(archive: zipfile.ZipFile, destination: Path) -> None:
    members = [member for member in archive.infolist() if not member.is_dir()]
    for member in members:
        if stat.S_ISLNK(member.external_attr >> 16):
            raise _unsafe(member.filename)
    targets = _targets((member.filename for member in members), destination)
    budget = MAX_BYTES
    for member, target in zip(members, targets, strict=True):
        with archive.open(member) as source:
            budget -= _copy(source, target, budget)


def _untar(archive: tarfile.TarFile, destination: Path) -> None:
    members = [member for member in archive if not member.isdir()]
    for member in members:
        if not member.isfile():
            raise _unsafe(member.name)
    targets = _targets((member.name for member in members), destination)
    budget = MAX_BYTES
    for member, target in zip(members, targets, strict=True):
        source = archive.extractfile(member)
        if source is not None:
            budget -= _copy(source, target, budget)


def _targets(names: Iterable[str], destination: Path) -> list[Path]:
    """Where each member goes; refuses absolute names, climbing, and names used twice."""
    targets: list[Path] = []
    for name in names:
        pure = PurePosixPath(name.replace("\\", "/"))
        if pure.is_absolute() or ".." in pure.parts or not pure.parts or ":" in pure.parts[0]:
            raise _unsafe(name)
        targets.append(destination.joinpath(*pure.parts))
        if len(targets) > MAX_FILES:
            raise _too_large()
    if len(set(targets)) != len(targets):
        raise ResourceFailed(
            "The code archive holds one name twice.",
            code="code_archive",
            cause="It was put together from several folders.",
            action="Make the archive anew from one folder and upload it.",
            field="code.artifact",
        )
    return targets


def _copy(source: IO[bytes], target: Path, budget: int) -> int:
    """Copy at most `budget` bytes; the sizes that an archive claims are not believed. Returns the bytes copied."""
    target.parent.mkdir(parents=True, exist_ok=True)
    written = 0
    with target.open("wb") as file:
        while chunk := source.read(64 * 1024):
            written += len(chunk)
            if written > budget:
                raise _too_large()
            file.write(chunk)
    return written


def _refused(artifact: ArtifactFile, cause: str, action: str) -> ResourceFailed:
    return ResourceFailed(
        f"The code in {artifact.name} cannot be used.",
        code="code_archive",
        cause=cause,
        action=action,
        field="code.artifact",
    )


def _unsafe(name: str) -> ResourceFailed:
    return ResourceFailed(
        f"The code archive holds “{name[:80]}”, which is a link or lies outside the archive's own folder.",
        code="code_archive",
        cause="The archive was made with links or absolute paths, or with bad intent.",
        action="Make the archive anew from plain files and upload it.",
        field="code.artifact",
    )


def _too_large() -> ResourceFailed:
    return ResourceFailed(
        f"The code archive unpacks to more than {MAX_FILES} files or {MAX_BYTES // 1024 // 1024} MB.",
        code="code_archive",
        cause="It holds data, a virtual environment, or is made to fill the disk.",
        action="Upload only the modules that the model needs.",
        field="code.artifact",
    )
