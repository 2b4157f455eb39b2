"""What the function counted of its own cache's work, and the whole server's own numbers; never mixed.

The scoring server adds to one hash per model version and minute; its bucket bounds are in microseconds.
"""

import time
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, cast

import redis
from pydantic import BaseModel, ConfigDict

from .keys import KeySpace
from .savings import Savings, savings

BUCKETS_US = (100, 200, 500, 1000, 2000, 5000, 10_000, 20_000, 50_000, 100_000, 200_000, 500_000, 1_000_000)
KEPT_MINUTES = 31 * 24 * 60
FORGETTING_MINUTES = 30 * 24 * 60
STEPS = (1, 2, 5, 10, 15, 30, 60, 180, 360, 720, 1440)  # minutes in one point of a series
MOST_POINTS = 60
MOST_VERSIONS = 200
MOST_KEYS = 30 * KEPT_MINUTES  # asked for in one reading, whatever number of versions they are of
MOST_MINUTES = 60  # in one question: about a third of a millisecond to the server's other users

# The server adds the hashes up itself: a month has 43,200 of them, and one answer an hour is soon read.
# What lies under a key and is not a hash, and what in it is not a number, is not counted.
_SUM = """
local sums = {}
for _, key in ipairs(KEYS) do
  local found = redis.pcall('HGETALL', key)
  if not found.err then
    for i = 1, #found, 2 do
      local number = tonumber(found[i + 1])
      if number then sums[found[i]] = (sums[found[i]] or 0) + number end
    end
  end
end
local told = {}
for name, sum in pairs(sums) do
  told[#told + 1] = name
  told[#told + 1] = string.format('%.0f', sum)
end
return told
"""


class Frozen(BaseModel):
    model_config = ConfigDict(frozen=True)


class Latency(Frozen):
    """Milliseconds, estimated from a histogram: exact to its bucket, even inside it. Null without answers."""

    median_ms: float | None
    p95_ms: float | None


class Counts(Frozen):
    """Answers in one span of time. `hit_rate` is hits of hits and misses (0 to 1), null without either.

    `joins` shared the answer to an equal request that was under way, and are counted as what that was as well.
    `local_hits` are the hits that the process answered from its own memory, so that the server never saw them.
    `rows_hit` and `rows_missed` count single rows where rows are kept by themselves. What an older function did
    not count is 0.
    """

    hits: int
    misses: int
    bypasses: int
    errors: int
    joins: int = 0
    local_hits: int = 0
    rows_hit: int = 0
    rows_missed: int = 0
    hit_rate: float | None
    saved_seconds: float = 0.0


class Point(Counts):
    """One step of the series, from `at` on."""

    at: datetime


class VersionStatistics(Counts):
    """One model version (with its data epoch, as its keys name it)."""

    version: str
    hit: Latency
    miss: Latency
    predict: Latency
    redis: Latency
    saved: Savings
    rates: tuple[float | None, ...]
    series: tuple[Point, ...]


class ServerFacts(Frozen):
    """The whole server, with all that use it, since it started; null for what it does not tell.

    It counts commands, of everybody: hits that a function answered from its own memory never reach it, a batch whose
    rows are kept by themselves is several, and the console's own looks are among them.
    """

    software: str
    address: str
    keys: int
    used_memory_bytes: int | None
    max_memory_bytes: int | None
    policy: str
    evicted_keys: int | None
    expired_keys: int | None
    clients: int | None
    max_clients: int | None
    keyspace_hits: int | None
    keyspace_misses: int | None
    hit_rate: float | None
    uptime_seconds: int | None


class CacheStatistics(Counts):
    """One deployment's cache over the last `minutes`, as its function counted; `server` stands apart.

    `hit` and `miss` are whole answers, `predict` the model alone, `redis` one look into the server. Where there are
    too many versions, those of the oldest data epochs count nowhere here, and `versions_left_out` tells how many.
    """

    minutes: int
    counted_by: str = "function"
    since: datetime
    until: datetime
    step_minutes: int
    hit: Latency
    miss: Latency
    predict: Latency
    redis: Latency
    saved: Savings
    series: tuple[Point, ...]
    versions: tuple[VersionStatistics, ...]
    versions_left_out: int = 0
    server: ServerFacts


@dataclass(slots=True)
class _Tally:
    """Counter fields of several minutes, by the step of the series they fall in."""

    steps: list[Counter[str]]
    whole: Counter[str] = field(default_factory=Counter)

    def add(self, step: int, counts: Counter[str]) -> None:
        self.steps[step].update(counts)
        self.whole.update(counts)


def read_statistics(
    client: "redis.Redis", space: KeySpace, *, minutes: int, address: str, now: float | None = None
) -> CacheStatistics:
    """Counters of the last `minutes` (1 to 31 days) up to now, in at most 60 steps.

    A step begins at a whole multiple of its length, so that the first one may begin a little earlier. Reading a month
    takes from the list of versions those that have no counters left; a function that counts again adds its own.
    """
    minutes = max(1, min(minutes, KEPT_MINUTES))
    step = next((size for size in STEPS if minutes / size <= MOST_POINTS), STEPS[-1])
    last = int((time.time() if now is None else now) // 60)
    first = (last - minutes + 1) // step * step
    steps = (last - first) // step + 1
    everything, tallies = _Tally([Counter() for _ in range(steps)]), {}
    found = _versions(client, space)
    most, unused = min(MOST_VERSIONS, MOST_KEYS // minutes), []
    for version in found[:most]:
        tally = _Tally([Counter() for _ in range(steps)])
        for minute, counts in _sums(client, space, version, range(first, last + 1), step=step):
            tally.add((minute - first) // step, counts)
            everything.add((minute - first) // step, counts)
        if tally.whole:
            tallies[version] = tally
        else:
            unused.append(version)
    if minutes >= FORGETTING_MINUTES:
        # Of those that were not read the oldest, and so all of them in a few readings.
        _forget_unused(client, space, [*unused, *found[most:][-most:]], last=last)
    return CacheStatistics(
        **_counts(everything.whole),
        minutes=minutes,
        since=_moment(first),
        until=_moment(last + 1),
        step_minutes=step,
        **_times(everything.whole),
        series=_series(everything, first=first, step=step),
        versions=tuple(
            _version(name, tallies[name], first=first, step=step)
            for name in sorted(tallies, key=lambda v: _latest(tallies[v]))
        ),
        versions_left_out=len(found[most:]),
        server=read_server(client, address=address),
    )


def read_server(client: "redis.Redis", *, address: str) -> ServerFacts:
    """The numbers of the whole server. Some services leave some of them out."""
    info = client.info()
    name = info.get("server_name") or "redis"
    hits, misses = _whole(info, "keyspace_hits"), _whole(info, "keyspace_misses")
    asked = (hits or 0) + (misses or 0)
    return ServerFacts(
        software=f"{name} {info.get(f'{name}_version') or info.get('redis_version') or ''}".strip(),
        address=address,
        keys=client.dbsize(),
        used_memory_bytes=_whole(info, "used_memory"),
        max_memory_bytes=_whole(info, "maxmemory") or None,
        policy=str(info.get("maxmemory_policy") or ""),
        evicted_keys=_whole(info, "evicted_keys"),
        expired_keys=_whole(info, "expired_keys"),
        clients=_whole(info, "connected_clients"),
        max_clients=_whole(info, "maxclients"),
        keyspace_hits=hits,
        keyspace_misses=misses,
        hit_rate=(hits or 0) / asked if asked else None,
        uptime_seconds=_whole(info, "uptime_in_seconds"),
    )


def quantile_ms(buckets: Sequence[int], share: float) -> float | None:
    """The value below which `share` of the answers lie, by straight interpolation inside its bucket.

    `buckets` counts answers up to each bound of BUCKETS_US and, last, above all of them, for which the
    highest bound is given: it is a lower limit then.
    """
    wanted = share * sum(buckets)
    if not wanted:
        return None
    below, passed = 0.0, 0
    for bound, count in zip(BUCKETS_US, buckets, strict=False):
        if count and passed + count >= wanted:
            return (below + (bound - below) * (wanted - passed) / count) / 1000
        below, passed = bound, passed + count
    return BUCKETS_US[-1] / 1000


def _versions(client: "redis.Redis", space: KeySpace) -> list[str]:
    """By their names, those of the newest data epochs first, for an epoch is never lowered."""
    found = cast(Iterable[bytes], client.smembers(space.versions))
    return sorted((raw.decode(errors="replace") for raw in found), key=lambda name: (-_epoch(name), name))


def _epoch(version: str) -> int:
    epoch = version.partition("-e")[2]
    return int(epoch) if epoch.isdecimal() and len(epoch) < 19 else 0


def _forget_unused(client: "redis.Redis", space: KeySpace, versions: Iterable[str], *, last: int) -> None:
    minutes = range(last - KEPT_MINUTES, last + 1)
    for version in versions:
        if not _busy(client, _parts(space, version, minutes, size=MOST_MINUTES)):
            client.srem(space.versions, version)


def _parts(space: KeySpace, version: str, minutes: range, *, size: int) -> list[list[str]]:
    return [
        [space.statistics(version, minute) for minute in minutes[start : start + size]]
        for start in range(0, len(minutes), size)
    ]


def _busy(client: "redis.Redis", parts: list[list[str]]) -> list[int]:
    """Indexes of the parts in which anything was counted."""
    asked = client.pipeline(transaction=False)
    for keys in parts:
        asked.exists(*keys)
    return [index for index, some in enumerate(asked.execute()) if some]


def _sums(
    client: "redis.Redis", space: KeySpace, version: str, minutes: range, *, step: int
) -> Iterator[tuple[int, Counter[str]]]:
    """The counters of parts of every step, each with its first minute; parts without any are passed over."""
    size = min(step, MOST_MINUTES)
    parts = _parts(space, version, minutes, size=size)
    busy = _busy(client, parts)
    asked = client.pipeline(transaction=False)
    for index in busy:
        asked.eval(_SUM, len(parts[index]), *parts[index])
    for index, told in zip(busy, asked.execute(), strict=True):
        names, sums = told[::2], told[1::2]
        yield (
            minutes[index * size],
            Counter({_field(name): _number(count) for name, count in zip(names, sums, strict=True)}),
        )


def _version(name: str, tally: _Tally, *, first: int, step: int) -> VersionStatistics:
    return VersionStatistics(
        **_counts(tally.whole),
        **_times(tally.whole),
        version=name,
        rates=tuple(_rate(counts) for counts in tally.steps),
        series=_series(tally, first=first, step=step),
    )


def _series(tally: _Tally, *, first: int, step: int) -> tuple[Point, ...]:
    return tuple(Point(at=_moment(first + index * step), **_counts(counts)) for index, counts in enumerate(tally.steps))


def _latest(tally: _Tally) -> int:
    """Sorts the version that answered last to the front."""
    return -max(index for index, counts in enumerate(tally.steps) if counts)


def _counts(counts: Counter[str]) -> dict[str, Any]:
    names = ("hits", "misses", "bypasses", "errors", "joins", "local_hits", "rows_hit", "rows_missed")
    told = {name: counts[name] for name in names}
    return {**told, "hit_rate": _rate(counts), "saved_seconds": counts["saved_us"] / 1e6}


def _times(counts: Counter[str]) -> dict[str, Any]:
    spans = {name: _latency(counts, name) for name in ("hit", "miss", "predict", "redis")}
    return {**spans, "saved": savings(counts)}


def _rate(counts: Counter[str]) -> float | None:
    asked = counts["hits"] + counts["misses"]
    return counts["hits"] / asked if asked else None


def _latency(counts: Counter[str], which: str) -> Latency:
    buckets = [counts[f"{which}_le_{bound}"] for bound in (*BUCKETS_US, "inf")]
    return Latency(median_ms=quantile_ms(buckets, 0.5), p95_ms=quantile_ms(buckets, 0.95))


def _moment(minute: int) -> datetime:
    return datetime.fromtimestamp(minute * 60, UTC)


def _whole(info: dict[str, Any], name: str) -> int | None:
    found = info.get(name)
    return found if isinstance(found, int) else None


def _field(raw: bytes) -> str:
    return raw.decode(errors="replace")


def _number(raw: bytes) -> int:
    try:
        return int(raw)
    except ValueError:
        return 0
