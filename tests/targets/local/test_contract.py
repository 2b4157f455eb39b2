"""The local target keeps the contract of targets."""

from tests.targets.contract import TargetContract


class TestLocalTarget(TargetContract):
    """With real servers, packages and processes."""
