"""Names that every provider takes, and the tags that say whose a thing is."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from deployments.domain.names import is_slug, new_uid, ownership_tags, resource_name

slugs = st.from_regex(r"[a-z](?:[a-z0-9-]{0,38}[a-z0-9])?", fullmatch=True).filter(lambda text: "--" not in text)


@given(slugs)
def test_a_slug_makes_a_name_that_fits(slug: str) -> None:
    assert is_slug(slug)
    name = resource_name(slug=slug, uid=new_uid())
    assert len(name) <= 49
    assert re.fullmatch(r"[a-z][a-z0-9-]*[a-z0-9]", name)


@given(st.text(max_size=45))
def test_only_plain_words_are_slugs(text: str) -> None:
    if is_slug(text):
        assert re.fullmatch(r"[a-z0-9-]{1,40}", text, re.ASCII)


@pytest.mark.parametrize("text", ["", "-a", "a-", "1a", "A", "a--b", "a_b", "a.b", "a\n", "ä", "a" * 41, "a/b", "a b"])
def test_what_is_no_slug(text: str) -> None:
    assert not is_slug(text)


def test_a_uid_is_never_the_same_and_easily_read() -> None:
    uids = {new_uid() for _ in range(2_000)}
    assert len(uids) == 2_000
    assert all(re.fullmatch(r"[a-z2-9]{8}", uid) and not set(uid) & set("lo01") for uid in uids)


def test_the_tags_name_console_and_deployment() -> None:
    tags = ownership_tags(console_id="c1", uid="u1", name="iris")
    assert sorted(tags.values()) == ["c1", "iris", "u1"]
    assert all(tag.startswith("scoring-") for tag in tags)
