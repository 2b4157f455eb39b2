"""Folders of blobs: what cannot be looked at, what is made, what is cleared away, and how a folder goes for good."""

import os
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from deployments.targets.local import launch
from deployments.targets.local.blob_folder import BlobFolder
from deployments.targets.local.children import Phase, look
from deployments.targets.local.folders import Folder, write_json

_NOBODY = 65534


@pytest.fixture
def theirs() -> Iterator[Path]:
    """A folder of an ordinary user's."""
    path = Path(tempfile.mkdtemp(prefix="blobs-"))
    if os.getuid() == 0:
        os.chown(path, _NOBODY, _NOBODY)
    yield path
    for folder in path.rglob("*"):
        if folder.is_dir():
            folder.chmod(0o700)
    shutil.rmtree(path)


def as_ordinary_user(check: Callable[[], object]) -> None:
    """Nothing is refused to root."""
    child = os.fork()
    if child == 0:
        code = 1
        try:
            if os.getuid() == 0:
                os.setgroups([])
                os.setgid(_NOBODY)
                os.setuid(_NOBODY)
            check()
            code = 0
        finally:
            os._exit(code)
    _, status = os.waitpid(child, 0)
    assert os.waitstatus_to_exitcode(status) == 0


def test_what_could_not_be_looked_at_is_told(theirs: Path) -> None:
    def check() -> None:
        store = BlobFolder(theirs / "blobs")
        store.write("rows", "a.csv", b"1")
        store.write("rows", "deep/er/b.csv", b"1")
        (theirs / "blobs/rows/deep").chmod(0)
        unseen: list[str] = []
        assert [blob.name for blob in store.blobs("rows", unseen)] == ["a.csv"]
        assert unseen == ["deep"]

    as_ordinary_user(check)


def test_nothing_is_made_for_a_deployment_that_is_gone(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        BlobFolder(tmp_path / "gone/trigger/blobs").write("rows", "a.csv", b"1")
    assert list(tmp_path.iterdir()) == []


def test_only_old_drafts_are_cleared_away(tmp_path: Path) -> None:
    store = BlobFolder(tmp_path / "blobs")
    drafts = store.make(".drafts")
    for name, age in (("old", 120), ("new", 5)):
        (drafts / name).write_bytes(b"1")
        os.utime(drafts / name, (time.time() - age,) * 2)
    store.tidy()
    assert [draft.name for draft in drafts.iterdir()] == ["new"]


def test_a_read_only_folder_that_was_copied_in_goes_too(theirs: Path) -> None:
    folder = Folder(theirs / "iris-1/trigger")

    def check() -> None:
        inner = folder.path / "blobs/rows/copied/in"
        inner.mkdir(parents=True)
        (inner / "a.csv").write_bytes(b"1")
        inner.chmod(0o500)
        inner.parent.chmod(0o500)
        (folder.path / "blobs/rows/shut").mkdir(mode=0)
        folder.ending.touch()
        assert launch.end(folder) == 0
        assert not folder.path.exists()

    as_ordinary_user(check)


@pytest.mark.skipif(os.getuid() != 0, reason="needs a file of somebody else's")
def test_what_cannot_be_removed_is_named(theirs: Path) -> None:
    folder = Folder(theirs / "iris-1/trigger")
    rows = folder.path / "blobs/rows"
    rows.mkdir(parents=True)
    (rows / "a.csv").write_bytes(b"1")
    for path in (theirs / "iris-1", folder.path, folder.path / "blobs"):
        os.chown(path, _NOBODY, _NOBODY)  # but not the innermost

    def check() -> None:
        write_json(folder.job, {"id": "1"})
        folder.ending.touch()
        assert launch.end(folder) == 1

    as_ordinary_user(check)
    assert folder.ending.read_text() == f"{rows}: Operation not permitted"
    os.utime(folder.ending, (1, 1))
    assert look(folder).phase == Phase.HALF_GONE
