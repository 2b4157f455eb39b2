"""Entries page by page on a real server: complete, bounded, inside the prefix, and never an error."""

import json
import time

import pytest
import redis

from deployments.cache import inspector
from deployments.cache.inspector import EntryPage, list_entries, read_entry, unlink, walk
from deployments.cache.keys import KeySpace
from deployments.domain.errors import ConsoleError, NotFound

from .conftest import OLD, VERSION, entry_key, entry_value, fill


def pages(client: redis.Redis, space: KeySpace, **wish: object) -> list[EntryPage]:
    found: list[EntryPage] = []
    cursor: str | None = ""
    while cursor is not None:
        found.append(list_entries(client, space, cursor=cursor, **wish))  # type: ignore[arg-type]
        cursor = found[-1].cursor
    return found


@pytest.mark.parametrize("limit", [1, 7, 50, 200])
def test_every_entry_comes_once_and_no_page_is_longer_than_asked(
    client: redis.Redis, space: KeySpace, limit: int
) -> None:
    keys = fill(client, 260)
    fill(client, 300, prefix="digits2")
    client.sadd("digits:versions", VERSION)
    walked = pages(client, space, limit=limit)
    assert sorted(row.key for page in walked for row in page.entries) == sorted(keys)
    assert max(len(page.entries) for page in walked) <= limit
    assert walked[-1].scanned == walked[-1].total == client.dbsize()


def test_nothing_is_missed_while_the_server_grows_its_table(client: redis.Redis, space: KeySpace) -> None:
    keys = fill(client, 300)
    seen: set[str] = set()
    cursor: str | None = ""
    grown = 0
    while cursor is not None:
        page = list_entries(client, space, cursor=cursor, limit=20)
        seen |= {row.key for row in page.entries}
        cursor = page.cursor
        for number in range(400):
            client.set(f"other:{grown + number}", 1)
        grown += 400
        assert grown < 100_000
    assert seen >= set(keys)


def test_a_rare_prefix_is_looked_for_within_a_budget(
    client: redis.Redis, space: KeySpace, monkeypatch: pytest.MonkeyPatch
) -> None:
    client.mset({f"other:{number}": number for number in range(9_000)})
    keys = fill(client, 3)
    monkeypatch.setattr(inspector, "KEYS_PER_PAGE", 2_000)
    first = list_entries(client, space)
    assert first.cursor is not None
    assert 1_000 <= first.scanned < 4_000 < first.total
    walked = pages(client, space)
    assert sorted(row.key for page in walked for row in page.entries) == keys
    assert [page.scanned for page in walked] == sorted(page.scanned for page in walked)


def test_a_row_says_what_its_entry_is(client: redis.Redis, space: KeySpace) -> None:
    client.config_set("maxmemory-policy", "allkeys-lfu")
    client.set(entry_key(1), entry_value([7], input=[[1, 2]]), ex=100)
    client.set(entry_key(2, kind="r"), entry_value({"label": "a", "scores": [0.5] * 40}))
    one, other = sorted(list_entries(client, space, with_inputs=True).entries, key=lambda row: row.key)
    assert (one.kind, one.model_version, one.digest, one.answer_preview) == ("request", VERSION, f"{1:032x}", "7")
    assert one.ttl_seconds is not None
    assert 98 < one.ttl_seconds <= 100
    assert one.size_bytes > len(entry_value())
    assert one.hits_hint is not None
    assert one.stored_at is not None
    assert one.stored_at.isoformat() == "2026-11-22T12:49:03+00:00"
    assert one.input == [[1, 2]]
    assert (other.kind, other.ttl_seconds, other.has_input) == ("row", None, False)
    assert other.answer_preview.startswith('{"label":"a","scores":[0.5,0.5')
    assert len(other.answer_preview) == 80


def test_inputs_are_left_out_for_those_who_may_not_see_them(client: redis.Redis, space: KeySpace) -> None:
    client.set(entry_key(1), entry_value([7], input=[["secret"]]))
    client.set(entry_key(2), entry_value(["x" * 100_000], input=[["secret"]]))
    client.set("digits:foreign", "a secret of somebody")
    listed = list_entries(client, space)
    assert "secret" not in listed.model_dump_json()
    for row in listed.entries:
        assert "secret" not in read_entry(client, space, row.key).model_dump_json()
    assert read_entry(client, space, entry_key(1), with_input=True).input == [["secret"]]


POISON = {
    "not JSON": (b"\x80\x04cos\nsystem\n", "not_json", "not_text"),
    "half a letter": (b'{"output":"\xff"}', "not_text"),
    "another JSON": (b"[1,2]", "not_an_entry"),
    "no output": (b'{"model_version":"a"}', "not_an_entry"),
    "NaN": (b'{"output":NaN,"model_version":"a"}', "not_json"),
    "a deep nest": (b"[" * 100_000, "not_json"),
    "a long number": (b'{"output":' + b"9" * 9_000 + b"}", "not_json"),
    "empty": (b"", "not_json"),
}


@pytest.mark.parametrize("name", POISON)
def test_a_poisoned_value_is_told_for_what_it_is(client: redis.Redis, space: KeySpace, name: str) -> None:
    value, *problems = POISON[name]
    client.set(entry_key(1), value)
    (row,) = list_entries(client, space, with_inputs=True).entries
    assert row.problem in problems or len(value) > inspector.ROW_PREVIEW
    assert row.answer_preview == ""
    detail = read_entry(client, space, entry_key(1), with_input=True)
    assert detail.problem in problems or detail.cut
    detail.model_dump_json()


def test_half_a_surrogate_pair_can_be_shown(client: redis.Redis, space: KeySpace) -> None:
    client.set(entry_key(1), b'{"output":["\\ud800"],"model_version":"a"}')
    (row,) = list_entries(client, space).entries
    assert row.answer_preview.encode() == b"?"


def test_keys_of_other_types_are_shown_and_not_read(client: redis.Redis, space: KeySpace) -> None:
    client.hset("digits:a hash", mapping={str(number): number for number in range(20_000)})
    client.rpush(entry_key(1), *range(10))
    client.set("digits:\x01odd\n", "x")
    client.set(b"digits:\xff\xfe", "x")
    rows = {row.key: row for row in list_entries(client, space).entries}
    assert rows["digits:a hash"].kind == "other"
    assert {row.problem for row in rows.values()} >= {"not_a_string"}
    assert read_entry(client, space, "digits:a hash", with_input=True).text == ""


def test_a_value_is_shown_up_to_64_kb_with_what_is_whole_in_it(client: redis.Redis, space: KeySpace) -> None:
    value = entry_value([7], input=[[1] * 60_000])
    client.set(entry_key(1), value)
    detail = read_entry(client, space, entry_key(1), with_input=True)
    assert (detail.output, detail.full_model_version, detail.cut) == ([7], VERSION * 4, True)
    assert detail.text == value[: 64 * 1024]
    assert detail.length == len(value)
    assert detail.input is None


def test_an_entry_that_has_gone_or_is_not_ours_is_not_found(client: redis.Redis, space: KeySpace) -> None:
    client.mset({"digits2:secret": 1, "digits:epoch": 1, f"digits:stats:{VERSION}:1": 1})
    for key in (entry_key(1), "digits2:secret", "digits:epoch", f"digits:stats:{VERSION}:1", "*", ""):
        with pytest.raises(NotFound):
            read_entry(client, space, key)


def test_a_whole_key_is_found_without_a_walk(client: redis.Redis, space: KeySpace) -> None:
    fill(client, 100)
    page = list_entries(client, space, match=entry_key(42), limit=1)
    assert [row.key for row in page.entries] == [entry_key(42)]
    assert page.cursor is None
    assert list_entries(client, space, match=entry_key(10_000)).entries == ()


def test_one_version_alone(client: redis.Redis, space: KeySpace) -> None:
    fill(client, 20)
    client.set(entry_key(1, version=OLD), entry_value())
    found = [row.key for page in pages(client, space, version=OLD) for row in page.entries]
    assert found == [entry_key(1, version=OLD)]


@pytest.mark.parametrize("cursor", ["x", "1", "1.2", "-1.0.", "1.2.3.4", "1.0.é", "1.0.!", "9" * 30 + ".0."])
def test_a_cursor_that_was_not_given_is_refused(client: redis.Redis, space: KeySpace, cursor: str) -> None:
    with pytest.raises(ConsoleError, match="cursor"):
        list_entries(client, space, cursor=cursor)


def test_a_forged_cursor_shows_nothing_of_others(client: redis.Redis, space: KeySpace) -> None:
    client.set("other:secret", json.dumps({"output": "secret", "model_version": "a"}))
    forged = inspector.Position(scan=0, started=True, pending=(b"other:secret", b"digits:epoch")).write()
    assert forged is not None
    assert list_entries(client, space, cursor=forged).entries == ()


def test_deleting_refuses_a_foreign_key_before_it_deletes(client: redis.Redis, space: KeySpace) -> None:
    keys = fill(client, 3)
    client.set("other:a", 1)
    for foreign in ("other:a", "digits:versions", f"digits:stats:{VERSION}:5", "digits:epoch", "digits"):
        with pytest.raises(ConsoleError, match="not an entry"):
            unlink(client, space, [keys[0], foreign])
    assert client.exists(*keys) == 3
    assert unlink(client, space, [*keys, entry_key(77)]) == 3


def test_a_walk_finds_all_that_match_and_says_when_the_time_ran_out(client: redis.Redis, space: KeySpace) -> None:
    keys = fill(client, 3_000)
    client.set(entry_key(9_999, version=OLD), entry_value())
    found = [key for batch in walk(client, space, match="*", version=VERSION) for key in batch or []]
    assert sorted(set(found)) == sorted(keys)
    assert None in list(walk(client, space, seconds=0))


def test_a_first_page_of_many_keys_is_quick(client: redis.Redis, space: KeySpace) -> None:
    fill(client, 20_000, ttl=None)
    started = time.perf_counter()
    page = list_entries(client, space, limit=50)
    assert len(page.entries) == 50
    assert time.perf_counter() - started < 0.5
