"""The rows: definitions, attempts, what exists, and what was said of it."""

from .access import ApiToken, AuditEntry
from .artifacts import Artifact, Upload
from .deployments import Deployment, Revision
from .drafts import Draft
from .environments import Environment, Membership
from .idempotency import IdempotentAnswer
from .invocations import Invocation, Sample
from .resources import ManagedResource
from .runs import Event, Run, StepRecord
from .sightings import Sighting
from .workers import WorkerSeen

__all__ = [
    "ApiToken",
    "Artifact",
    "AuditEntry",
    "Deployment",
    "Draft",
    "Environment",
    "Event",
    "IdempotentAnswer",
    "Invocation",
    "ManagedResource",
    "Membership",
    "Revision",
    "Run",
    "Sample",
    "Sighting",
    "StepRecord",
    "Upload",
    "WorkerSeen",
]
