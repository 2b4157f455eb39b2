"""The rows that remember resources, written inside the caller's transaction."""

from datetime import datetime
from typing import Any

from django.utils import timezone

from ..domain.resources import Ready, Resource, Stage
from ..models import Deployment, ManagedResource, Revision, Run
from ..models.runs import append_events
from .moves import Line


def record_attempt(
    run: Run, resource: Resource, row: ManagedResource | None, fingerprint: str, *, at: datetime
) -> ManagedResource:
    """Remember a resource before its create is sent."""
    return _written(run, resource, row, fingerprint=fingerprint, attempted_at=at)


def record_ready(
    run: Run, resource: Resource, row: ManagedResource | None, seen: Ready, *, at: datetime
) -> ManagedResource:
    """Keep the outputs of a ready resource, and what of them belongs to the revision."""
    outputs = dict(seen.outputs)
    written = _written(run, resource, row, fingerprint=seen.fingerprint, outputs=outputs, ready_at=at)
    if resource.stage == Stage.PACKAGE and "digest" in outputs:
        Revision.objects.filter(pk=run.revision_id, package_digest="").update(
            package_digest=outputs["digest"], model_version=outputs.get("model_version", "")
        )
    return written


def forget(run: Run, row: ManagedResource) -> None:
    """Delete the row of a resource that is seen to be gone; without its function nothing is live."""
    row.delete()
    if not ManagedResource.objects.filter(deployment=run.deployment, stage=Stage.DEPLOY).exists():
        Deployment.objects.filter(pk=run.deployment_id).update(live_revision=None)


def append(run: Run, lines: list[Line]) -> None:
    append_events(run.pk, lines, now=timezone.now())


def _written(run: Run, resource: Resource, row: ManagedResource | None, **facts: Any) -> ManagedResource:
    facts |= {
        "kind": resource.kind,
        "title": resource.title,
        "stage": resource.stage,
        "needs": list(resource.needs),
        "owned": resource.owned,
    }
    if row is None:
        return ManagedResource.objects.create(deployment=run.deployment, key=resource.key, name=resource.name, **facts)
    for name, value in facts.items():
        setattr(row, name, value)
    row.save(update_fields=list(facts))
    return row
