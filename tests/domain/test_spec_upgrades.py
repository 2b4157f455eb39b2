"""Upgraders: yesterday's data gets to today version by version, tomorrow's is refused."""

from collections.abc import Mapping
from typing import Any

import pytest

from deployments.domain.errors import SpecInvalid
from deployments.domain.spec import Spec
from deployments.domain.spec_upgrades import LATEST, UPGRADERS, Upgrader, upgrade


def cache_got_a_name(data: dict[str, Any]) -> dict[str, Any]:
    return {**{key: value for key, value in data.items() if key != "ttl"}, "cache": {"ttl": data.get("ttl", 60)}}


def ttl_in_seconds(data: dict[str, Any]) -> dict[str, Any]:
    return {**data, "cache": {"ttl_seconds": data["cache"]["ttl"] * 60}}


CHAIN: Mapping[int, Upgrader] = {1: cache_got_a_name, 2: ttl_in_seconds}


def test_each_version_goes_all_the_way_up() -> None:
    newest = {"model": "m", "schema_version": 3, "cache": {"ttl_seconds": 300}}
    first = {"model": "m", "schema_version": 1, "ttl": 5}
    second = {"model": "m", "schema_version": 2, "cache": {"ttl": 5}}
    for data in (first, second, newest):
        assert upgrade(data, upgraders=CHAIN, latest=3) == newest


def test_what_is_given_stays_as_it_is() -> None:
    data = {"schema_version": 1, "ttl": 5}
    upgrade(data, upgraders=CHAIN, latest=3)
    assert data == {"schema_version": 1, "ttl": 5}


def test_data_without_a_version_is_of_today() -> None:
    assert upgrade({"cache": {}}, upgraders=CHAIN, latest=3) == {"cache": {}}


@pytest.mark.parametrize("version", [4, "3", True, None, 2.5])
def test_what_is_newer_or_no_version_is_refused(version: object) -> None:
    with pytest.raises(ValueError, match="newer than this console reads"):
        upgrade({"schema_version": version}, upgraders=CHAIN, latest=3)


@pytest.mark.parametrize("version", [0, -1])
def test_a_version_without_a_way_up_is_refused(version: int) -> None:
    with pytest.raises(ValueError, match="is not known"):
        upgrade({"schema_version": version}, upgraders=CHAIN, latest=3)


def test_every_version_before_the_latest_has_an_upgrader() -> None:
    assert set(UPGRADERS) == set(range(1, LATEST))


def test_a_newer_spec_is_told_at_its_field() -> None:
    with pytest.raises(SpecInvalid, match="newer than this console") as caught:
        Spec.load({"schema_version": LATEST + 1, "model": {"artifact": "a" * 64}})
    assert caught.value.field == "schema_version"
