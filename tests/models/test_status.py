"""A deployment's status: what the row says and what the database filters by are the same."""

from itertools import product

import pytest

from deployments.domain.states import DeploymentStatus, RunKind, RunState, StepState
from deployments.models import Deployment, Run
from deployments.models.deployments import derive_status
from tests import factories
from tests.engine.conftest import paper_world

__all__ = ["paper_world"]


@pytest.mark.django_db
def test_the_filter_agrees_with_the_derivation_in_every_case() -> None:
    deployment = factories.deployment()
    revision = deployment.latest_revision()
    seen = {DeploymentStatus.NEW}
    assert found(DeploymentStatus.NEW) == {deployment.pk}
    run = factories.started(deployment)
    step = run.steps.create(key="x", resource_key="x", kind="x", name="x", title="x", stage="deploy")
    for kind, state, waiting, live in product(RunKind, RunState, (False, True), (False, True)):
        Run.objects.update(kind=kind, state=state)
        step.state = StepState.WAITING if waiting else StepState.RUNNING
        step.save()
        Deployment.objects.update(live_revision=revision if live else None)
        status = derive_status(kind=kind, state=state, waiting=waiting, live=live)
        assert Deployment.objects.get().status == status
        assert {other for other in DeploymentStatus if found(other)} == {status}, (kind, state, waiting, live)
        seen.add(status)
    assert seen == set(DeploymentStatus)


def found(status: DeploymentStatus) -> set[int]:
    return set(Deployment.objects.with_facts().with_status(status).values_list("pk", flat=True))
