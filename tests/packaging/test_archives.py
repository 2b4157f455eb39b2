"""Uploaded code: archives of every kind are unpacked, and what reaches outside or has no end is refused."""

import io
import os
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Literal

import pytest

from deployments.domain.errors import ResourceFailed
from deployments.domain.resources import ArtifactFile
from deployments.packaging import archives
from deployments.packaging.archives import unpack_code


def stored(tmp_path: Path, name: str, content: bytes) -> ArtifactFile:
    path = tmp_path / "stored"
    path.write_bytes(content)
    return ArtifactFile("0" * 64, name, path, len(content))


def zipped(*entries: tuple[str, bytes], link: bool = False) -> bytes:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in entries:
            info = zipfile.ZipInfo(name)
            info.external_attr = (0o120777 if link else 0o100644) << 16
            archive.writestr(info, content, zipfile.ZIP_DEFLATED)
    return packed.getvalue()


def tarred(change: Callable[[tarfile.TarInfo], None], content: bytes = b"x = 1\n") -> bytes:
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w:gz") as archive:
        info = tarfile.TarInfo("pkg/a.py")
        info.size = len(content)
        change(info)
        archive.addfile(info, io.BytesIO(content))
    return packed.getvalue()


def test_code_of_each_kind_is_unpacked(tmp_path: Path) -> None:
    for number, (name, content, names) in enumerate(
        [
            ("features.py", b"x = 1\n", ("features.py",)),
            ("code.zip", zipped(("pkg/a.py", b"1"), ("b.py", b"2")), ("b.py", "pkg/a.py")),
            ("code.tar.gz", tarred(lambda info: None), ("pkg/a.py",)),
        ]
    ):
        destination = tmp_path / str(number)
        assert unpack_code(stored(tmp_path, name, content), destination) == names


def climb(info: tarfile.TarInfo) -> None:
    info.name = "../out.py"


def symlink(info: tarfile.TarInfo) -> None:
    info.type, info.linkname, info.size = tarfile.SYMTYPE, "/etc/passwd", 0


def device(info: tarfile.TarInfo) -> None:
    info.type, info.size = tarfile.CHRTYPE, 0


def encrypted() -> bytes:
    """A zip whose member is marked as encrypted, in its own header and in the directory."""
    content = bytearray(zipped(("a.py", b"x")))
    for signature, flags in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        content[content.index(signature) + flags] |= 1
    return bytes(content)


def damaged_zip(compression: int) -> bytes:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", compression) as archive:
        archive.writestr("a.py", os.urandom(1_000))
    content = bytearray(packed.getvalue())
    start = 30 + len("a.py")  # of the member's data, behind its header
    content[start : start + 8] = b"\xff" * 8
    return bytes(content)


def damaged_tar(kind: Literal["gz", "bz2", "xz"]) -> bytes:
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode=f"w:{kind}") as archive:
        info = tarfile.TarInfo("a.py")
        info.size = 2_000_000
        archive.addfile(info, io.BytesIO(os.urandom(info.size)))
    content = bytearray(packed.getvalue())
    content[1_500_000:1_570_000] = b"\xff" * 70_000  # more than a block
    return bytes(content)


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("code.zip", zipped(("../out.py", b"x"))),
        ("code.zip", zipped(("/out.py", b"x"))),
        ("code.zip", zipped(("a\\..\\..\\out.py", b"x"))),
        ("code.zip", zipped(("link", b"/etc/passwd"), link=True)),
        ("code.zip", zipped(("a.py", b"1"), ("./a.py", b"2"))),
        ("code.zip", b"PK not really"),
        ("code.zip", encrypted()),
        ("code.zip", damaged_zip(zipfile.ZIP_DEFLATED)),
        ("code.zip", damaged_zip(zipfile.ZIP_BZIP2)),
        ("code.zip", damaged_zip(zipfile.ZIP_LZMA)),
        ("code.tar.gz", damaged_tar("gz")),
        ("code.tar.bz2", damaged_tar("bz2")),
        ("code.tar.xz", damaged_tar("xz")),
        ("code.tar.gz", tarred(climb)),
        ("code.tar.gz", tarred(symlink)),
        ("code.tar.gz", tarred(device)),
        ("code.tar.gz", b"\x1f\x8b broken"),
        ("code.rar", b"Rar!"),
    ],
    # Compressed bytes have the second they were made in, and would give each worker of a run names of its own.
    ids=lambda value: value if isinstance(value, str) else "file",
)
def test_archives_that_are_refused(tmp_path: Path, name: str, content: bytes) -> None:
    with pytest.raises(ResourceFailed) as caught:
        unpack_code(stored(tmp_path, name, content), tmp_path / "deep" / "inside")
    assert caught.value.detail.code == "code_archive"
    assert caught.value.detail.action
    assert not list(tmp_path.rglob("out.py"))


def test_a_bomb_is_stopped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(archives, "MAX_BYTES", 100_000)
    with pytest.raises(ResourceFailed, match="unpacks to more"):
        unpack_code(stored(tmp_path, "code.zip", zipped(("zeros", b"\0" * 10_000_000))), tmp_path / "out")
    with pytest.raises(ResourceFailed, match="unpacks to more"):
        unpack_code(stored(tmp_path, "code.tgz", tarred(lambda i: None, b"\0" * 10_000_000)), tmp_path / "out2")
