"""Uploads: streamed, known by their digest, refused before they fill the disk."""

import hashlib
from pathlib import Path

from django.conf import settings as site

from deployments.models import Artifact
from tests import factories
from tests.api.conftest import MODEL, Api, api_of


def stored() -> list[Path]:
    return [path for path in Path(site.ARTIFACT_ROOT).rglob("*") if path.is_file()]


def test_an_upload_is_known_by_its_digest(api: Api) -> None:
    made = api.upload()
    assert made.status_code == 201
    digest = hashlib.sha256(MODEL).hexdigest()
    assert made.json() == {"id": digest, "name": "model.joblib", "size": len(MODEL), "format": "joblib"}
    again = api.upload(name="renamed.joblib")
    assert (again.status_code, again.json()) == (200, made.json())
    assert Artifact.objects.get(pk=digest).path.read_bytes() == MODEL


def test_a_large_file_goes_through_the_disk(api: Api) -> None:
    content = b"\x80\x04" + bytes(6 * 1024**2)
    assert api.upload(content).json()["size"] == len(content)
    assert list(Path(site.FILE_UPLOAD_TEMP_DIR).iterdir()) == []


def test_what_is_too_large_is_refused_and_leaves_nothing(api: Api, settings: object) -> None:
    settings.MAX_ARTIFACT_BYTES = 1_000  # type: ignore[attr-defined]
    before = stored()
    for size in (1_001, 200_000):
        refused = api.upload(b"\x80\x04" + bytes(size))
        assert (refused.status_code, refused.json()["code"]) == (413, "too_large")
    assert stored() == before


def test_an_upload_without_a_file_says_so(api: Api) -> None:
    assert api.upload(b"").status_code == 400
    refused = api("POST", "/artifacts", {})
    assert (refused.status_code, refused.json()["field"]) == (422, "file")


def test_only_who_may_deploy_somewhere_uploads(api: Api) -> None:
    tester = api_of(factories.member("ada", factories.environment(), "tester"))
    assert tester.upload().status_code == 403
    assert Api().upload().status_code == 401
    deployer = api_of(factories.member("bob", factories.environment(), "deployer"))
    assert deployer.upload().status_code == 201


def test_a_file_name_cannot_leave_its_folder(api: Api) -> None:
    assert "/" not in api.upload(b"\x80other", name="../../etc/passwd").json()["name"]
