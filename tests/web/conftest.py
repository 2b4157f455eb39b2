"""Pages over a live deployment: a signed-in client and the function behind it."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from deployments.models import Deployment
from tests import live


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
