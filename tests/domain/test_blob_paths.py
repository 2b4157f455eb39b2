"""Binding expressions in paths of blobs: what they match, what they become, and what they may not be."""

import re
import time
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from deployments.domain.blob_paths import BlobPath, checked_paths

NOW = datetime(2026, 11, 22, 12, 30, 5, tzinfo=UTC)


@pytest.mark.parametrize(
    ("path", "blob", "found"),
    [
        ("in/{name}", "a.csv", {"name": "a.csv"}),
        ("in/{name}", "deep/er/a.csv", {"name": "deep/er/a.csv"}),
        ("in/{name}.{ext}", "a.b.csv", {"name": "a.b", "ext": "csv"}),
        ("in/day-{day}/{name}.csv", "day-7/x.csv", {"day": "7", "name": "x"}),
        ("in/{a}/{a}.csv", "x/x.csv", {"a": "x"}),
        ("in/{a}/{a}.csv", "x/y.csv", None),
        ("in/{name}.csv", "a.json", None),
        ("in/a.csv", "a.csv", {}),
        ("in/a.csv", "aXcsv", None),
        ("in/{name}", "", None),
        ("in/{name}.csv", ".csv", None),
        ("in/{a}-{b}.csv", "-b.csv", None),
        ("in/{a}-{b}.csv", "--.csv", None),
        ("in/{name}", "a" * 1025, None),
    ],
)
def test_what_a_path_matches(path: str, blob: str, found: dict[str, str] | None) -> None:
    assert BlobPath.parse(path).match(blob) == found


def test_names_are_filled_whatever_their_case_and_the_host_s_own_too() -> None:
    path = BlobPath.parse("out/{DateTime}/{NAME}.json")
    assert path.fill({"name": "a/b"}, now=NOW) == "2026-11-22T12-30-05Z/a/b.json"
    guids = BlobPath.parse("out/{rand-guid}")
    assert guids.fill({}, now=NOW) != guids.fill({}, now=NOW)


@pytest.mark.parametrize("values", [("..", "x"), (".", "."), ("a/..", "x"), ("", "x"), ("a\0", "x"), ("a" * 300, "x")])
def test_no_answer_leaves_its_container(values: tuple[str, str]) -> None:
    path = BlobPath.parse("out/{a}/{b}")
    with pytest.raises(ValueError, match="name"):
        path.fill({"a": values[0], "b": values[1]}, now=NOW)
    with pytest.raises(ValueError, match="name"):
        BlobPath.parse("out/{a}{b}").fill({"a": ".", "b": "."}, now=NOW)


@given(st.text(min_size=1, max_size=40), st.text(min_size=1, max_size=40))
def test_what_is_matched_fills_the_same_path_again(one: str, two: str) -> None:
    path = BlobPath.parse("in/{one}-{two}.csv")
    found = path.match(f"{one}-{two}.csv")
    assert found is not None
    assert f"{found['one']}-{found['two']}" == f"{one}-{two}"


@given(st.text("ab-", max_size=12), st.sampled_from(["{x}-{y}", "a{x}-{y}b", "{x}a-{y}-{z}", "{x}-{y}a-{z}b"]))
def test_the_first_expression_takes_the_most_as_with_a_regular_expression(blob: str, pattern: str) -> None:
    slow = re.fullmatch(re.sub(r"{(\w)}", r"(?P<\1>.+)", pattern), blob)
    assert BlobPath.parse(f"in/{pattern}").match(blob) == (None if slow is None else slow.groupdict())


def test_no_name_takes_long() -> None:
    path = BlobPath.parse("in/" + "-".join(f"{{a{number}}}" for number in range(40)) + ".csv")
    began = time.monotonic()
    assert path.match("-" * 1024) is None
    assert time.monotonic() - began < 1


@pytest.mark.parametrize(
    ("path_in", "path_out", "told"),
    [
        ("in", "out/{name}", "container"),
        ("in/", "out/{name}", "container"),
        ("In/{name}", "out/{name}", "lower-case"),
        ("{name}/a", "out/a", "no expression"),
        ("in/{name", "out/a", "pairs"),
        ("in/{na me}", "out/a", "no expression"),
        ("in/../{name}", "out/a", "dot"),
        ("in//{name}", "out/a", "empty"),
        ("in/{name}", "out/{other}", "nothing fills"),
        ("in/{datetime}", "out/a", "by itself"),
        ("in/{name}", "in/{name}.json", "different containers"),
        ("in/{name}", "webjobs-blobtrigger-poison/{name}", "gave up"),
        ("webjobs-blobtrigger-poison/{name}", "out/{name}", "gave up"),
        ("in/{a}{b}", "out/a", "parts them"),
        ("in/{a}-{b}-{c}-{d}", "out/a", "at most 3"),
        ("in/{a}-{A}", "out/a", "once"),
    ],
)
def test_what_cannot_be_a_trigger_s_paths(path_in: str, path_out: str, told: str) -> None:
    with pytest.raises(ValueError, match=told):
        checked_paths(path_in, path_out)
