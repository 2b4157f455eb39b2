"""Alive and ready: asked without a token, answered without details."""

from datetime import timedelta

import pytest
from celery import current_app
from django.test import Client
from django.utils import timezone

from deployments.models import WorkerSeen
from deployments.services.readiness import WORKER_LATELY

ADDRESSES = ("/readyz", "/api/v1/readyz")


@pytest.fixture
def broker(redis_server: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A real one in place of the console's."""
    address = redis_server.replace("unix://", "redis+socket://").replace("?db=0", "?virtual_host=0")
    monkeypatch.setattr(current_app.conf, "broker_url", address)


def seen(*, ago: timedelta) -> None:
    WorkerSeen.objects.update_or_create(name="worker", defaults={"at": timezone.now() - ago})


def test_alive_whatever_else_is_down(client: Client) -> None:
    for address in ("/healthz", "/api/v1/healthz"):
        answer = client.get(address)
        assert (answer.status_code, answer.json()) == (200, {"status": "ok"})


@pytest.mark.django_db
@pytest.mark.usefixtures("broker")
def test_ready_while_a_worker_answers(client: Client) -> None:
    for address in ADDRESSES:
        WorkerSeen.objects.all().delete()
        assert client.get(address).status_code == 503
        seen(ago=WORKER_LATELY * 2)
        assert client.get(address).status_code == 503
        seen(ago=timedelta(seconds=1))
        answer = client.get(address)
        assert (answer.status_code, answer.json()) == (200, {"status": "ok"})


@pytest.mark.django_db
def test_not_ready_without_a_broker(client: Client) -> None:
    seen(ago=timedelta(0))
    for address in ADDRESSES:
        answer = client.get(address)
        assert (answer.status_code, answer.json()) == (503, {"status": "unavailable"})
