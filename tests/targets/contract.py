"""The suite that every target passes: a subclass gives the `harness` fixture."""

import time
from typing import Protocol

import pytest

from deployments.domain.resources import Absent, Broken, Ready, Recorded, Resource
from deployments.domain.spec import Spec

from .driving import Driven, text_of


class Harness(Protocol):
    """What the suite needs to know of a target."""

    def driven(self) -> Driven:
        """A new deployment on the target."""

    def spec(self) -> Spec:
        """A Spec that deploys quickly, with a cache."""

    def changed_spec(self) -> Spec:
        """One that differs so that the function has to change."""

    def break_it(self, driven: Driven, resource: Resource) -> None:
        """Make a ready resource stop working, from outside."""

    def breakable(self) -> tuple[str, ...]:
        """Keys of the resources that can break."""

    def leftovers(self, driven: Driven) -> list[str]:
        """Everything of the deployment that still exists, for people."""


def assert_nothing_left(harness: Harness, driven: Driven) -> None:
    """Whoever removes things may itself need a moment to end after the last of them is gone."""
    deadline = time.monotonic() + 5
    while (left := harness.leftovers(driven)) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert left == []


class TargetContract:
    """Facts that the engine relies on."""

    @pytest.fixture(scope="class")
    @classmethod
    def live(cls, harness: Harness) -> Driven:
        """A deployment that tests look at and do not change."""
        driven = harness.driven()
        driven.deploy(harness.spec())
        return driven

    def test_nothing_is_there_before_a_create(self, harness: Harness) -> None:
        driven = harness.driven()
        for resource in driven.resources(harness.spec()):
            assert isinstance(resource.observe(driven.context()), Absent)
            resource.destroy(driven.context())  # nothing there is no error
            resource.cancel(driven.context())
            assert resource.read_log(driven.context(), "").lines == ()
            assert isinstance(resource.observe(driven.context()), Absent)
        assert_nothing_left(harness, driven)

    def test_from_nothing_to_ready_and_to_nothing_again(self, harness: Harness) -> None:
        driven = harness.driven()
        outputs = driven.deploy(harness.spec())
        assert str(outputs[driven.target.function_key()]["url"]).startswith("http")
        assert harness.leftovers(driven) != []
        for resource in driven.resources(harness.spec()):
            seen = resource.observe(driven.context())
            assert isinstance(seen, Ready)
            assert seen.outputs == driven.outputs[resource.key]
        driven.destroy()
        assert_nothing_left(harness, driven)

    def test_the_graph_is_closed_and_in_order(self, harness: Harness) -> None:
        driven = harness.driven()
        seen: set[str] = set()
        for resource in driven.resources(harness.spec()):
            assert set(resource.needs) <= seen
            assert resource.key not in seen
            assert resource.title
            assert resource.timeout > 0
            assert resource.poll > 0
            seen.add(resource.key)
        assert driven.target.function_key() in seen

    def test_creating_twice_makes_one(self, harness: Harness) -> None:
        driven = harness.driven()
        for resource in driven.resources(harness.spec()):
            resource.create(driven.context())
            resource.create(driven.context())
            driven.bring(resource)
        first = dict(driven.outputs)
        for resource in driven.resources(harness.spec()):
            driven.bring(resource)
        assert driven.outputs == first
        driven.destroy()
        assert_nothing_left(harness, driven)

    def test_destroying_right_after_a_create_leaves_nothing(self, harness: Harness) -> None:
        driven = harness.driven()
        first = driven.resources(harness.spec())[0]
        first.create(driven.context())
        driven.rows[first.key] = Recorded(first.key, first.kind, first.name, first.owned)
        driven.destroy()
        first.destroy(driven.context())
        time.sleep(first.settle)
        assert isinstance(first.observe(driven.context()), Absent)
        assert_nothing_left(harness, driven)

    def test_a_change_of_the_spec_is_seen_and_made(self, harness: Harness) -> None:
        driven = harness.driven()
        driven.deploy(harness.spec())
        before = dict(driven.outputs)
        key = driven.target.function_key()
        wanted, changed = (
            [resource.fingerprint(driven.context()) for resource in driven.resources(spec)]
            for spec in (harness.spec(), harness.changed_spec())
        )
        assert wanted != changed
        for resource, fingerprint in zip(driven.resources(harness.spec()), wanted, strict=True):
            seen = resource.observe(driven.context())
            assert isinstance(seen, Ready)
            assert seen.fingerprint == fingerprint
        driven.deploy(harness.changed_spec())
        assert driven.outputs[key]["url"] == before[key]["url"]
        driven.destroy()
        assert_nothing_left(harness, driven)

    def test_the_fingerprint_is_a_pure_function(self, harness: Harness) -> None:
        driven = harness.driven()
        once = [resource.fingerprint(driven.context()) for resource in driven.resources(harness.spec())]
        twice = [resource.fingerprint(driven.context()) for resource in driven.resources(harness.spec())]
        assert once == twice
        assert all(once)

    def test_secrets_stay_out_of_what_is_shown(self, harness: Harness, live: Driven) -> None:
        values: set[str] = set()
        shown = ""
        for resource in live.resources(harness.spec()):
            values |= set(resource.secrets(live.context()).values())
            shown += f"{live.outputs[resource.key]} {resource.describe()} {text_of(live, resource)}"
        for value in values:
            assert value
            assert value not in shown

    def test_what_broke_is_seen_and_made_good(self, harness: Harness) -> None:
        driven = harness.driven()
        driven.deploy(harness.spec())
        before = dict(driven.outputs)
        for key in harness.breakable():
            resource = driven.resource(harness.spec(), key)
            harness.break_it(driven, resource)
            seen = driven.until(resource, Broken)
            assert isinstance(seen, Broken)
            assert seen.error.message
            assert seen.error.cause
            assert seen.error.action
            driven.bring(resource)
        assert driven.outputs == before
        driven.destroy()
        assert_nothing_left(harness, driven)

    def test_the_log_is_read_once_by_its_cursor(self, harness: Harness, live: Driven) -> None:
        for resource in live.resources(harness.spec()):
            first = resource.read_log(live.context(), "")
            assert first.lines
            again = resource.read_log(live.context(), "")
            assert again.lines[: len(first.lines)] == first.lines
            later = resource.read_log(live.context(), first.cursor)
            assert len(again.lines) >= len(first.lines) + len(later.lines)

    def test_an_unknown_kind_is_refused(self, harness: Harness) -> None:
        driven = harness.driven()
        with pytest.raises(Exception, match=r"kind|know"):
            driven.target.recorded(Recorded("x", "nowhere.x", "x", True), driven.deployment)
