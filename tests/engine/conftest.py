"""The paper world of one test, fast enough to wait for."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from deployments.engine import binding

DURATIONS = {
    "create_seconds": {"cache": 0.03, "image": 0.01, "function": 0.01},
    "destroy_seconds": 0.01,
    "settle": 0.02,
    "poll": 0.01,
    "timeout": 5.0,
}


@pytest.fixture(autouse=True)
def paper_world(settings: object, tmp_path: Path) -> Iterator[Path]:
    """Every test has a pretended world of its own."""
    settings.LOCAL_TARGET_ROOT = tmp_path  # type: ignore[attr-defined]
    settings.PAPER_TARGET = DURATIONS  # type: ignore[attr-defined]
    binding._loaded.cache_clear()
    yield tmp_path / "paper"
    binding._loaded.cache_clear()
