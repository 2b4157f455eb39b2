"""The inspector's pages on a real cache: figures, entries, one entry, deletion and the data epoch."""

import json
import re
import time
from typing import Any

import pytest
from django.test import Client

from console.web.cache_chart import chart, told_version
from deployments.cache.keys import KeySpace
from deployments.cache.statistics import read_statistics
from deployments.domain.environments import Role
from deployments.models import Deployment, Invocation
from deployments.services.invocations import invoke
from tests import factories, live

PAGE = "/deployments/digits/cache/"


@pytest.fixture
def client(digits: Deployment) -> Client:
    found = Client()
    found.force_login(factories.administrator().user)
    return found


@pytest.fixture
def keys(digits: Deployment, function: live.Function) -> list[str]:
    """Three stored answers, by their keys."""
    actor = factories.administrator()
    return [invoke(actor=actor, deployment=digits, body={"data": [row]})[1].key for row in function.rows[:3]]


def text_of(client: Client, query: str = "") -> str:
    response = client.get(PAGE + query)
    assert response.status_code == 200
    return response.content.decode()


def test_an_empty_cache_says_what_to_do(client: Client) -> None:
    text = text_of(client)
    assert "Nothing is stored yet." in text
    assert "counted by the function" in text
    assert "Whole server" in text


def test_entries_are_listed_with_their_pictures_and_answers(client: Client, keys: list[str]) -> None:
    text = text_of(client)
    assert text.count('class="entry-in"') == 3
    assert text.count('aria-label="Input, 8 by 8 image"') == 3
    assert "keys scanned" in text


def test_an_opened_entry_tells_all_that_is_stored(client: Client, keys: list[str]) -> None:
    text = text_of(client, f"?key={keys[0]}")
    assert "Stored value" in text
    assert live.MODEL_VERSION in text
    assert "revision 1, live" in text
    assert f"?entry={keys[0].replace(':', '%3A')}" in text


def test_a_search_for_a_whole_key_opens_its_entry(client: Client, keys: list[str]) -> None:
    assert "Stored value" in text_of(client, f"?match={keys[1]}")


def test_an_entry_that_has_gone_is_said_to_be_gone(client: Client, keys: list[str], function: live.Function) -> None:
    function.admin.delete(keys[0])
    assert "It is not there any more" in text_of(client, f"?key={keys[0]}")


def test_poison_is_shown_escaped_and_as_what_it_is(client: Client, function: live.Function) -> None:
    function.admin.set("digits:<script>alert(1)</script>", "<img src=x onerror=alert(2)>")
    function.admin.set(f"digits:{'a' * 16}:q:{'b' * 32}", '{"output":["<script>"],"model_version":"a"}')
    function.admin.lpush("digits:a list", 1)
    text = text_of(client, "?key=digits:%3Cscript%3Ealert(1)%3C/script%3E")
    assert "<script>alert" not in text
    assert "<img src=x" not in text
    assert "&lt;img src=x" in text
    assert text.count("Not an entry") == 2


def test_pages_go_on_where_the_last_one_ended(client: Client, digits: Deployment, function: live.Function) -> None:
    wanted = {f"digits:{'a' * 16}:q:{number:032x}" for number in range(47)}
    function.admin.mset(dict.fromkeys(wanted, '{"output":[1],"model_version":"a"}'))
    seen: list[str] = []
    query = ""
    while True:
        text = text_of(client, query)
        seen += re.findall(r'name="key" value="([^"]+)"', text)
        further = re.search(r'href="(\?cursor=[^"#]+)[^"]*"[^>]*>Scan further', text)
        if further is None:
            break
        query = further[1].replace("&amp;", "&")
    assert sorted(seen) == sorted(wanted)


@pytest.mark.parametrize("query", ["?cursor=no", "?cursor=1.2.%21", "?span=never", "?order=nothing", "?fresh=1&key=x"])
def test_an_address_written_by_hand_is_taken_as_far_as_it_goes(client: Client, keys: list[str], query: str) -> None:
    assert "Entries" in text_of(client, query)


def test_a_cache_that_is_away_is_told_with_what_to_do(client: Client, digits: Deployment) -> None:
    digits.resources.filter(key="cache").update(outputs={"host": "127.0.0.1", "port": 1})
    text = text_of(client)
    assert "The cache at 127.0.0.1:1 cannot be reached." in text
    assert "Restart the deployment" in text


def test_no_cache_at_all_is_told_too(client: Client, digits: Deployment) -> None:
    digits.resources.filter(key="cache").delete()
    assert "digits has no cache." in text_of(client)


def test_deleting_asks_first_with_the_count(client: Client, keys: list[str], function: live.Function) -> None:
    asked = client.post(f"{PAGE}delete/", {"key": keys[:2]})
    assert "Delete 2 entries" in asked.content.decode()
    assert function.admin.exists(*keys) == 3
    done = client.post(f"{PAGE}delete/", {"key": keys[:2], "confirm": "yes"}, follow=True)
    assert "2 entries deleted." in done.content.decode()
    assert function.admin.exists(*keys) == 1


def test_deleting_by_match_and_version(client: Client, keys: list[str], function: live.Function) -> None:
    function.admin.set(f"digits:{'a' * 16}:q:{'b' * 32}", "{}")
    wish = {"match": "*", "version": "a" * 16}
    assert "Delete 1 entry" in client.post(f"{PAGE}delete/", wish).content.decode()
    client.post(f"{PAGE}delete/", {**wish, "confirm": "yes"})
    assert function.admin.exists(*keys) == 3
    client.post(f"{PAGE}delete/", {"match": "*", "confirm": "yes"})
    assert function.admin.exists(*keys) == 0


@pytest.mark.parametrize("wish", [{}, {"match": "  "}, {"key": "other:a"}, {"key": "digits:versions"}])
def test_a_deletion_of_nothing_or_of_others_does_nothing(
    client: Client, keys: list[str], function: live.Function, wish: dict[str, str]
) -> None:
    function.admin.set("other:a", 1)
    function.admin.sadd("digits:versions", live.MODEL_VERSION[:16])
    response = client.post(f"{PAGE}delete/", {**wish, "confirm": "yes"}, follow=True)
    assert response.status_code == 200
    assert function.admin.exists("other:a", "digits:versions", *keys) == 5


def test_the_data_epoch_wants_a_reason(client: Client, digits: Deployment) -> None:
    assert client.get(f"{PAGE}epoch/").status_code == 200
    assert client.post(f"{PAGE}epoch/", {"reason": ""}).status_code == 422
    done = client.post(f"{PAGE}epoch/", {"reason": "new prices"}, follow=True)
    assert "The data epoch is" in done.content.decode()
    assert Deployment.objects.get(pk=digits.pk).data_epoch >= 1


def test_from_an_input_to_all_that_is_kept_of_it(client: Client, keys: list[str], function: live.Function) -> None:
    stored = client.post(f"{PAGE}find/", {"body": json.dumps([function.rows[0]])}).content.decode()
    assert keys[0].replace(":", "%3A") in stored
    assert "revision 1" in stored
    assert "Erase all of it" in stored
    assert "another input, with a key and an entry of its own" in stored
    new = client.post(f"{PAGE}find/", {"body": '{"data": [' + str([1.5] * 64) + "]}"}).content.decode()
    assert "Nothing is kept of this input." in new
    assert "Erase all of it" not in new
    for bad in ("", "[[1", "[[1]]", "NaN"):
        assert client.post(f"{PAGE}find/", {"body": bad}).status_code == 422
        assert client.post(f"{PAGE}erase/", {"body": bad}).status_code == 422


def test_an_input_of_the_history_is_taken_and_erased(client: Client, keys: list[str], function: live.Function) -> None:
    call = Invocation.objects.get(key=keys[0])
    page = client.get(f"{PAGE}find/", {"call": call.pk})
    assert json.loads(page.context["given"]) == {"data": [function.rows[0]]}
    assert client.get(f"{PAGE}find/", {"call": 10**9}).status_code == 404
    done = client.post(f"{PAGE}erase/", {"body": page.context["given"], "reason": "asked for"}, follow=True)
    assert "Erased: stored answers 1, test calls 1, samples 0." in done.content.decode()
    assert function.admin.exists(*keys) == 2


def test_what_is_kept_is_told_and_how_long_calls_are(client: Client, digits: Deployment, keys: list[str]) -> None:
    page = f"{PAGE}kept/"
    text = client.get(page).content.decode()
    assert "whole, as it was sent" in text
    assert "digest of the input" in text
    done = client.post(page, {"days": 0}, follow=True).content.decode()
    assert "Test calls are not kept any more. 3 were deleted." in done
    assert client.post(page, {"days": 367}).status_code == 422
    assert "calls of this deployment are not kept" in client.get(f"/deployments/{digits.name}/test/").content.decode()


@pytest.mark.parametrize(
    ("cache", "said"),
    [
        ({"store_input": "masked", "masked_fields": ["age", "name"]}, "with these fields masked: age, name"),
        ({"store_input": "none", "keyed_digests": True}, "left out"),
        ({"keyed_digests": True}, "nobody can try inputs against the keys"),
        ({"keys": "row"}, "each row"),
        ({"policy": "off"}, "nothing is kept there"),
    ],
)
def test_what_the_definition_keeps_is_said(client: Client, cache: dict[str, Any], said: str) -> None:
    made = factories.deployment("other", cache=cache)
    assert said in client.get(f"/deployments/{made.name}/cache/kept/").content.decode()


def test_where_calls_are_not_kept_a_comparison_is_told_at_once(
    client: Client, digits: Deployment, keys: list[str], function: live.Function
) -> None:
    Deployment.objects.filter(pk=digits.pk).update(keep_invocations_days=0)
    compared = client.post(f"{PAGE}compare/", {"key": keys[0]}, follow=True).content.decode()
    assert "Scored now, the answer equals the stored one." in compared
    function.admin.set(keys[0], (function.admin.get(keys[0]) or b"").replace(b'"output":[', b'"output":[9'))
    compared = client.post(f"{PAGE}compare/", {"key": keys[0]}, follow=True).content.decode()
    assert "the answer differs from the stored one" in compared


def test_a_stored_answer_is_held_against_a_fresh_one(client: Client, keys: list[str], function: live.Function) -> None:
    compared = client.post(f"{PAGE}compare/", {"key": keys[0]}, follow=True)
    assert "Cached and fresh" in compared.content.decode()
    assert "Equal" in compared.content.decode()
    function.admin.set(keys[0], (function.admin.get(keys[0]) or b"").replace(b'"output":[', b'"output":[9'))
    compared = client.post(f"{PAGE}compare/", {"key": keys[0]}, follow=True)
    assert "They differ" in compared.content.decode()
    assert Invocation.objects.latest("pk").cache == "bypass"


def test_what_each_role_gets(digits: Deployment, keys: list[str]) -> None:
    viewer, tester = Client(), Client()
    viewer.force_login(factories.member("vera", digits.environment, Role.VIEWER).user)
    tester.force_login(factories.member("tom", digits.environment, Role.TESTER).user)
    seen = viewer.get(PAGE, {"key": keys[0]}).content.decode()
    assert "inputs are not shown to you" in seen
    assert "Input, 8 by 8 image" not in seen
    assert "Delete" not in seen
    assert "Open in test form" in tester.get(PAGE, {"key": keys[0]}).content.decode()
    for path in ("delete/", "epoch/"):
        assert tester.post(PAGE + path, {"match": "*"}).status_code == 403
    for path in ("find/", "compare/", "erase/"):
        assert viewer.post(PAGE + path).status_code == 403
    assert Client().get(PAGE).status_code == 302


def test_the_figures_are_the_functions_own(client: Client, digits: Deployment, function: live.Function) -> None:
    live.forget_counters(function)
    for _ in range(3):
        invoke(actor=factories.administrator(), deployment=digits, body={"data": [function.rows[0]]})
    until = time.monotonic() + 5
    while "2 of 3 asked of the cache" not in text_of(client, "?span=1h"):
        assert time.monotonic() < until
        time.sleep(0.2)


def test_a_chart_draws_each_version_and_marks_where_the_live_one_begins(function: live.Function) -> None:
    now, minute = 1_700_000_000.0, 1_700_000_000 // 60
    function.admin.flushall()
    for version, ago, hits, misses in (("old", 50, 1, 1), ("old", 40, 1, 0), ("new", 20, 0, 2), ("new", 19, 2, 0)):
        function.admin.sadd("digits:versions", version)
        function.admin.hset(f"digits:stats:{version}:{minute - ago}", mapping={"hits": hits, "misses": misses})
    found = read_statistics(function.admin, KeySpace("digits"), minutes=60, address="", now=now)
    versions = [
        told_version(seen.version, known={"old": [1], "new": [2]}, live="new", statistics=seen)
        for seen in found.versions
    ]
    drawn = chart(found, versions)
    assert [is_live for _path, is_live in drawn.lines] == [False, True]
    assert [mark.number for mark in drawn.marks] == [2]
    assert len(drawn.bars) == len(drawn.rows) == 4
    assert drawn.most == 2
