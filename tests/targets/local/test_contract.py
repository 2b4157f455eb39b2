"""The local target keeps the contract of targets."""

from pathlib import Path
from typing import Any

import pytest

from deployments.domain.spec import Spec
from tests.targets.contract import TargetContract

from .conftest import Files, LocalHarness, local_harness


class FedHarness(LocalHarness):
    """With every resource that there is: a function that is fed from a queue."""

    def spec(self, **more: Any) -> Spec:
        return super().spec(**{"trigger": {"kind": "service_bus"}, **more})

    def breakable(self) -> tuple[str, ...]:
        return ("cache", "queue", "function", "trigger")


class TestLocalTarget(TargetContract):
    """With real servers, packages and processes."""

    @pytest.fixture(scope="class")
    @classmethod
    def harness(cls, files: Files, local_root: Path) -> LocalHarness:
        plain = local_harness(files, local_root)
        return FedHarness(plain.target, plain.files)
