"""Packages: equal parts give an equal digest, the version follows what can change an answer, archives stay inside."""

import io
import json
import os
import tarfile
import zipfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Literal

import pytest

from deployments.domain.errors import ResourceFailed
from deployments.domain.resources import ArtifactFile
from deployments.domain.spec import Spec
from deployments.packaging import archives
from deployments.packaging.archives import unpack_code
from deployments.packaging.context import assemble, function_json
from deployments.packaging.manifest import Parts, build_manifest, model_version, safe_model_name

SPEC = Spec.load({"model": {"artifact": "0" * 64}})
PARTS = Parts(
    model_name="digits.joblib",
    model_sha256="0" * 64,
    code_files={},
    lock="scikit-learn==1.7.2\n",
    scoring_version="1",
    description={"input": {"kind": "array", "features": 2}, "estimator": "SVC", "trained_with": {}, "output": {}},
)


def make(destination: Path, tmp_path: Path, spec: Spec = SPEC, parts: Parts = PARTS, code: Path | None = None) -> str:
    scoring, model = tmp_path / "scoring_root", tmp_path / "model.joblib"
    (scoring / "scoring" / "__pycache__").mkdir(parents=True, exist_ok=True)
    (scoring / "scoring" / "__init__.py").write_text('SCORING_VERSION = "1"\n')
    (scoring / "scoring" / "__pycache__" / "x.pyc").write_bytes(os.urandom(4))
    (scoring / "host.json").write_text("{}")
    model.write_bytes(b"model")
    destination.mkdir()
    return assemble(destination=destination, scoring_root=scoring, model=model, code=code, spec=spec, parts=parts)


def test_equal_parts_give_an_equal_package(tmp_path: Path) -> None:
    first, second = tmp_path / "first", tmp_path / "second"
    assert make(first, tmp_path) == make(second, tmp_path)
    listed = [
        [
            (path.relative_to(root), path.stat().st_mode, path.stat().st_mtime, path.is_file() and path.read_bytes())
            for path in sorted(root.rglob("*"))
        ]
        for root in (first, second)
    ]
    assert listed[0] == listed[1]
    names = {path.relative_to(first).as_posix() for path in first.rglob("*") if path.is_file()}
    assert names == {
        "host.json", "manifest.json", "requirements.txt", "score/function.json", "scoring/__init__.py",
        "model/digits.joblib",
    }  # fmt: skip


def test_a_changed_part_gives_another_package(tmp_path: Path) -> None:
    code = tmp_path / "code"
    code.mkdir()
    (code / "features.py").write_text("x = 1\n")
    digests = {
        make(tmp_path / "a", tmp_path),
        make(tmp_path / "b", tmp_path, parts=replace(PARTS, lock="scikit-learn==1.7.1\n")),
        make(tmp_path / "c", tmp_path, code=code),
        make(tmp_path / "d", tmp_path, spec=Spec.load({**SPEC.dump(), "trigger": {"kind": "http", "route": "other"}})),
    }
    assert len(digests) == 4


def test_the_model_version_follows_what_can_change_an_answer() -> None:
    base = model_version(SPEC, PARTS)
    assert base == model_version(Spec.load({**SPEC.dump(), "tags": {"team": "x"}, "cache": {"policy": "off"}}), PARTS)
    others = [
        model_version(SPEC, replace(PARTS, model_sha256="1" * 64)),
        model_version(SPEC, replace(PARTS, lock="scikit-learn==1.7.1\n")),
        model_version(SPEC, replace(PARTS, scoring_version="2")),
        model_version(SPEC, replace(PARTS, code_files={"features.py": "2" * 64})),
        model_version(Spec.load({"model": {"artifact": "0" * 64, "method": "predict_proba"}}), PARTS),
    ]
    assert len({base, *others}) == 6


def test_the_manifest_says_what_was_asked_and_found() -> None:
    spec = Spec.load({**SPEC.dump(), "input": {"parameter": "rows", "missing": "allow", "max_rows": 7}})
    manifest = json.loads(json.dumps(build_manifest(spec, PARTS)))
    assert manifest["manifest_version"] == 1
    assert manifest["input"] == {"kind": "array", "features": 2, "parameter": "rows", "missing": "allow"}
    assert manifest["limits"]["max_rows"] == 7
    assert manifest["model"] == {
        "file": "model/digits.joblib", "name": "digits.joblib", "sha256": "0" * 64, "format": "joblib",
        "method": "predict",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("trigger", "kinds"),
    [
        ({"kind": "http"}, ["httpTrigger", "http"]),
        ({"kind": "blob"}, ["blobTrigger", "blob"]),
        ({"kind": "service_bus"}, ["serviceBusTrigger", "serviceBus"]),
    ],
)
def test_the_bindings_of_each_trigger(trigger: dict[str, str], kinds: list[str]) -> None:
    spec = Spec.load({**SPEC.dump(), "trigger": trigger})
    bindings = function_json(spec.trigger)["bindings"]
    assert [binding["type"] for binding in bindings] == kinds
    assert [binding["direction"] for binding in bindings] == ["in", "out"]


@pytest.mark.parametrize(
    ("given", "plain"),
    [("../../x.pkl", "x.pkl"), ("my model (1).joblib", "my_model_1_.joblib"), (".hidden", "hidden"), ("…", "_")],
)
def test_names_of_models_are_made_plain(given: str, plain: str) -> None:
    assert safe_model_name(given) == plain


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
