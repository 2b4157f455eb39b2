"""The entries of one deployment, page by page: only SCAN, only inside its prefix, never a whole key list."""

import base64
import binascii
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, cast

import redis
from pydantic import BaseModel, ConfigDict

from ..domain.errors import ConsoleError, NotFound
from .keys import EntryName, KeySpace
from .values import NOTHING, StoredValue, answer_preview, read_value

SECONDS_PER_PAGE = 0.3
KEYS_PER_PAGE = 20_000  # looked at, of which a small deployment on a shared server may own few
KEYS_PER_SCAN = 1_000  # one call of at most about a millisecond to the server's other users
ROW_PREVIEW = 4 * 1024  # bytes of each value on a page
VALUE_PREVIEW = 64 * 1024  # bytes of the one value that is opened
DELETE_BATCH = 500
DELETE_SECONDS = 20.0
MAX_LIMIT = 200


class Frozen(BaseModel):
    model_config = ConfigDict(frozen=True)


class EntryRow(Frozen):
    """One entry as a list shows it.

    `ttl_seconds` is null where it does not expire; `hits_hint` is the server's approximate use counter (0 to
    255), null where its policy keeps none; `problem` tells what is wrong with a value that no function wrote.
    """

    key: str
    kind: str
    model_version: str
    digest: str
    ttl_seconds: float | None
    size_bytes: int
    hits_hint: int | None = None
    answer_preview: str = ""
    stored_at: datetime | None = None
    input: Any = None
    has_input: bool = False
    problem: str = ""


class EntryPage(Frozen):
    """Some entries, and how much of the server's keys was looked at for them since the first page.

    `cursor` is what the next page is asked with, null at the end. `total` counts all keys of the server.
    """

    entries: tuple[EntryRow, ...]
    cursor: str | None
    scanned: int
    total: int


class EntryDetail(EntryRow):
    """One entry with what is stored, as far as it is shown; `cut` where the value is longer."""

    full_model_version: str = ""
    epoch: int = 0
    output: Any = None
    text: str = ""
    cut: bool = False
    length: int = 0


@dataclass(frozen=True, slots=True)
class Position:
    """Where a walk stands: the server's cursor, the keys looked at, and those found but not yet shown."""

    scan: int = 0
    scanned: int = 0
    pending: tuple[bytes, ...] = ()
    started: bool = False

    def write(self) -> str | None:
        """As the opaque text that a caller hands back; None where nothing is left."""
        if self.started and self.scan == 0 and not self.pending:
            return None
        waiting = base64.urlsafe_b64encode(b"\n".join(self.pending)).decode().rstrip("=")
        return f"{self.scan}.{self.scanned}.{waiting}"

    @classmethod
    def read(cls, text: str) -> "Position":
        """Read what `write` wrote; an empty text is the beginning. Raises ConsoleError for anything else."""
        if text in ("", "0"):
            return cls()
        try:
            scan, scanned, waiting = text.split(".")
            found = base64.b64decode(waiting + "=" * (-len(waiting) % 4), altchars=b"-_", validate=True)
            if not (0 <= int(scan) < 2**64 and 0 <= int(scanned) < 2**64):
                raise ValueError(text)
            pending = tuple(key for key in found.split(b"\n") if key)
            return cls(scan=int(scan), scanned=int(scanned), pending=pending, started=True)
        except (ValueError, binascii.Error):
            raise ConsoleError(
                "The cursor is not one that this list gave.",
                action="Begin again without a cursor.",
                field="cursor",
            ) from None


def list_entries(
    client: "redis.Redis",
    space: KeySpace,
    *,
    cursor: str = "",
    match: str = "",
    version: str = "",
    limit: int = 50,
    with_inputs: bool = False,
) -> EntryPage:
    """At most `limit` entries after a cursor; fewer where the budget of time or keys is spent before.

    Every entry that is there from the first page to the last is on at least one of them.
    """
    limit = max(1, min(limit, MAX_LIMIT))
    total = client.dbsize()
    whole = space.whole_key(match.strip())
    if whole is not None:
        found = [whole.encode()] if client.exists(whole) else []
        return EntryPage(entries=_rows(client, space, found, with_inputs), cursor=None, scanned=total, total=total)
    keys, position = _next_keys(client, space, Position.read(cursor), match=match, version=version, limit=limit)
    after = position.write()
    return EntryPage(
        entries=_rows(client, space, keys, with_inputs),
        cursor=after,
        scanned=min(position.scanned, total) if after else total,
        total=total,
    )


def read_entry(client: "redis.Redis", space: KeySpace, key: str, *, with_input: bool = False) -> EntryDetail:
    """One entry with what is stored. Raises NotFound, also for a key outside the prefix."""
    name = space.name(key)
    if name is None:
        raise _no_such(key)
    (facts,) = _asked(client, [key], VALUE_PREVIEW)
    row = _row(key, name, facts, with_input)
    if row is None:
        raise _no_such(key)
    value = facts.value()
    # What is not an entry, or is cut somewhere inside, may hold an input that cannot be told apart.
    shown = with_input or not (value.problem or value.cut or value.input is not NOTHING)
    return EntryDetail(
        **row.model_dump(),
        full_model_version=value.model_version,
        epoch=value.epoch,
        output=None if value.output is NOTHING else value.output,
        text=facts.text() if shown else "",
        cut=value.cut,
        length=facts.length if isinstance(facts.length, int) else 0,
    )


def walk(
    client: "redis.Redis", space: KeySpace, *, match: str = "", version: str = "", seconds: float = DELETE_SECONDS
) -> Iterator[list[str] | None]:
    """All entries that match, in batches without repetition inside one; a None says that the time ran out."""
    whole = space.whole_key(match.strip())
    if whole is not None:
        if client.exists(whole):
            yield [whole]
        return
    until, position = time.monotonic() + seconds, 0
    pattern = space.pattern(match, version=version)
    while True:
        position, found = _scan(client, position, pattern, KEYS_PER_SCAN)
        keys = [key for raw in found if space.rest(key := _name(raw)) is not None]
        if keys:
            yield keys
        if position == 0:
            return
        if time.monotonic() > until:
            yield None
            return


def unlink(client: "redis.Redis", space: KeySpace, keys: Sequence[str]) -> int:
    """Take entries away without holding the server up; returns how many were there.

    Raises ConsoleError for a key that is not an entry of this deployment, before anything is deleted.
    """
    for key in keys:
        if space.rest(key) is None:
            raise ConsoleError(
                f"{key[:200]} is not an entry of this deployment.",
                action=f"Name keys that begin with {space.prefix}:, as the list of entries gives them.",
                field="keys",
                code="outside_prefix",
            )
    batches = [keys[start : start + DELETE_BATCH] for start in range(0, len(keys), DELETE_BATCH)]
    return sum(client.unlink(*batch) for batch in batches)


def _next_keys(
    client: "redis.Redis", space: KeySpace, position: Position, *, match: str, version: str, limit: int
) -> tuple[list[bytes], Position]:
    pattern = space.pattern(match, version=version)
    # What the caller hands back is not trusted: a pending key counts only inside the prefix.
    ready = dict.fromkeys(key for key in position.pending if space.rest(_name(key)) is not None)
    scan, scanned, started = position.scan, position.scanned, position.started
    waiting, looked, until = len(ready), 0, time.monotonic() + SECONDS_PER_PAGE
    while len(ready) < limit and not (started and scan == 0):
        # A call looks at hardly more keys than it is asked to, so asking for no more than are missing, by the
        # share that was ours until now, leaves few found and not shown.
        share = (len(ready) - waiting) / looked if looked else 1.0
        count = min(KEYS_PER_SCAN, max(10, int((limit - len(ready)) / max(share, 0.01))))
        scan, found = _scan(client, scan, pattern, count)
        started, looked = True, looked + count
        ready.update(dict.fromkeys(key for key in found if space.rest(_name(key)) is not None))
        if looked >= KEYS_PER_PAGE or time.monotonic() > until:
            break
    keys = list(ready)
    return keys[:limit], Position(scan=scan, scanned=scanned + looked, pending=tuple(keys[limit:]), started=started)


def _scan(client: "redis.Redis", cursor: int, pattern: str, count: int) -> tuple[int, list[bytes]]:
    return cast(tuple[int, list[bytes]], client.scan(cursor, match=pattern, count=count))


def _rows(client: "redis.Redis", space: KeySpace, keys: Sequence[bytes], with_inputs: bool) -> tuple[EntryRow, ...]:
    """The attributes of one page's keys, asked in one round trip."""
    rows = []
    for key, facts in zip(map(_name, keys), _asked(client, keys, ROW_PREVIEW), strict=True):
        name = space.name(key)
        row = _row(key, name, facts, with_inputs) if name else None
        if row is not None:
            rows.append(row)
    return tuple(rows)


@dataclass(frozen=True, slots=True)
class Facts:
    """What the server answered about one key; each may be an error: a foreign type, another policy."""

    lifetime: Any  # milliseconds; -1 without end, -2 for no such key
    size: Any
    uses: Any
    length: Any
    head: Any

    def value(self) -> StoredValue:
        if not isinstance(self.head, bytes) or not isinstance(self.length, int):
            return StoredValue(problem="not_a_string")
        return read_value(self.head, cut=self.length > len(self.head))

    def text(self) -> str:
        head = self.head if isinstance(self.head, bytes) else b""
        return head.decode(errors="backslashreplace").replace("\0", "\\x00")


def _asked(client: "redis.Redis", keys: Sequence[str | bytes], preview: int) -> list[Facts]:
    asked = client.pipeline(transaction=False)
    # Looking must not count as use: the server would keep longer what people look at. Older ones than
    # Redis 7.2 refuse it, and then the counter is at least read before the value.
    asked.execute_command("CLIENT", "NO-TOUCH", "ON")
    for key in keys:
        asked.pttl(key)
        asked.memory_usage(key)
        asked.object("FREQ", key)
        asked.strlen(key)
        asked.getrange(key, 0, preview - 1)
    answers = asked.execute(raise_on_error=False)[1:] if keys else []
    return [Facts(*answers[start : start + 5]) for start in range(0, len(answers), 5)]


def _row(key: str, name: EntryName, facts: Facts, with_input: bool) -> EntryRow | None:
    """None for a key that has gone since it was found."""
    if facts.lifetime == -2:
        return None
    value = facts.value()
    has_input = value.input is not NOTHING
    # Some services do not offer MEMORY USAGE; the value's own length is the next best.
    size = next((size for size in (facts.size, facts.length) if isinstance(size, int)), 0)
    return EntryRow(
        key=key,
        kind=name.kind,
        model_version=name.version,
        digest=name.digest,
        ttl_seconds=facts.lifetime / 1000 if isinstance(facts.lifetime, int) and facts.lifetime >= 0 else None,
        size_bytes=size,
        hits_hint=facts.uses if isinstance(facts.uses, int) else None,
        answer_preview=answer_preview(value.output),
        stored_at=value.stored_at,
        input=value.input if has_input and with_input else None,
        has_input=has_input,
        problem=value.problem,
    )


def _name(raw: bytes) -> str:
    return raw.decode(errors="backslashreplace")


def _no_such(key: str) -> NotFound:
    return NotFound(
        f"There is no entry {key[:200]}.",
        cause="It has expired, was evicted or deleted, or is not of this deployment.",
        action="Send the same input again to store it anew.",
    )
