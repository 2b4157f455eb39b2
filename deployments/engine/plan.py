"""What a run would do, found by looking and not touching: shown, approved by its digest, and the drift check."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from enum import StrEnum

from django.db.models import Avg, DurationField, ExpressionWrapper, F
from django.utils import timezone

from ..domain.environments import in_environment
from ..domain.resources import (
    Absent,
    Broken,
    Context,
    DeploymentRef,
    Observation,
    Outputs,
    Ready,
    Resource,
    Stale,
    Target,
)
from ..domain.spec import Spec, digest_of
from ..domain.states import StepAction, StepState
from ..models import Deployment, Environment, ManagedResource, StepRecord
from .binding import target_of


class Change(StrEnum):
    CREATE = "create"
    CHANGE = "change"
    REPLACE = "replace"
    DELETE = "delete"
    UNCHANGED = "unchanged"
    KEEP = "keep"  # adopted: left alone by a destroy


@dataclass(frozen=True, slots=True)
class PlannedChange:
    """What would happen to one resource. `seconds` is the average of this console's own past, None if unknown."""

    key: str
    title: str
    name: str
    stage: str
    needs: tuple[str, ...]
    action: Change
    why: str
    irreversible: str
    properties: Mapping[str, str]
    seconds: float | None
    down: bool = False  # it should work and does not: gone or broken


@dataclass(frozen=True, slots=True)
class Plan:
    """All changes of one run; `digest` names exactly this plan."""

    digest: str
    changes: tuple[PlannedChange, ...]
    destroy: bool = False

    def count(self, action: Change) -> int:
        return sum(change.action == action for change in self.changes)

    @property
    def irreversible(self) -> tuple[str, ...]:
        """What is lost for good, in words."""
        lost = (Change.DELETE, Change.REPLACE)
        return tuple(item.irreversible for item in self.changes if item.irreversible and item.action in lost)

    def as_dict(self) -> dict[str, object]:
        return asdict(self)


def plan_deploy(*, environment: Environment, spec: Spec, name: str, deployment: Deployment | None) -> Plan:
    """Look at every wanted resource and at the rows that would be retired. Raises what observing raises."""
    target = target_of(environment)
    ref = deployment.ref() if deployment else DeploymentRef(name=name, uid="new", console_id="")
    rows = {(row.key, row.name): row for row in deployment.resources.all()} if deployment else {}
    outputs: dict[str, Outputs] = {}
    changes: list[PlannedChange] = []
    moving: set[str] = set()
    wanted = target.resources(in_environment(spec, environment.rules), ref)
    for resource in wanted:
        row = rows.get((resource.key, resource.name))
        ctx = _context(ref, outputs, row)
        seen = resource.observe(ctx) if deployment else Absent()
        action, why = _judge(resource, seen, ctx, moving)
        down = deployment is not None and isinstance(seen, Absent | Broken)
        if action == Change.UNCHANGED and isinstance(seen, Ready):
            outputs[resource.key] = seen.outputs
        else:
            moving.add(resource.key)
        changes.append(_change(resource, action, why, needs=resource.needs, down=down))
    kept = {(resource.key, resource.name) for resource in wanted}
    for row in [row for identity, row in rows.items() if identity not in kept]:
        changes.append(_removal(target, row, ref, needs=tuple(item.key for item in wanted)))
    return _sealed(changes, destroy=False)


def plan_destroy(deployment: Deployment) -> Plan:
    """What a destroy takes away, last made first."""
    target, ref = target_of(deployment.environment), deployment.ref()
    rows = list(deployment.resources.all())
    changes = [
        _removal(target, row, ref, needs=tuple(other.key for other in rows if row.key in other.needs))
        for row in reversed(rows)
    ]
    return _sealed(changes, destroy=True)


def _judge(resource: Resource, seen: Observation, ctx: Context, moving: set[str]) -> tuple[Change, str]:
    if isinstance(seen, Absent):
        return Change.CREATE, ""
    if isinstance(seen, Stale):
        return (Change.REPLACE if seen.replace else Change.CHANGE), seen.reason
    shaken = [need for need in resource.needs if need in moving]
    if shaken:
        return Change.CHANGE, f"follows {', '.join(shaken)}"
    if isinstance(seen, Ready) and seen.fingerprint == resource.fingerprint(ctx):
        return Change.UNCHANGED, ""
    return Change.CHANGE, "" if isinstance(seen, Ready) else "does not work now"


def _removal(target: Target, row: ManagedResource, ref: DeploymentRef, *, needs: tuple[str, ...]) -> PlannedChange:
    resource = target.recorded(row.recorded(), ref)
    action = Change.DELETE if row.owned else Change.KEEP
    why = "no revision wants it any more" if row.owned else "it was there before us"
    return _change(resource, action, why, needs=needs)


def _change(
    resource: Resource, action: Change, why: str, *, needs: tuple[str, ...], down: bool = False
) -> PlannedChange:
    return PlannedChange(
        key=resource.key,
        title=resource.title,
        name=resource.name,
        stage=resource.stage,
        needs=needs,
        action=action,
        why=why,
        irreversible=resource.irreversible,
        properties=resource.describe(),
        seconds=_usual_seconds(resource.kind, action),
        down=down,
    )


def _usual_seconds(kind: str, action: Change) -> float | None:
    """The average over the last twenty steps of this kind that acted."""
    if action in (Change.UNCHANGED, Change.KEEP):
        return None
    wanted = StepAction.REMOVE if action == Change.DELETE else StepAction.APPLY
    past = StepRecord.objects.filter(kind=kind, action=wanted, state=StepState.SUCCEEDED, attempts__gt=0)
    newest = past.order_by("-pk").values_list("pk", flat=True)[:20]
    took = ExpressionWrapper(F("finished_at") - F("started_at"), output_field=DurationField())
    average = StepRecord.objects.filter(pk__in=list(newest)).aggregate(average=Avg(took))["average"]
    return round(average.total_seconds(), 1) if average is not None else None


def _context(ref: DeploymentRef, outputs: Mapping[str, Outputs], row: ManagedResource | None) -> Context:
    return Context(deployment=ref, now=timezone.now(), outputs=dict(outputs), generation=row.generation if row else 0)


def _sealed(changes: list[PlannedChange], *, destroy: bool) -> Plan:
    # Durations drift with every run, and a name is only settled when the deployment is made: neither is approved.
    told = [{**asdict(change), "seconds": None, "name": ""} for change in changes]
    return Plan(digest=digest_of(told), changes=tuple(changes), destroy=destroy)
