"""Drives a target's resources to where they should be, as the engine does: observe, act, come again."""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime

from deployments.domain.errors import ErrorDetail, TryAgainLater
from deployments.domain.resources import (
    Absent,
    ArtifactFile,
    Broken,
    Context,
    DeploymentRef,
    Observation,
    Outputs,
    Pending,
    Ready,
    Recorded,
    Resource,
    Stale,
    Target,
)
from deployments.domain.spec import Spec

PATIENCE = 120.0  # seconds for one resource, on a machine that does other things as well


class Failed(Exception):
    """A resource was broken after it had been acted on."""

    def __init__(self, key: str, error: ErrorDetail) -> None:
        super().__init__(f"{key}: {error.message} {error.raw}")
        self.error = error


@dataclass
class Driven:
    """One deployment on one target, and what is known of it."""

    target: Target
    deployment: DeploymentRef
    artifact: Callable[[str], ArtifactFile]
    secret: Callable[[str], str] = lambda ref: ""
    outputs: dict[str, Outputs] = field(default_factory=dict)
    rows: dict[str, Recorded] = field(default_factory=dict)

    def context(self) -> Context:
        return Context(
            deployment=self.deployment,
            now=datetime.now(UTC),
            outputs=dict(self.outputs),
            artifact=self.artifact,
            secret=self.secret,
        )

    def resources(self, spec: Spec) -> tuple[Resource, ...]:
        return self.target.resources(spec, self.deployment)

    def resource(self, spec: Spec, key: str) -> Resource:
        return next(found for found in self.resources(spec) if found.key == key)

    def deploy(self, spec: Spec) -> Mapping[str, Outputs]:
        """Bring every resource of the Spec to ready; raises Failed."""
        self.target.check(spec)
        for resource in self.resources(spec):
            self.bring(resource)
        return self.outputs

    def bring(self, resource: Resource) -> Outputs:
        """Bring one resource to ready; its needs are ready."""
        self.rows[resource.key] = Recorded(resource.key, resource.kind, resource.name, resource.owned)
        acted: float | None = None
        deadline = time.monotonic() + PATIENCE
        while time.monotonic() < deadline:
            seen = resource.observe(self.context())
            if isinstance(seen, Ready) and seen.fingerprint == resource.fingerprint(self.context()):
                self.outputs[resource.key] = seen.outputs
                return seen.outputs
            if isinstance(seen, Broken) and acted is not None:
                raise Failed(resource.key, seen.error)
            settling = acted is not None and time.monotonic() - acted < resource.settle
            if isinstance(seen, Absent | Stale | Ready | Broken) and not settling:
                try:
                    resource.create(self.context())
                    acted = time.monotonic()
                except TryAgainLater as later:
                    time.sleep(later.seconds)
            time.sleep(0.05)
        raise AssertionError(f"{resource.key} was not ready after {PATIENCE} s; last seen: {seen}")

    def remove(self, key: str) -> None:
        """Take one recorded resource away, as a destroy run does."""
        resource = self.target.recorded(self.rows[key], self.deployment)
        deadline = time.monotonic() + PATIENCE
        while not isinstance(seen := resource.observe(self.context()), Absent):
            if not isinstance(seen, Pending):
                resource.destroy(self.context())
            assert time.monotonic() < deadline, f"{key} is still there: {seen}"
            time.sleep(0.05)

    def destroy(self) -> None:
        """Take all recorded resources away, the last made first."""
        for key in reversed(list(self.rows)):
            self.remove(key)
        self.outputs.clear()

    def until(self, resource: Resource, kind: type[Observation]) -> Observation:  # type: ignore[valid-type]
        """Look until the resource is seen as `kind`."""
        deadline = time.monotonic() + PATIENCE
        while not isinstance(seen := resource.observe(self.context()), kind):  # type: ignore[arg-type]
            assert time.monotonic() < deadline, f"{resource.key} is {seen}, not {kind}"
            time.sleep(0.05)
        return seen


def text_of(driven: Driven, resource: Resource) -> str:
    """All of a resource's log."""
    cursor, lines = "", []
    while True:
        chunk = resource.read_log(driven.context(), cursor)
        lines += chunk.lines
        if not chunk.lines:
            return "\n".join(lines)
        cursor = chunk.cursor
