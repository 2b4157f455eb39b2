"""A real Redis with entries as the scoring server writes them."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import redis

from deployments.cache.keys import KeySpace
from deployments.models import Deployment
from tests import live

VERSION = "a91f03d7c5b2e801"
OLD = "7c20aa11bb22cc33"


@pytest.fixture
def space() -> KeySpace:
    return KeySpace("digits")


@pytest.fixture
def client(redis_server: str) -> Iterator[redis.Redis]:
    with redis.Redis.from_url(redis_server) as found:
        yield found


@pytest.fixture(scope="session")
def function() -> Iterator[live.Function]:
    with live.serving() as found:
        yield found


@pytest.fixture
def digits(function: live.Function, settings: Any, tmp_path: Path, db: None) -> Iterator[Deployment]:
    """A live deployment of handwritten digits with an empty cache."""
    function.admin.flushall()
    with live.paper_world(settings, tmp_path):
        yield live.deployed(function)


def entry_key(number: int, *, prefix: str = "digits", version: str = VERSION, kind: str = "q") -> str:
    return f"{prefix}:{version}:{kind}:{number:032x}"


def entry_value(answer: Any = (7,), **more: Any) -> str:
    told = {"output": answer, "model_version": VERSION * 4, "epoch": 0, "at": "2026-11-22T12:49:03Z", **more}
    return json.dumps(told, separators=(",", ":"))


def fill(client: redis.Redis, count: int, *, prefix: str = "digits", ttl: int | None = 3600) -> list[str]:
    """Write entries, each with its number as input; returns their keys."""
    pipe = client.pipeline(transaction=False)
    keys = [entry_key(number, prefix=prefix) for number in range(count)]
    for number, key in enumerate(keys):
        pipe.set(key, entry_value([number % 10], input=[[number]]), ex=ttl)
    pipe.execute()
    return keys
