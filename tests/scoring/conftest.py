"""Models that are trained for the tests, and the processes that they are served by."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from sklearn.datasets import load_digits, load_wine
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC

from tests.scoring.packages import UPLOADS, write_package
from tests.scoring.processes import Function, Redis

sys.path.append(str(UPLOADS))


@pytest.fixture(scope="session")
def digits() -> tuple[Any, Any]:
    """A model of 64 features, and its data."""
    x, y = load_digits(return_X_y=True)
    return LogisticRegression(max_iter=500, tol=0.01).fit(x / 16, y), x / 16


@pytest.fixture(scope="session")
def wine() -> tuple[Any, Any]:
    """A pipeline of 13 features, and its data."""
    x, y = load_wine(return_X_y=True)
    return make_pipeline(StandardScaler(), SVC()).fit(x, y), x


@pytest.fixture(scope="module")
def cache_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Redis]:
    """A Redis for a module's tests."""
    server = Redis(tmp_path_factory.mktemp("redis"))
    yield server
    server.kill()


@pytest.fixture
def own_redis(tmp_path: Path) -> Iterator[Callable[..., Redis]]:
    """Start Redis servers of one test's own, to be killed, filled or configured."""
    servers: list[Redis] = []

    def start(*configuration: str, password: str = "") -> Redis:
        servers.append(Redis(tmp_path, *configuration, password=password))
        return servers[-1]

    yield start
    for server in servers:
        server.kill()


@pytest.fixture
def serve() -> Iterator[Callable[..., Function]]:
    """Start scoring servers of one test's own."""
    functions: list[Function] = []

    def start(root: Path, *, keep: tuple[int, ...] = (), **environment: str) -> Function:
        functions.append(Function(root, keep=keep, **environment))
        return functions[-1]

    yield start
    for function in functions:
        function.process.kill()
        function.process.wait()


@pytest.fixture
def counting(tmp_path: Path) -> Path:
    """A package whose model writes down every prediction."""
    root = tmp_path / "counting"
    write_package(root, importlib.import_module("counting").CountingModel(), uploads=("counting.py",))
    return root
