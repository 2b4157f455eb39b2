"""Settings come from the environment, and a wrong one is named without repeating a secret."""

from __future__ import annotations

import pytest

from scoring.settings import RedisAddress, SettingsError, redis_address, settings_from


def test_nothing_set_serves_the_working_directory_without_a_cache() -> None:
    settings = settings_from({})
    assert (settings.port, settings.fd, settings.cache, settings.policy) == (8080, None, None, "on")
    assert (settings.timeout, settings.ttl, settings.store_input) == (0.05, 0, "whole")


def test_the_hosts_port_is_taken_where_none_is_given() -> None:
    assert settings_from({"FUNCTIONS_CUSTOMHANDLER_PORT": "5001"}).port == 5001
    assert settings_from({"FUNCTIONS_CUSTOMHANDLER_PORT": "5001", "SCORING_PORT": "5002"}).port == 5002


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("redis://localhost", ("localhost", 6379, None, 0, "default", "", False)),
        ("redis://:p%40ss@h:1/2", ("h", 1, None, 2, "default", "p@ss", False)),
        ("rediss://me:pw@cache.example:6380/0", ("cache.example", 6380, None, 0, "me", "pw", True)),
        ("redis://[::1]:7000", ("::1", 7000, None, 0, "default", "", False)),
        ("unix:///run/redis.sock?db=3", ("", 6379, "/run/redis.sock", 3, "default", "", False)),
        ("unix://:pw@/run/redis.sock", ("", 6379, "/run/redis.sock", 0, "default", "pw", False)),
    ],
)
def test_cache_urls(url: str, expected: tuple[object, ...]) -> None:
    address = redis_address(url)
    read = (
        address.host,
        address.port,
        address.path,
        address.db,
        address.username,
        address.password,
        address.tls,
    )
    assert read == expected


def test_the_password_of_its_own_variable_wins() -> None:
    settings = settings_from({"SCORING_CACHE_URL": "redis://:old@h", "SCORING_CACHE_PASSWORD": "new"})
    assert isinstance(settings.cache, RedisAddress)
    assert settings.cache.password == "new"
    assert "new" not in repr(settings)


def test_an_identity_signs_in_by_its_object_id_and_without_a_password() -> None:
    environ = {"SCORING_CACHE_URL": "rediss://:old@h", "SCORING_CACHE_AUTH": "entra", "SCORING_CACHE_USER": "object"}
    cache = settings_from(environ).cache
    assert isinstance(cache, RedisAddress)
    assert (cache.auth, cache.username, cache.password) == ("entra", "object", "")
    with pytest.raises(SettingsError, match="SCORING_CACHE_USER"):
        settings_from({**environ, "SCORING_CACHE_USER": ""})


def test_how_much_and_how_long() -> None:
    settings = settings_from({"SCORING_LOCAL_MB": "16", "SCORING_DIGEST_KEY": "k", "SCORING_EXECUTION_GAIN": "47.2"})
    assert (settings.local_bytes, settings.digest_key, settings.gain) == (16 * 2**20, b"k", 47.2)
    assert (settings.keys, settings.processes, settings.predict_seconds) == ("request", 0, 60)


@pytest.mark.parametrize(
    "environ",
    [
        {"SCORING_CACHE_URL": "http://:secret@host"},
        {"SCORING_CACHE_URL": "redis://:secret@"},
        {"SCORING_CACHE_URL": "redis://:secret@host:notaport"},
        {"SCORING_CACHE_URL": "redis://:secret@host/notadatabase"},
        {"SCORING_CACHE_URL": "unix://:secret@"},
        {"SCORING_CACHE_POLICY": "maybe"},
        {"SCORING_CACHE_TTL": "-1"},
        {"SCORING_PORT": "70000"},
        {"SCORING_DATA_EPOCH": "one"},
        {"SCORING_STORE_INPUT": "some"},
        {"SCORING_KEYS": "both"},
        {"SCORING_PROCESSES": "many"},
        {"SCORING_EXECUTION_GAIN": "fast"},
    ],
)
def test_a_wrong_setting_is_named(environ: dict[str, str]) -> None:
    (name,) = environ
    with pytest.raises(SettingsError, match=name) as caught:
        settings_from(environ)
    assert "secret" not in str(caught.value)
