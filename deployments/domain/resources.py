"""The protocol between engine and target: the smallest things managed, and what is seen of them."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from pathlib import Path
from typing import Protocol

from .errors import ErrorDetail
from .spec import Spec

Outputs = Mapping[str, str | int]
"""Non-secret facts of a ready resource: host, port, url, digest."""


class Stage(StrEnum):
    CREATE_CACHE = "create-cache"
    PACKAGE = "package"
    DEPLOY = "deploy"


@dataclass(frozen=True, slots=True)
class Absent:
    """Not there, as far as can be seen."""


@dataclass(frozen=True, slots=True)
class Pending:
    """Being made, changed or taken away; look again in `again_after` seconds (by default its `poll`)."""

    detail: str = ""
    again_after: float | None = None


@dataclass(frozen=True, slots=True)
class Waiting:
    """A person has to do something outside; has no timeout."""

    for_whom: str
    action: str


@dataclass(frozen=True, slots=True)
class Ready:
    """There and working. `fingerprint` is read from the resource itself (a tag, a file beside it).

    So a write that was recorded but never sent is seen for what it is.
    """

    outputs: Outputs
    fingerprint: str


@dataclass(frozen=True, slots=True)
class Stale:
    """There, but its readable properties are not what is wanted; `replace` where the service cannot update."""

    reason: str
    replace: bool = False


@dataclass(frozen=True, slots=True)
class Broken:
    """There, and not working by itself any more."""

    error: ErrorDetail


Observation = Absent | Pending | Waiting | Ready | Stale | Broken


@dataclass(frozen=True, slots=True)
class ArtifactFile:
    """An uploaded file on disk. It is data: nothing in the console opens it."""

    id: str  # sha256 in hex
    name: str
    path: Path
    size: int


@dataclass(frozen=True, slots=True)
class DeploymentRef:
    """What a target needs to know of a deployment to name things."""

    name: str
    uid: str
    console_id: str
    data_epoch: int = 0


@dataclass(frozen=True, slots=True)
class LogChunk:
    """Complete lines of a resource's own log and where to read on."""

    lines: tuple[str, ...] = ()
    cursor: str = ""


@dataclass(frozen=True)
class Context:
    """All that a resource is given for one look or one act. Frozen: state belongs to the resource or the row."""

    deployment: DeploymentRef
    now: datetime
    outputs: Mapping[str, Outputs] = field(default_factory=dict)  # of the ready resources, by key
    generation: int = 0  # raised by a restart run; in the fingerprint of what a restart starts again
    secret: Callable[[str], str] = lambda ref: ""  # resolves a SecretRef; raises SecretUnavailable
    artifact: Callable[[str], ArtifactFile] | None = None  # raises NotFound
    emit: Callable[[str], None] = lambda message: None  # one line for the run's log


class Resource(Protocol):
    """One managed thing. Acts begin and return at once; the next visit observes.

    `observe`, `create` and `destroy` are idempotent and may run again after a crash at any point between them.
    Every method may raise ResourceFailed (ends the step) or TryAgainLater (moves the next visit).
    """

    @property
    def key(self) -> str:
        """Unique within the deployment's graph: cache, image, function."""

    @property
    def kind(self) -> str:
        """What it is, for `Target.recorded`: local.cache, azure.redis."""

    @property
    def name(self) -> str:
        """What the provider calls it; with the key the identity of its row."""

    @property
    def title(self) -> str:
        """For people: Cache, Image, Function."""

    @property
    def stage(self) -> Stage: ...

    @property
    def needs(self) -> tuple[str, ...]:
        """Keys that must be ready before."""

    @property
    def owned(self) -> bool:
        """False: adopted, never destroyed."""

    @property
    def timeout(self) -> float:
        """Seconds that pending may last after an act."""

    @property
    def settle(self) -> float:
        """Seconds after an act during which absent or stale may just be a late view."""

    @property
    def poll(self) -> float:
        """Seconds between looks while pending."""

    @property
    def restartable(self) -> bool:
        """A restart run raises its generation, and with it its fingerprint."""

    @property
    def irreversible(self) -> str:
        """What destroying it loses for good; empty if nothing."""

    def fingerprint(self, ctx: Context) -> str:
        """Digest of what `create` would send; may use the outputs of its needs."""

    def describe(self) -> Mapping[str, str]:
        """Non-secret wanted properties, for the plan: size, port, version."""

    def observe(self, ctx: Context) -> Observation: ...

    def create(self, ctx: Context) -> None:
        """Begin to create it, or to update it where it exists; returns without waiting."""

    def destroy(self, ctx: Context) -> None:
        """Begin to take it away; returns without waiting. Nothing there is no error."""

    def cancel(self, ctx: Context) -> None:
        """Stop what `create` began where that can be done; nothing to stop is no error."""

    def read_log(self, ctx: Context, cursor: str) -> LogChunk:
        """Complete lines of its own log after the cursor ("" is the beginning)."""

    def secrets(self, ctx: Context) -> Mapping[str, str]:
        """Its secret values by name, for `output:key/name` and for the redactor; {} where it has none yet."""


@dataclass(frozen=True, slots=True)
class Recorded:
    """A ManagedResource row as a target gets it back."""

    key: str
    kind: str
    name: str
    owned: bool


class Target(Protocol):
    """A kind of place where functions run."""

    name: str

    def check(self, spec: Spec) -> None:
        """Refuse what this target cannot do. Raises SpecInvalid with the fields."""

    def resources(self, spec: Spec, deployment: DeploymentRef) -> tuple[Resource, ...]:
        """The graph that the Spec wants, in a readable order."""

    def recorded(self, row: Recorded, deployment: DeploymentRef) -> Resource:
        """A resource as remembered by its row: good to observe and destroy, whatever the Spec says now."""

    def function_key(self) -> str:
        """Key of the resource whose outputs hold the function's `url`."""
