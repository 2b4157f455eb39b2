"""A search stays inside the prefix, whatever is searched for."""

import fnmatch

import pytest
import redis
from hypothesis import given
from hypothesis import strategies as st

from deployments.cache.keys import KeySpace

from .conftest import OLD, VERSION, entry_key


def test_an_entry_is_told_by_its_parts(space: KeySpace) -> None:
    name = space.name(entry_key(255, version=f"{VERSION}-e3", kind="r"))
    assert name is not None
    assert (name.version, name.kind, name.digest) == (f"{VERSION}-e3", "row", f"{255:032x}")


@pytest.mark.parametrize(
    "key",
    ["digits", "digits:", "digits:versions", "digits:epoch", f"digits:stats:{VERSION}:1", "digits2:x", "other:x", ""],
)
def test_bookkeeping_and_other_peoples_keys_are_no_entries(space: KeySpace, key: str) -> None:
    assert space.name(key) is None


def test_anything_else_inside_the_prefix_is_an_entry_that_nobody_of_ours_wrote(space: KeySpace) -> None:
    name = space.name("digits:left by somebody")
    assert name is not None
    assert name.kind == "other"


@given(st.text(max_size=30), st.sampled_from(["", VERSION]))
def test_every_pattern_begins_with_the_prefix_itself(text: str, version: str) -> None:
    pattern = KeySpace("digits").pattern(text, version=version)
    assert pattern.startswith(f"digits:{version + ':' if version else ''}")


@pytest.mark.parametrize("text", ["*", "?", "[a-z]*", "\\", "][", "^a", "a*b?c[d]e\\f", "*:epoch", "digits:*", "../*"])
def test_redis_never_finds_a_key_outside_the_prefix(client: redis.Redis, space: KeySpace, text: str) -> None:
    client.mset({"digits2:a": 1, "digit": 1, "xdigits:a": 1, "a": 1, "digits:[d]": 1, "digits:plain": 1})
    found = list(client.scan_iter(match=space.pattern(text)))
    assert all(key.startswith(b"digits:") for key in found)


def test_brackets_and_backslashes_are_ordinary_letters(client: redis.Redis, space: KeySpace) -> None:
    client.mset({"digits:[ab]": 1, "digits:a": 1, "digits:x\\y": 1})
    assert list(client.scan_iter(match=space.pattern("[ab]"))) == [b"digits:[ab]"]
    assert list(client.scan_iter(match=space.pattern("[ab*"))) == [b"digits:[ab]"]
    assert list(client.scan_iter(match=space.pattern("x\\y"))) == [b"digits:x\\y"]


def test_a_text_is_looked_for_anywhere_and_a_glob_from_the_start(space: KeySpace) -> None:
    key = entry_key(11)
    assert fnmatch.fnmatchcase(key, space.pattern("000b"))
    assert fnmatch.fnmatchcase(key, space.pattern(f"{VERSION[:4]}*:q:*"))
    assert not fnmatch.fnmatchcase(key, space.pattern("000b*"))
    assert not fnmatch.fnmatchcase(key, space.pattern("000b", version=OLD))


def test_a_whole_key_is_known_with_and_without_its_prefix(space: KeySpace) -> None:
    key = entry_key(11)
    assert space.whole_key(key) == space.whole_key(key.removeprefix("digits:")) == key
    assert space.whole_key(key[:-1]) is None
