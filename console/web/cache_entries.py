"""Stored answers as the inspector lists and opens them."""

import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _

from console.web.cache_chart import Version
from deployments.cache.inspector import EntryDetail, EntryRow

PROBLEMS: dict[str, str | Promise] = {
    "not_text": _("Not text: no function of this console wrote it."),
    "not_json": _("Not JSON: no function of this console wrote it."),
    "not_an_entry": _("JSON, but not an entry: no function of this console wrote it."),
    "not_a_string": _("Not a value but a collection: no function of this console wrote it."),
}
LOW = 0.1  # of its life left: drawn as about to end
MOST_SHOWN = 6_000  # characters of a value that are laid out


@dataclass(frozen=True, slots=True)
class Listed:
    """A line of the list; `ttl` is what entries of this deployment are given, in seconds (0: no end)."""

    row: EntryRow
    version: Version
    ttl: int

    @property
    def problem(self) -> str | Promise:
        return PROBLEMS.get(self.row.problem, self.row.problem)

    @property
    def left(self) -> float:
        """The share of its life that is left."""
        if self.row.ttl_seconds is None or not self.ttl:
            return 1.0
        return min(self.row.ttl_seconds / self.ttl, 1.0)

    @property
    def left_width(self) -> str:
        return f"{self.left * 100:.0f}%"

    @property
    def is_low(self) -> bool:
        return self.left < LOW


@dataclass(frozen=True, slots=True)
class Opened:
    """The entry that is opened, with its value laid out for reading."""

    row: EntryDetail
    version: Version
    text: str
    problem: str | Promise
    shortened: bool


_ORDERS: dict[str, Callable[[Listed], Any]] = {
    "ttl": lambda line: line.row.ttl_seconds if line.row.ttl_seconds is not None else float("inf"),
    "size": lambda line: line.row.size_bytes,
    "use": lambda line: line.row.hits_hint or 0,
    "stored": lambda line: line.row.stored_at.timestamp() if line.row.stored_at else 0.0,
}


def sorted_rows(lines: list[Listed], order: str) -> list[Listed]:
    """Sorted within the page; most used first where nothing is asked for."""
    key = _ORDERS.get(order.removeprefix("-"))
    if key is None:
        return sorted(lines, key=_ORDERS["use"], reverse=True)
    return sorted(lines, key=key, reverse=order.startswith("-"))


def opened(entry: EntryDetail, version: Version) -> Opened:
    """Lay a value out: one member a line where it is an entry, as it is where it is anything else."""
    text = _by_members(entry.text) if not (entry.problem or entry.cut) else entry.text
    return Opened(
        row=entry,
        version=version,
        text=text[:MOST_SHOWN],
        problem=PROBLEMS.get(entry.problem, entry.problem),
        shortened=entry.cut or len(text) > MOST_SHOWN,
    )


def _by_members(text: str) -> str:
    try:
        members = json.loads(text)
    except ValueError:
        return text
    if not isinstance(members, dict):
        return text
    lines = [f"{json.dumps(name)}: {json.dumps(value, ensure_ascii=False)}" for name, value in members.items()]
    return ("{" + ",\n ".join(lines) + "}").encode(errors="replace").decode()
