"""What one visit knows: the rows and resources of its run, what each is given, and the secrets among them."""

from collections.abc import Callable, Mapping
from datetime import datetime
from functools import cached_property

from ..domain.environments import in_environment
from ..domain.errors import ConsoleError, NotFound
from ..domain.redactor import Redactor
from ..domain.resources import ArtifactFile, Context, Outputs, Resource, Target
from ..domain.states import StepAction
from ..models import Artifact, ManagedResource, Run, StepRecord
from . import secrets


class Known:
    """Read once, when the visit begins, and kept up by it: nobody else writes while it holds the lease."""

    def __init__(self, run: Run, target: Target, *, now: datetime) -> None:
        self._target = target
        self._now = now
        self._number = run.revision.number
        self._spec = in_environment(run.revision.spec, run.deployment.environment.rules)
        self._ref = run.deployment.ref()
        self._rows = {(row.key, row.name): row for row in run.deployment.resources.order_by("pk")}

    def row(self, step: StepRecord) -> ManagedResource | None:
        return self._rows.get((step.resource_key, step.name))

    def keep(self, row: ManagedResource) -> ManagedResource:
        self._rows[row.key, row.name] = row
        return row

    def drop(self, row: ManagedResource) -> None:
        self._rows.pop((row.key, row.name), None)

    def resource(self, step: StepRecord, row: ManagedResource | None) -> Resource | None:
        """The resource of a step; None when what it would remove has no row any more."""
        if step.action == StepAction.REMOVE:
            return self._target.recorded(row.recorded(), self._ref) if row else None
        found = self._wanted.get((step.resource_key, step.name))
        if found is None:
            raise LookupError(f"{step.resource_key} {step.name} is not in the graph of revision {self._number}")
        return found

    def context(self, row: ManagedResource | None, *, emit: Callable[[str], None]) -> Context:
        outputs: Mapping[str, Outputs] = {found.key: found.outputs for found in self._rows.values() if found.ready_at}
        return Context(
            deployment=self._ref,
            now=self._now,
            outputs=outputs,
            generation=row.generation if row else 0,
            secret=self._secret,
            artifact=artifact_file,
            emit=emit,
        )

    def redactor(self) -> Redactor:
        """Knows every secret that this run can meet by now; an act may have made one since the last."""
        values: list[str] = []
        for row in self._rows.values():
            values += self._secrets_of(row).values()
        for ref in self._spec.secret_refs():
            try:
                values.append(self._secret(ref))
            except ConsoleError:
                continue  # a value that cannot be read cannot be printed by a child either
        return Redactor(values)

    @cached_property
    def _wanted(self) -> Mapping[tuple[str, str], Resource]:
        return {(item.key, item.name): item for item in self._target.resources(self._spec, self._ref)}

    def _secret(self, ref: str) -> str:
        return secrets.resolve(ref, of_resource=self._secrets_of_key)

    def _secrets_of_key(self, key: str) -> Mapping[str, str]:
        row = next((row for row in self._rows.values() if row.key == key), None)
        return self._secrets_of(row) if row else {}

    def _secrets_of(self, row: ManagedResource) -> Mapping[str, str]:
        return secrets.secrets_of_row(row, target=self._target, ref=self._ref)


def artifact_file(digest: str) -> ArtifactFile:
    """The uploaded file of a digest. Raises NotFound."""
    found = Artifact.objects.filter(pk=digest).first()
    if found is None or not found.path.exists():
        raise NotFound(
            f"The uploaded file {digest[:12]} is gone",
            cause="It was deleted from the artifact store.",
            action="Upload the same file again; its id stays the same.",
        )
    return found.as_file()
