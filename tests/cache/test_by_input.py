"""What is kept of one input: found by that input under every version, and erased, on a live function and its Redis."""

import json
from pathlib import Path
from typing import Any

import httpx
import pytest
import redis
from django.test import Client

from deployments.cache.by_input import candidates, known_versions, present, walked
from deployments.cache.keys import KeySpace
from deployments.domain.errors import Conflict, ConsoleError, NotAllowed, Unavailable
from deployments.models import AuditEntry, Deployment, Invocation, Sample
from deployments.policy import Actor
from deployments.services import inputs
from deployments.services.inputs import Sent, erase_entries, find_entries
from deployments.services.invocations import description, invoke, save_sample
from deployments.services.retention import keep_invocations
from tests import factories, live

from .conftest import OLD, VERSION, entry_key, entry_value, fill

LIVE = live.MODEL_VERSION[:16]


@pytest.fixture
def root(db: None) -> Actor:
    return factories.administrator()


def body_of(function: live.Function, *rows: int) -> dict[str, Any]:
    return {"data": [function.rows[row] for row in rows]}


def test_only_what_can_be_an_entry_is_looked_up(client: redis.Redis, space: KeySpace) -> None:
    client.sadd("digits:versions", VERSION, f"{OLD}-e3", "stats", "../other", b"\xff")
    client.set(entry_key(1), entry_value())
    client.set(entry_key(1, version=f"{OLD}-e3", kind="r"), entry_value())
    client.set(entry_key(2), entry_value())
    client.set(entry_key(1, prefix="digits2"), entry_value())
    keys = candidates(space, versions=known_versions(client, space), digests=[f"{1:032x}"])
    assert len(keys) == 4
    assert present(client, keys) == (entry_key(1, version=f"{OLD}-e3", kind="r"), entry_key(1))
    many = [entry_key(number) for number in range(1_200)]
    assert present(client, many) == (entry_key(1), entry_key(2))


def test_everything_of_one_input_is_found_and_nothing_is_scored(
    digits: Deployment, function: live.Function, root: Actor
) -> None:
    body, other = body_of(function, 0), body_of(function, 1)
    key = invoke(actor=root, deployment=digits, body=body)[1].key
    invoke(actor=root, deployment=digits, body=other)
    digest = key.rpartition(":")[2]
    older = f"digits:{OLD}-e2:q:{digest}"
    function.admin.set(older, entry_value())
    function.admin.sadd("digits:versions", f"{OLD}-e2")
    save_sample(actor=root, deployment=digits, name="the same", body=body)
    save_sample(actor=root, deployment=digits, name="another", body=other)
    before = function.admin.keys("digits:*:[qr]:*")
    kept = find_entries(actor=root, deployment=digits, body=body)
    assert (set(kept.keys), kept.key) == ({key, older}, key)
    assert (len(kept.calls), len(kept.samples)) == (1, 1)
    assert not kept.is_empty
    nothing = find_entries(actor=root, deployment=digits, body=body_of(function, 2))
    assert nothing.is_empty
    assert sorted(function.admin.keys("digits:*:[qr]:*")) == sorted(before), "looking stores nothing"


def test_a_cache_that_evicted_its_list_of_versions_is_searched_by_the_consoles_own(
    digits: Deployment, function: live.Function, root: Actor
) -> None:
    body = body_of(function, 0)
    key = invoke(actor=root, deployment=digits, body=body)[1].key
    Deployment.objects.filter(pk=digits.pk).update(data_epoch=3)
    earlier = key.replace(f":{LIVE}:", f":{LIVE}-e2:")
    function.admin.set(earlier, entry_value())
    function.admin.delete("digits:versions")
    assert set(find_entries(actor=root, deployment=digits.fresh(), body=body).keys) == {key, earlier}


def test_an_input_is_erased_with_its_calls_and_samples_and_the_audit_knows_none_of_it(
    digits: Deployment, function: live.Function, root: Actor
) -> None:
    body, batch = body_of(function, 0), body_of(function, 0, 1)
    key = invoke(actor=root, deployment=digits, body=body, label="first")[1].key
    # The same numbers, written differently: the function's key knows.
    invoke(actor=root, deployment=digits, body={"data": [[int(cell) for cell in function.rows[0]]]})
    in_batch = invoke(actor=root, deployment=digits, body=batch, label="batch")[1].key
    save_sample(actor=root, deployment=digits, name="the same", body=body)
    counted = erase_entries(actor=root, deployment=digits, body=body, dry_run=True)
    assert function.admin.exists(key) == 1
    erased = erase_entries(actor=root, deployment=digits, body=body, reason="asked for by letter")
    assert counted == erased
    assert (erased.keys, len(erased.calls), len(erased.samples)) == ((key,), 2, 1)
    assert function.admin.exists(key) == 0
    assert [call.label for call in Invocation.objects.all()] == ["batch"]
    assert not Sample.objects.exists()
    assert function.admin.exists(in_batch) == 1, "a batch that holds it is another input"
    entry = AuditEntry.objects.get(action="erase_input")
    assert entry.subject == "digits: 1 entries, 2 test calls, 1 samples"
    assert entry.reason == "asked for by letter"
    assert invoke(actor=root, deployment=digits, body=body)[1].cache == "miss"


def test_rows_are_found_by_themselves_where_rows_were_ever_kept(
    settings: Any, tmp_path: Path, root: Actor, monkeypatch: pytest.MonkeyPatch
) -> None:
    with live.serving(SCORING_KEYS="row") as function, live.paper_world(settings, tmp_path):
        digits = live.deployed(function, cache={"keys": "row"})
        invoke(actor=root, deployment=digits, body=body_of(function, 1, 5))
        batch = body_of(function, 0, 1, 2)
        kept = find_entries(actor=root, deployment=digits, body=batch)
        assert [key.split(":")[2] for key in kept.keys] == ["r"]
        assert (kept.rows, kept.more_rows) == (3, 0)
        assert invoke(actor=root, deployment=digits, body=body_of(function, 5))[1].cache == "hit"
        assert erase_entries(actor=root, deployment=digits, body=batch).keys == kept.keys
        assert function.admin.exists(*kept.keys) == 0
        assert invoke(actor=root, deployment=digits, body=body_of(function, 5))[1].cache == "hit"
        assert invoke(actor=root, deployment=digits, body=body_of(function, 1))[1].cache == "miss"
        # More rows than one answer tells are asked for in parts, and those that are too many are said to be.
        many = {"data": [[float(number)] * 64 for number in range(700)]}
        assert find_entries(actor=root, deployment=digits, body=many).rows == 700
        monkeypatch.setattr(inputs, "MOST_ROWS", 600)
        told = find_entries(actor=root, deployment=digits, body=many)
        assert (told.rows, told.more_rows) == (600, 100)


def test_too_many_candidates_are_walked_for_and_the_same_is_found(
    digits: Deployment, function: live.Function, root: Actor
) -> None:
    body = body_of(function, 0)
    key = invoke(actor=root, deployment=digits, body=body)[1].key
    foreign = f"digits:{OLD}-e7:q:{key.rpartition(':')[2]}"  # of no version that anybody remembers
    function.admin.set(foreign, entry_value())
    assert find_entries(actor=root, deployment=digits, body=body).keys == (key,)
    # So many epochs that looking each of them up would take more than a walk.
    Deployment.objects.filter(pk=digits.pk).update(data_epoch=10**9)
    assert set(find_entries(actor=root, deployment=digits.fresh(), body=body).keys) == {key, foreign}


def test_a_walk_that_ends_early_tells_so_instead_of_what_it_found(client: redis.Redis, space: KeySpace) -> None:
    fill(client, 3_000)
    assert walked(client, space, {f"{7:032x}", "f" * 32}) == (entry_key(7),)
    with pytest.raises(Unavailable, match="in time"):
        walked(client, space, {f"{7:032x}"}, seconds=0)


SCRIPT = """
def init():
    pass


def run(raw_data):
    return {"length": len(raw_data)}
"""


def test_a_script_is_asked_with_the_very_bytes_and_finding_nothing_proves_nothing(
    settings: Any, tmp_path: Path, root: Actor
) -> None:
    text = '{ "data" : [1.0,\n 2] }'
    with live.serving(script=SCRIPT) as function, live.paper_world(settings, tmp_path):
        code = factories.artifact(SCRIPT.encode(), live.SCRIPT)
        digits = live.deployed(function, code={"artifact": code.pk, "entry_script": live.SCRIPT})
        answer = httpx.post(
            function.url, content=text, headers={"content-type": "application/json; v=1"}, trust_env=False
        )
        written = answer.headers["x-cache-key"]
        tested = invoke(actor=root, deployment=digits, body=json.loads(text))[1].key
        live.until(lambda: function.admin.exists(written, tested) == 2)
        assert tested != written
        told = find_entries(actor=root, deployment=digits, body={"data": [9]})
        assert (told.is_empty, told.exact) == (True, False)
        sent = Sent(text, "application/json; v=1")
        kept = find_entries(actor=root, deployment=digits, sent=sent)
        assert (set(kept.keys), kept.key, len(kept.calls), kept.exact) == ({written, tested}, written, 1, False)
        # What is no JSON at all is an input of a script too.
        httpx.post(function.url, content="a;b", headers={"content-type": "text/csv"}, trust_env=False)
        live.until(lambda: len(function.admin.keys("digits:*:q:*")) == 3)
        assert len(find_entries(actor=root, deployment=digits, sent=Sent("a;b", "text/csv")).keys) == 1
        browser = Client()
        browser.force_login(root.user)
        page = browser.post("/deployments/digits/cache/find/", {"body": "nothing"}).content.decode()
        assert "does not say that nothing is kept" in page
        assert "Nothing is kept of this input" not in page
        wish = {"body": text.replace("\n", "\r\n"), "content_type": "application/json; v=1"}
        done = browser.post("/deployments/digits/cache/erase/", wish, follow=True).content.decode()
        assert "Erased: stored answers 2, test calls 1, samples 0." in done
        assert function.admin.exists(written, tested) == 0


def test_an_input_that_the_function_does_not_take_is_said_so(
    digits: Deployment, function: live.Function, root: Actor
) -> None:
    for body in ({"data": [["a", "b"]]}, None):
        with pytest.raises(ConsoleError) as caught:
            find_entries(actor=root, deployment=digits, body=body)
        assert caught.value.field == "body"
    digits.resources.filter(key="function").delete()
    with pytest.raises(Conflict, match="not live"):
        find_entries(actor=root, deployment=digits, body=body_of(function, 0))


def test_without_a_cache_calls_and_samples_are_still_erased(
    digits: Deployment, function: live.Function, root: Actor
) -> None:
    body = body_of(function, 0)
    invoke(actor=root, deployment=digits, body=body)
    digits.resources.all().delete()
    kept = erase_entries(actor=root, deployment=digits, body=body)
    assert (kept.key, kept.keys, len(kept.calls)) == ("", (), 1)
    assert not Invocation.objects.exists()


def test_finding_needs_to_see_inputs_and_erasing_to_write_as_well(digits: Deployment, function: live.Function) -> None:
    tester = factories.member("tom", digits.environment, "tester")
    writer = factories.member("dora", digits.environment, "deployer")
    body = body_of(function, 0)
    find_entries(actor=tester, deployment=digits, body=body)
    erase_entries(actor=writer, deployment=digits, body=body)
    with pytest.raises(NotAllowed, match="role deployer"):
        erase_entries(actor=tester, deployment=digits, body=body, dry_run=True)
    digits.environment.memberships.update(inputs="withheld")
    for verb in (find_entries, erase_entries):
        with pytest.raises(NotAllowed, match="not shown to you"):
            verb(actor=writer, deployment=digits, body=body)


def test_the_functions_example_is_for_those_who_may_see_inputs(digits: Deployment, function: live.Function) -> None:
    tester = factories.member("tom", digits.environment, "tester")
    assert "'example'" in str(description(actor=tester, deployment=digits))
    digits.environment.memberships.update(inputs="withheld")
    told = description(actor=tester, deployment=digits)
    assert "'example'" not in str(told)
    assert told["paths"]["/api/score"]["post"]["requestBody"]["content"]["application/json"]["schema"]


def test_where_no_calls_are_kept_the_answer_is_all_there_is(
    digits: Deployment, function: live.Function, root: Actor
) -> None:
    keep_invocations(actor=root, deployment=digits, days=0)
    call, answer = invoke(actor=root, deployment=digits, body=body_of(function, 0))
    assert (call.pk, answer.status) == (None, 200)
    assert not Invocation.objects.exists()
