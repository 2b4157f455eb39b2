"""Uploads: stored whole by their digest or not at all, under a name that is safe to show and to use."""

import hashlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from deployments.domain.errors import ConsoleError, NotAllowed
from deployments.models import Artifact, AuditEntry
from deployments.services.artifacts import TooLarge, guess_format, upload_artifact
from tests import factories

pytestmark = pytest.mark.django_db

CHUNKS = [b"\x80\x04", b"a model", b"." * 100_000]
DIGEST = hashlib.sha256(b"".join(CHUNKS)).hexdigest()


@pytest.fixture
def store(settings: Any, tmp_path: Path) -> Path:
    settings.ARTIFACT_ROOT = tmp_path / "artifacts"
    return tmp_path / "artifacts"


def files(store: Path) -> list[str]:
    return [path.name for path in store.rglob("*") if path.is_file()]


def upload(chunks: Any, name: str = "model.pkl") -> tuple[Artifact, bool]:
    return upload_artifact(actor=factories.administrator(), name=name, chunks=chunks)


def test_a_file_is_kept_under_its_digest(store: Path) -> None:
    artifact, created = upload(iter(CHUNKS))
    assert created
    assert (artifact.pk, artifact.size, artifact.format) == (DIGEST, 100_009, "pickle")
    assert artifact.path.read_bytes() == b"".join(CHUNKS)
    assert files(store) == [DIGEST]


def test_the_same_bytes_are_the_same_file_whatever_its_name(store: Path) -> None:
    first, _ = upload(CHUNKS)
    again, created = upload(CHUNKS, "other.pkl")
    assert not created
    assert (again.pk, again.name) == (first.pk, "model.pkl")
    assert files(store) == [DIGEST]


def test_a_file_that_was_lost_comes_back_with_its_upload(store: Path) -> None:
    first, _ = upload(CHUNKS)
    first.path.unlink()
    upload(CHUNKS)
    assert files(store) == [DIGEST]


def test_too_large_leaves_nothing_and_reads_no_further(store: Path, settings: Any) -> None:
    settings.MAX_ARTIFACT_BYTES = 10
    read = []

    def chunks() -> Iterator[bytes]:
        for number in range(100):
            read.append(number)
            yield b"12345678"

    with pytest.raises(TooLarge, match="larger than 10 bytes") as caught:
        upload(chunks())
    assert caught.value.status == 413
    assert read == [0, 1]
    assert (files(store), Artifact.objects.count()) == ([], 0)


def test_an_empty_file_is_refused(store: Path) -> None:
    with pytest.raises(ConsoleError, match="empty") as caught:
        upload([])
    assert caught.value.field == "file"
    assert (files(store), Artifact.objects.count()) == ([], 0)


def test_a_connection_that_breaks_leaves_nothing(store: Path) -> None:
    def chunks() -> Iterator[bytes]:
        yield b"half of"
        raise ConnectionResetError

    with pytest.raises(ConnectionResetError):
        upload(chunks())
    assert (files(store), Artifact.objects.count()) == ([], 0)


def test_who_may_deploy_nowhere_stores_nothing(store: Path) -> None:
    viewer = factories.member("v", factories.environment(), "tester")
    with pytest.raises(NotAllowed):
        upload_artifact(actor=viewer, name="model.pkl", chunks=CHUNKS)
    assert files(store) == []
    assert AuditEntry.objects.get().result == "refused"


@pytest.mark.parametrize(
    ("given", "kept"),
    [
        ("model.joblib", "model.joblib"),
        ("../../etc/passwd", "passwd"),
        ("C:\\models\\a b.pkl", "a_b.pkl"),
        (".hidden", "hidden"),
        ("a\nb\x00.pkl", "a_b_.pkl"),
        ("<script>.pkl", "_script_.pkl"),
        ("modèle-1+x.pkl", "modèle-1+x.pkl"),
        ("", "model"),
        ("..", "model"),
        ("x" * 300 + ".pkl", "x" * 116 + ".pkl"),
    ],
)
def test_names_are_cleaned(store: Path, given: str, kept: str) -> None:
    assert upload(CHUNKS, given)[0].name == kept


@pytest.mark.parametrize(
    ("name", "head", "kind"),
    [
        ("m.pkl", b"\x80\x04", "pickle"),
        ("m.joblib", b"\x80\x04", "joblib"),
        ("m.joblib", b"x\x9c", "joblib"),
        ("m.whl", b"PK\x03\x04", "wheel"),
        ("m.skops", b"PK\x03\x04", "skops"),
        ("m.zip", b"PK\x03\x04", "zip"),
        ("m.onnx", b"\x08\x07", "onnx"),
        ("m.py", b"import", "python"),
        ("m.tar.gz", b"\x1f\x8b", "tar"),
        ("m.txt", b"hello", "unknown"),
    ],
)
def test_what_a_file_claims_to_be(name: str, head: bytes, kind: str) -> None:
    assert guess_format(name, head) == kind
