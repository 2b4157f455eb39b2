"""Deployments and revisions: defined, changed and forgotten, by whom and on what grounds."""

import pytest

from deployments.domain.errors import Conflict, NotAllowed, NotFound, SpecInvalid, Stale
from deployments.domain.states import RunKind
from deployments.models import AuditEntry, Deployment, Revision
from deployments.policy import Actor
from deployments.services import access
from deployments.services.deployments import (
    change_deployment,
    create_deployment,
    forget_deployment,
    may_forget,
)
from tests import factories
from tests.factories import deployment, finished, spec, started

pytestmark = pytest.mark.django_db


@pytest.fixture
def root() -> Actor:
    return factories.administrator()


def test_it_is_made_with_its_first_revision_and_nothing_else(root: Actor) -> None:
    made = create_deployment(actor=root, name="iris", environment=factories.environment(), spec=spec(), note="first")
    revision = made.latest_revision()
    assert (revision.number, revision.note, revision.created_by) == (1, "first", root.user)
    assert revision.spec == spec()
    assert revision.scoring_version
    assert made.fresh().status == "new"
    assert not made.runs.exists()
    assert not made.resources.exists()


def test_an_equal_spec_makes_no_revision_and_another_one_does(root: Actor) -> None:
    of = deployment()
    assert change_deployment(actor=root, deployment=of, spec=spec(cache={"policy": "on"})) is None
    revision = change_deployment(actor=root, deployment=of, spec=spec(cache={"ttl_seconds": 5}), note="shorter")
    assert revision is not None
    assert (revision.number, revision.spec.cache.ttl_seconds) == (2, 5)
    assert of.revisions.get(number=1).spec == spec(), "what was, stays"


def test_a_change_of_what_is_no_longer_the_newest_is_refused(root: Actor) -> None:
    of = deployment()
    change_deployment(actor=root, deployment=of, spec=spec(cache={"ttl_seconds": 5}), expected_revision=1)
    with pytest.raises(Stale, match="revision 2, not 1"):
        change_deployment(actor=root, deployment=of, spec=spec(cache={"ttl_seconds": 6}), expected_revision=1)
    assert of.revisions.count() == 2


def test_a_description_needs_no_revision(root: Actor) -> None:
    of = deployment()
    assert change_deployment(actor=root, deployment=of, spec=spec(), description="of flowers") is None
    assert Deployment.objects.get().description == "of flowers"


def test_a_taken_name_is_told_and_leaves_nothing(root: Actor) -> None:
    deployment("iris")
    with pytest.raises(Conflict, match="The name iris is taken") as caught:
        deployment("iris")
    assert caught.value.field == "name"
    assert (Deployment.objects.count(), Revision.objects.count()) == (1, 1)


@pytest.mark.parametrize("name", ["", "Iris", "1st", "a--b", "a_b", "x" * 41, "a/b"])
def test_a_name_that_is_no_name(root: Actor, name: str) -> None:
    with pytest.raises(SpecInvalid) as caught:
        deployment(name)
    assert caught.value.field == "name"


@pytest.mark.parametrize(
    ("parts", "path"),
    [
        ({"model": {"artifact": "f" * 64}}, "model.artifact"),
        ({"code": {"artifact": "f" * 64}}, "code.artifact"),
        ({"runtime": {"wheels": ["f" * 64]}}, "runtime.wheels"),
    ],
)
def test_a_file_that_was_not_uploaded_is_named(root: Actor, parts: dict[str, object], path: str) -> None:
    with pytest.raises(SpecInvalid, match="upload it first") as caught:
        deployment(**parts)
    assert caught.value.field == path
    assert not Deployment.objects.exists()


def test_the_environments_rules_hold_for_a_change_too(root: Actor) -> None:
    strict = factories.environment("strict", max_cache_mb=64)
    of = create_deployment(actor=root, name="iris", environment=strict, spec=spec())
    with pytest.raises(SpecInvalid, match="at most 64 MB"):
        change_deployment(actor=root, deployment=of, spec=spec(cache={"max_memory_mb": 65}))


def test_only_what_has_nothing_left_is_forgotten(root: Actor) -> None:
    of = deployment()
    assert may_forget(of.fresh())
    finished(started(of))
    with pytest.raises(Conflict, match="still has resources"):
        forget_deployment(actor=root, deployment=of)
    assert not may_forget(of.fresh())
    run = started(of, RunKind.DESTROY)
    with pytest.raises(Conflict):
        forget_deployment(actor=root, deployment=of)
    finished(run)
    assert may_forget(of.fresh())
    forget_deployment(actor=root, deployment=of)
    assert not Deployment.objects.exists()
    assert AuditEntry.objects.filter(action="forget", subject="iris").exists(), "what was done is not forgotten"


@pytest.mark.parametrize("role", ["viewer", "tester"])
def test_who_may_not_deploy_changes_nothing_and_is_on_record(role: str) -> None:
    of = deployment()
    actor = factories.member("someone", of.environment, role)
    before = AuditEntry.objects.count()
    for attempt in (
        lambda: create_deployment(actor=actor, name="mine", environment=of.environment, spec=spec()),
        lambda: change_deployment(actor=actor, deployment=of, spec=spec(cache={"ttl_seconds": 5})),
        lambda: forget_deployment(actor=actor, deployment=of),
    ):
        with pytest.raises(NotAllowed, match=f"yours is {role}"):
            attempt()
    assert (Deployment.objects.count(), Revision.objects.count()) == (1, 1)
    refused = AuditEntry.objects.order_by("pk")[before:]
    assert [(entry.actor, entry.result, entry.subject) for entry in refused] == [
        ("someone", "refused", "mine"),
        ("someone", "refused", "iris"),
        ("someone", "refused", "iris"),
    ]
    assert all(entry.reason for entry in refused)


def test_who_has_no_role_finds_nothing() -> None:
    of = deployment()
    stranger = factories.member("stranger", factories.environment("other"), "admin")
    with pytest.raises(NotFound, match="no iris that you may see"):
        access.deployment(stranger, "iris")
    assert not access.deployments(stranger).exists()
    assert list(access.deployments(factories.member("v", of.environment, "viewer"))) == [of]
    with pytest.raises(NotFound):
        access.deployment(stranger, "nothing")
