"""Rules hold when a run starts, not only when its revision was written; and uploads belong to who brought them."""

import pytest

from deployments.domain.errors import SpecInvalid
from deployments.domain.states import RunKind, RunState
from deployments.models import Environment, Run
from deployments.services.artifacts import upload_artifact, usable_artifacts
from deployments.services.plans import PlanChanged, plan, require_plan
from tests import factories
from tests.factories import deployment, finished, started

pytestmark = pytest.mark.django_db(transaction=True)


def test_a_revision_that_the_rules_of_today_refuse_is_not_started_but_can_be_destroyed() -> None:
    of = deployment(tags={})
    finished(started(of))
    Environment.objects.update(config={"required_tags": ["owner"]})
    of = of.fresh()
    for kind in (RunKind.DEPLOY, RunKind.RESTART):
        with pytest.raises(SpecInvalid, match="owner"):
            started(of, kind)
    assert finished(started(of, RunKind.DESTROY)).state == RunState.SUCCEEDED


def test_a_rule_that_comes_between_start_and_first_visit_ends_the_run() -> None:
    run = started(deployment())
    Environment.objects.update(config={"required_tags": ["owner"]})
    assert finished(run).state == RunState.FAILED
    assert "owner" in Run.objects.get(pk=run.pk).error["message"]


def test_an_approved_plan_holds_only_while_nothing_changed() -> None:
    actor, of = factories.administrator(), deployment()
    first = plan(actor=actor, environment=of.environment, spec=factories.spec(), name="other")
    assert first.digest == plan(actor=actor, environment=of.environment, spec=factories.spec(), name="third").digest
    shown = plan(actor=actor, environment=of.environment, spec=factories.spec(), name=of.name, deployment=of)
    require_plan(actor=actor, deployment=of, kind=RunKind.DEPLOY, revision=None, digest=shown.digest)
    finished(started(of))
    with pytest.raises(PlanChanged):
        require_plan(actor=actor, deployment=of, kind=RunKind.DEPLOY, revision=None, digest=shown.digest)


def test_files_are_usable_by_who_brought_them_and_where_they_are_deployed() -> None:
    of = deployment()
    file = factories.artifact()
    colleague = factories.member("bob", of.environment, "deployer")
    viewer = factories.member("eve", of.environment, "viewer")
    stranger = factories.member("ada", factories.environment("other"), "admin")
    assert file in usable_artifacts(colleague)
    assert file not in usable_artifacts(viewer)
    assert file not in usable_artifacts(stranger)
    upload_artifact(actor=stranger, name="mine.joblib", chunks=[file.path.read_bytes()])
    assert file in usable_artifacts(stranger)


def test_a_better_name_tells_what_a_file_is() -> None:
    actor = factories.administrator()
    upload_artifact(actor=actor, name="features.txt", chunks=[b"def f(): ..."])
    again, created = upload_artifact(actor=actor, name="features.py", chunks=[b"def f(): ..."])
    assert (created, again.name, again.format) == (False, "features.py", "python")
    kept, _ = upload_artifact(actor=actor, name="features.bin", chunks=[b"def f(): ..."])
    assert (kept.name, kept.format) == ("features.py", "python")
