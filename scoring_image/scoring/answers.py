"""What goes between a face and the service: what the caller wants of the cache, and the answer."""

from __future__ import annotations

from enum import Enum

import msgspec

from scoring.stats import Verdict


class CacheWish(Enum):
    """What the caller asked of the cache, in HTTP's own words."""

    DEFAULT = "default"
    NO_CACHE = "no-cache"
    NO_STORE = "no-store"
    ONLY_IF_CACHED = "only-if-cached"


class Answer(msgspec.Struct):
    """One answer: the JSON, and how it came about.

    `key` is that of the request, also where its rows were looked up each by its own. Times are in seconds; None
    for a part that was not needed. `joined`: it shared the answer to an equal request; `local`: this process still
    held it. `rows_hit` and `rows_missed` are counted only where rows have keys. `row_digests` are told to who only
    looks: those that the first rows have, or would have, in the keys of rows.
    """

    body: bytes
    verdict: Verdict
    key: str
    get: float | None = None
    predict: float | None = None
    set: float | None = None
    joined: bool = False
    local: bool = False
    rows_hit: int = 0
    rows_missed: int = 0
    row_digests: str = ""
    parse: float = 0.0
    total: float = 0.0
