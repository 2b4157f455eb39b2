"""Plans: what a run would do, told without doing it, and named by a digest that moves only with it."""

from pathlib import Path
from typing import Any

import pytest

from deployments.engine.plan import Change, Plan, plan_deploy, plan_destroy
from deployments.models import Deployment, ManagedResource
from deployments.services.deployments import change_deployment
from tests import factories
from tests.factories import deployment, finished, started

pytestmark = pytest.mark.django_db(transaction=True)


def plan(of: Deployment, **parts: Any) -> Plan:
    spec = factories.spec(**parts) if parts else of.latest_revision().spec
    return plan_deploy(environment=of.environment, spec=spec, name=of.name, deployment=of)


def actions(found: Plan) -> dict[str, str]:
    return {change.key: change.action for change in found.changes}


def test_what_is_not_there_is_created(paper_world: Path) -> None:
    found = plan_deploy(
        environment=factories.environment(), spec=factories.spec(), name="new", deployment=None
    )  # fmt: skip
    assert actions(found) == dict.fromkeys(("cache", "image", "function"), "create")
    assert {change.key: change.needs for change in found.changes}["function"] == ("cache", "image")
    assert all(change.seconds is None for change in found.changes), "nothing was made before"
    assert not paper_world.exists(), "a plan touches nothing"


def test_what_is_as_it_should_be_stays(paper_world: Path) -> None:
    of = deployment()
    finished(started(of))
    before = {path.name: path.read_bytes() for path in paper_world.iterdir()}
    found = plan(of)
    assert actions(found) == dict.fromkeys(("cache", "image", "function"), "unchanged")
    assert found.count(Change.UNCHANGED) == 3
    assert {path.name: path.read_bytes() for path in paper_world.iterdir()} == before


def test_a_change_is_told_where_it_falls_and_what_follows_it() -> None:
    of = deployment()
    finished(started(of))
    assert actions(plan(of, cache={"ttl_seconds": 5})) == {
        "cache": "unchanged",
        "image": "unchanged",
        "function": "change",
    }
    larger = plan(of, cache={"max_memory_mb": 128})
    assert actions(larger) == {"cache": "change", "image": "unchanged", "function": "change"}
    assert {change.key: change.why for change in larger.changes}["function"] == "follows cache"


def test_an_execution_that_the_environment_fixes_changes_the_image_and_no_revision() -> None:
    of = deployment()
    finished(started(of))
    of.environment.config = {"execution": "original"}
    of.environment.save()
    found = plan(of)
    assert actions(found) == {"cache": "unchanged", "image": "change", "function": "change"}
    assert of.latest_revision().spec.execution == "auto"
    finished(started(of))
    assert actions(plan(of)) == dict.fromkeys(("cache", "image", "function"), "unchanged")


def test_what_no_revision_wants_is_deleted_with_what_is_lost() -> None:
    of = deployment()
    finished(started(of))
    found = plan(of, cache={"policy": "off"})
    assert actions(found) == {"image": "unchanged", "function": "change", "cache": "delete"}
    assert {change.key: change.needs for change in found.changes}["cache"] == ("image", "function")


def test_what_cannot_be_changed_is_replaced() -> None:
    fixed = {"tags": {"paper-fault": "cache=fixed"}}
    of = deployment(**fixed)
    finished(started(of))
    found = plan(of, cache={"max_memory_mb": 128}, **fixed)
    assert actions(found) == {"cache": "replace", "image": "unchanged", "function": "change"}
    assert len(found.irreversible) == 1, "what the cache holds is lost"


def test_a_destroy_takes_all_in_reverse_and_leaves_what_is_not_ours() -> None:
    of = deployment()
    finished(started(of))
    found = plan_destroy(of)
    assert found.destroy
    assert found.changes[0].key == "function"
    assert set(actions(found).values()) == {"delete"}
    ManagedResource.objects.filter(key="cache").update(owned=False)
    assert actions(plan_destroy(of)) == {"function": "delete", "image": "delete", "cache": "keep"}


def test_the_digest_stays_while_nothing_changes_and_moves_when_it_does(paper_world: Path) -> None:
    of = deployment()
    first = plan(of)
    finished(started(of))
    second = plan(of)
    assert first.digest != second.digest
    finished(started(of))
    assert plan(of).digest == second.digest, "how long it took before is no part of it"
    changed = plan(of, cache={"ttl_seconds": 5})
    assert changed.digest not in (first.digest, second.digest)
    next(paper_world.glob("*.cache.json")).unlink()
    assert actions(plan(of)) == {"cache": "create", "image": "unchanged", "function": "change"}
    assert plan(of).digest != second.digest


def test_how_long_it_takes_comes_from_what_was_made_before() -> None:
    finished(started(deployment("first")))
    found = plan(deployment("second"))
    assert all(change.seconds is not None and change.seconds < 60 for change in found.changes)


def test_a_plan_of_a_changed_revision_is_what_its_run_does() -> None:
    of = deployment()
    finished(started(of))
    spec = factories.spec(cache={"max_memory_mb": 128})
    change_deployment(actor=factories.administrator(), deployment=of, spec=spec)
    planned = actions(plan(of))
    done = {step.resource_key: step.outcome for step in finished(started(of)).steps.all()}
    assert done == {key: {"change": "changed"}.get(action, action) for key, action in planned.items()}
