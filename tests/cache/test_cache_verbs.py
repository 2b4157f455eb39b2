"""The verbs of a deployment's cache, on a live function and its own Redis."""

import json
import time

import pytest

from deployments.domain.environments import Role
from deployments.domain.errors import Conflict, ConsoleError, NotAllowed, NotFound, Unavailable
from deployments.models import AuditEntry, Deployment
from deployments.services import caches, held
from deployments.services.inputs import find_entries
from deployments.services.invocations import invoke
from tests import factories, live


def test_what_was_scored_is_found_and_counted(digits: Deployment, function: live.Function) -> None:
    actor = factories.administrator()
    live.forget_counters(function)
    missed, miss = invoke(actor=actor, deployment=digits, body={"data": [function.rows[0]]})
    _, hit = invoke(actor=actor, deployment=digits, body={"data": [function.rows[0]]})
    assert (miss.cache, hit.cache, missed.cache) == ("miss", "hit", "miss")
    (row,) = caches.entries(actor=actor, deployment=digits).entries
    assert row.key == miss.key
    assert find_entries(actor=actor, deployment=digits, body={"data": [function.rows[0]]}).keys == (row.key,)
    assert row.input == [function.rows[0]]
    detail = caches.entry(actor=actor, deployment=digits, key=row.key)
    assert detail.output == miss.body == hit.body
    assert detail.full_model_version == live.MODEL_VERSION
    assert detail.ttl_seconds is not None
    assert 3590 < detail.ttl_seconds <= 3600
    until = time.monotonic() + 5
    while (told := caches.statistics(actor=actor, deployment=digits, minutes=60)).hits < 1:
        assert time.monotonic() < until, "the function flushes its counters every second"
        time.sleep(0.1)
    assert (told.hits, told.misses) == (1, 1)
    assert [version.version for version in told.versions] == [live.MODEL_VERSION[:16]]
    json.loads(told.model_dump_json())


def test_entries_are_deleted_by_name_and_by_match_inside_the_deployment_only(
    digits: Deployment, function: live.Function
) -> None:
    actor = factories.administrator()
    keys = [invoke(actor=actor, deployment=digits, body={"data": [row]})[1].key for row in function.rows[:5]]
    function.admin.set("digits2:other", 1)
    function.admin.sadd("digits:versions", live.MODEL_VERSION[:16])
    counted = caches.delete_entries(actor=actor, deployment=digits, match="*", dry_run=True)
    assert (counted.count, counted.dry_run, function.admin.exists(*keys)) == (5, True, 5)
    assert caches.delete_entries(actor=actor, deployment=digits, keys=[keys[0], keys[0]]).count == 1
    assert caches.delete_entries(actor=actor, deployment=digits, match=keys[1][-8:]).count == 1
    with pytest.raises(ConsoleError, match="not an entry"):
        caches.delete_entries(actor=actor, deployment=digits, keys=["digits2:other"])
    assert caches.delete_entries(actor=actor, deployment=digits, match="*").count == 3
    assert function.admin.exists("digits2:other") == 1
    assert function.admin.exists("digits:versions") == 1
    assert AuditEntry.objects.filter(action="delete_entries", result="done").count() == 3


@pytest.mark.parametrize("wish", [{}, {"match": " "}, {"keys": [], "match": "*"}, {"keys": ["x"] * 1001}])
def test_a_deletion_says_what(digits: Deployment, wish: dict[str, object]) -> None:
    with pytest.raises(ConsoleError):
        caches.delete_entries(actor=factories.administrator(), deployment=digits, **wish)  # type: ignore[arg-type]


def test_the_data_epoch_makes_every_answer_new_at_once(digits: Deployment, function: live.Function) -> None:
    actor, body = factories.administrator(), {"data": [function.rows[0]]}
    before = invoke(actor=actor, deployment=digits, body=body)[1]
    first = caches.raise_epoch(actor=actor, deployment=digits, reason="prices of November")
    assert first == Deployment.objects.get(pk=digits.pk).data_epoch
    time.sleep(0.2)
    after = invoke(actor=actor, deployment=digits, body=body)[1]
    assert (after.cache, after.body) == ("miss", before.body)
    assert f"-e{first}:" in after.key
    assert caches.raise_epoch(actor=actor, deployment=digits, reason="again") == first + 1
    assert AuditEntry.objects.get(subject=f"digits: data epoch {first}").reason == "prices of November"
    with pytest.raises(ConsoleError, match="reason"):
        caches.raise_epoch(actor=actor, deployment=digits, reason=" ")


def test_an_epoch_of_a_cache_that_is_away_is_not_half_raised(digits: Deployment) -> None:
    digits.resources.filter(key="cache").update(outputs={"host": "127.0.0.1", "port": 1})
    with pytest.raises(Unavailable, match="cannot be reached"):
        caches.raise_epoch(actor=factories.administrator(), deployment=digits, reason="new data")
    assert Deployment.objects.get(pk=digits.pk).data_epoch == 0


def test_without_a_cache_there_is_nothing_to_look_at_but_an_epoch(digits: Deployment) -> None:
    digits.resources.filter(key="cache").delete()
    actor = factories.administrator()
    with pytest.raises(Conflict, match="has no cache"):
        caches.entries(actor=actor, deployment=digits)
    assert caches.raise_epoch(actor=actor, deployment=digits, reason="new data") == 1


def test_a_password_that_was_changed_is_read_anew(digits: Deployment, function: live.Function) -> None:
    actor = factories.administrator()
    held._held[digits.uid, "cache"] = (time.monotonic() + 60, {"password": "an older one"})
    with pytest.raises(Unavailable, match="password"):
        caches.entries(actor=actor, deployment=digits)
    assert caches.entries(actor=actor, deployment=digits).entries == ()


def test_each_role_sees_and_does_what_it_may(digits: Deployment, function: live.Function) -> None:
    key = invoke(actor=factories.administrator(), deployment=digits, body={"data": [function.rows[0]]})[1].key
    viewer = factories.member("vera", digits.environment, Role.VIEWER)
    tester = factories.member("tom", digits.environment, Role.TESTER)
    assert caches.entries(actor=viewer, deployment=digits).entries[0].input is None
    assert caches.entries(actor=viewer, deployment=digits).entries[0].has_input
    assert caches.entry(actor=viewer, deployment=digits, key=key).text == ""
    assert caches.entry(actor=tester, deployment=digits, key=key).input == [function.rows[0]]
    caches.statistics(actor=viewer, deployment=digits)
    for verb in (
        lambda: caches.delete_entries(actor=tester, deployment=digits, keys=[key], dry_run=True),
        lambda: caches.raise_epoch(actor=tester, deployment=digits, reason="why not"),
        lambda: invoke(actor=viewer, deployment=digits, body={}),
        lambda: find_entries(actor=viewer, deployment=digits, body={}),
    ):
        with pytest.raises(NotAllowed):
            verb()
    stranger = factories.member("eve", factories.environment("elsewhere"), Role.ADMIN)
    with pytest.raises(NotFound):
        caches.entries(actor=stranger, deployment=digits)
    assert AuditEntry.objects.filter(result="refused").count() == 5
