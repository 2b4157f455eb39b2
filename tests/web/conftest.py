"""What the tests of the pages share: a pretended world, browsers of several users, and a live deployment."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from django.test import Client

from deployments.models import Deployment, Environment
from deployments.policy import Actor
from tests import factories, live
from tests.engine.conftest import paper_world

__all__ = ["paper_world"]

Browse = Callable[[Actor], Client]


@pytest.fixture
def paper(db: None) -> Environment:
    return factories.environment()


@pytest.fixture
def browse() -> Browse:
    """A signed-in client of an actor."""

    def signed_in(actor: Actor) -> Client:
        client = Client()
        client.force_login(actor.user)
        return client

    return signed_in


@pytest.fixture
def deployer(paper: Environment, browse: Browse) -> Client:
    return browse(factories.member("dora", paper, "deployer"))


@pytest.fixture
def viewer(paper: Environment, browse: Browse) -> Client:
    return browse(factories.member("vera", paper, "viewer"))


@pytest.fixture
def stranger(db: None, browse: Browse) -> Client:
    """Signed in, and a member of another environment only."""
    return browse(factories.member("stan", factories.environment("elsewhere"), "admin"))


@pytest.fixture
def root(db: None, browse: Browse) -> Client:
    return browse(factories.administrator())


@pytest.fixture(scope="session")
def function() -> Iterator[live.Function]:
    with live.serving() as found:
        yield found


@pytest.fixture
def digits(function: live.Function, settings: Any, tmp_path: Path, db: None) -> Iterator[Deployment]:
    """A live deployment of handwritten digits with an empty cache."""
    function.admin.flushall()
    with live.paper_world(settings, tmp_path):
        yield live.deployed(function)
