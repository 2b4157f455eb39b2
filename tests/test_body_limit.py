"""A large body is refused unread, unless a deployer sends it to where uploads go."""

import io
from collections.abc import Callable
from http import HTTPStatus
from pathlib import Path

import pytest
from django.conf import settings as site
from django.http import HttpResponse
from django.test import Client

from tests import factories
from tests.api.conftest import api_of

LARGE = 10_000
FORM = "multipart/form-data; boundary=part"
MODEL = (
    b'--part\r\nContent-Disposition: form-data; name="%s"; filename="model.joblib"\r\n\r\n'
    + b"\x80\x04".ljust(LARGE, b".")
    + b"\r\n--part--\r\n"
)

pytestmark = pytest.mark.django_db


class Body(io.BytesIO):
    """Tells whether it was looked at."""

    was_read = False

    def read(self, size: int | None = -1) -> bytes:
        self.was_read = True
        return super().read(size)


Send = Callable[..., tuple[HttpResponse, Body]]


@pytest.fixture
def send(settings: object) -> Send:
    """Post a file that is larger than other bodies may be."""
    settings.DATA_UPLOAD_MAX_MEMORY_SIZE = 1_000  # type: ignore[attr-defined]

    def post(
        client: Client, path: str, *, field: bytes = b"file", length: int = 0, **headers: str
    ) -> tuple[HttpResponse, Body]:
        body = Body(MODEL % field)
        told = {"wsgi.input": body, "CONTENT_LENGTH": str(length or len(body.getvalue()))}
        return client.post(path, content_type=FORM, headers=headers, **told), body  # type: ignore[arg-type]

    return post


def spooled() -> list[Path]:
    return list(Path(site.FILE_UPLOAD_TEMP_DIR).iterdir())


@pytest.mark.parametrize(
    "path", ["/accounts/login/", "/deploy/", "/deploy/1/model/", "/admin/", "/nowhere/", "/", "/api/v1/artifacts"]
)
def test_who_is_not_signed_in_sends_nothing_large(send: Send, path: str) -> None:
    client = Client(enforce_csrf_checks=True)
    client.get("/accounts/login/")
    answer, body = send(client, path, Cookie=f"csrftoken={client.cookies['csrftoken'].value}")
    assert answer.status_code == HTTPStatus.REQUEST_ENTITY_TOO_LARGE
    assert not body.was_read
    assert spooled() == []


def test_who_may_not_upload_sends_nothing_large(send: Send) -> None:
    tester = factories.member("tess", factories.environment(), "tester")
    client = Client()
    client.force_login(tester.user)
    for path in ("/deploy/", "/api/v1/artifacts"):
        answer, body = send(client, path)
        assert (answer.status_code, body.was_read) == (413, False)
    answer, body = send(Client(), "/api/v1/artifacts", Authorization="Bearer sc_00000000_wrong")
    assert (answer.status_code, answer.json()["code"], body.was_read) == (413, "too_large", False)
    answer, body = send(Client(), "/api/v1/artifacts", Authorization=f"Bearer {api_of(tester).token}")
    assert (answer.status_code, body.was_read) == (413, False)


def test_a_deployer_uploads_where_uploads_go_and_nowhere_else(send: Send) -> None:
    deployer = factories.member("dora", factories.environment(), "deployer")
    client = Client()
    client.force_login(deployer.user)
    assert send(client, "/deploy/", field=b"artifact_file")[0].status_code in (302, 422)
    answer, body = send(Client(), "/api/v1/artifacts", Authorization=f"bearer {api_of(deployer).token}")
    assert (answer.status_code, answer.json()["size"], body.was_read) == (200, LARGE, True)
    for path in ("/accounts/password/", "/deploy/import/", "/api/v1/deployments"):
        answer, body = send(client, path)
        assert (answer.status_code, body.was_read) == (413, False)


def test_more_than_a_file_may_have_is_refused_to_everybody(send: Send) -> None:
    client = Client()
    client.force_login(factories.administrator().user)
    for path in ("/deploy/", "/api/v1/artifacts"):
        answer, body = send(client, path, length=site.MAX_ARTIFACT_BYTES * 2)
        assert (answer.status_code, body.was_read) == (413, False)


def test_the_refusal_says_what_to_do(send: Send) -> None:
    page = send(Client(), "/accounts/login/")[0].content.decode()
    assert "larger than what is taken here" in page
    assert "Send less at once" in page


def test_a_body_of_unknown_length_is_refused(send: Send) -> None:
    answer, body = send(Client(), "/api/v1/artifacts", Transfer_Encoding="chunked")
    assert (answer.status_code, answer.json()["code"], body.was_read) == (411, "length_required", False)
