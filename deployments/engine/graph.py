"""The steps of a run: what its target wants, and what has to go."""

from dataclasses import dataclass

from ..domain.environments import in_environment
from ..domain.resources import Resource, Target
from ..domain.states import RunKind, StepAction
from ..models import ManagedResource, Run, StepRecord


@dataclass(frozen=True, slots=True)
class Turn:
    """One step to be: a resource, and whether it is applied or removed, after which other steps."""

    key: str
    resource: Resource
    action: StepAction
    needs: tuple[str, ...]


def turns(*, kind: str, target: Target, run: Run) -> tuple[Turn, ...]:
    """The graph of a run, needs first.

    A deploy applies what the revision wants and then removes the rows that it does not want any more;
    a destroy removes all rows, those that need others first.
    """
    deployment = run.deployment
    rows = list(deployment.resources.all())
    ref = deployment.ref()
    if kind == RunKind.DESTROY:
        return _removals(rows, target=target, run=run, after=())
    wanted = target.resources(in_environment(run.revision.spec, deployment.environment.rules), ref)
    applied = tuple(Turn(item.key, item, StepAction.APPLY, item.needs) for item in wanted)
    kept = {(item.key, item.name) for item in wanted}
    retired = [row for row in rows if (row.key, row.name) not in kept]
    return applied + _removals(retired, target=target, run=run, after=tuple(item.key for item in wanted))


def _removals(rows: list[ManagedResource], *, target: Target, run: Run, after: tuple[str, ...]) -> tuple[Turn, ...]:
    ref = run.deployment.ref()
    names = {row.key: f"remove-{row.key}" for row in rows}
    found = [
        Turn(
            names[row.key],
            target.recorded(row.recorded(), ref),
            StepAction.REMOVE,
            after + tuple(names[other.key] for other in rows if row.key in other.needs),
        )
        for row in reversed(rows)
    ]
    return tuple(found)


def write_steps(run: Run, graph: tuple[Turn, ...]) -> None:
    """Create the run's step rows in the order of the graph."""
    StepRecord.objects.bulk_create(
        StepRecord(
            run=run,
            key=turn.key,
            resource_key=turn.resource.key,
            kind=turn.resource.kind,
            name=turn.resource.name,
            title=turn.resource.title,
            stage=turn.resource.stage,
            action=turn.action,
            needs=list(turn.needs),
            position=position,
        )
        for position, turn in enumerate(graph)
    )
