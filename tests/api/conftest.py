"""A client of the API for whoever a test names, on the paper target."""

import json
from dataclasses import dataclass, field
from typing import Any

import pytest
from django.http import HttpResponse
from django.test import Client

from deployments.policy import Actor, Scope
from deployments.services.tokens import create_token
from tests import factories
from tests.engine.conftest import paper_world

__all__ = ["paper_world"]

MODEL = b"\x80\x04a model"


@dataclass(frozen=True)
class Api:
    """Calls with one bearer token; without one where it is empty."""

    token: str = ""
    client: Client = field(default_factory=Client)

    def __call__(self, method: str, path: str, body: Any = None, **headers: str) -> HttpResponse:
        if self.token:
            headers = {"Authorization": f"Bearer {self.token}", **headers}
        content = b"" if body is None else json.dumps(body).encode()
        return self.client.generic(
            method, f"/api/v1{path}", content, content_type="application/json", headers=_spelt(headers)
        )

    def upload(self, content: bytes = MODEL, name: str = "model.joblib") -> HttpResponse:
        boundary = "----part"
        raw = (
            f'--{boundary}\r\nContent-Disposition: form-data; name="file"; filename="{name}"\r\n'
            "Content-Type: application/octet-stream\r\n\r\n"
        ).encode()
        raw += content + f"\r\n--{boundary}--\r\n".encode()
        return self.client.generic(
            "POST",
            "/api/v1/artifacts",
            raw,
            content_type=f"multipart/form-data; boundary={boundary}",
            headers={"Authorization": f"Bearer {self.token}"},
        )


def api_of(actor: Actor, *scopes: str) -> Api:
    return Api(create_token(user=actor.user, name="test", scopes=list(scopes or Scope)))


@pytest.fixture
def api(db: None) -> Api:
    """An administrator's, with every scope; the environment `paper` is there."""
    factories.environment()
    return api_of(factories.administrator())


def _spelt(headers: dict[str, str]) -> dict[str, str]:
    return {name.replace("_", "-"): value for name, value in headers.items()}
