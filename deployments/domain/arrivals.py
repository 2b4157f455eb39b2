"""What is put before a function that blobs or messages call, and what became of it."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Protocol, runtime_checkable

from .resources import Context


@dataclass(frozen=True, slots=True)
class Arrival:
    """A blob or a message; `name` is a blob's path in its container, empty for one that is made up."""

    content: bytes
    name: str = ""
    content_type: str = ""
    properties: Mapping[str, str] = field(default_factory=dict)


class FateState(StrEnum):
    WAITING = "waiting"
    DONE = "done"
    POISONED = "poisoned"


@dataclass(frozen=True, slots=True)
class Fate:
    """What became of one; `output` is None where it is not done, or where its answer is no longer to be found.

    `quotes_input` where the reason may hold a part of what was put there.
    """

    state: FateState
    output: bytes | None = None
    reason: str = ""
    quotes_input: bool = False


@dataclass(frozen=True, slots=True)
class Tally:
    """How many wait or are being scored, are done, and were given up."""

    waiting: int
    done: int
    poisoned: int


@runtime_checkable
class Inbox(Protocol):
    """A resource that something can be put into. Every method raises Unavailable where it cannot be reached."""

    def put(self, ctx: Context, arrival: Arrival) -> str:
        """Put it there, whole; returns a ticket. Raises ConsoleError for one that would never be taken."""

    def fate(self, ctx: Context, ticket: str) -> Fate:
        """What became of what the ticket is for. Raises NotFound for a ticket that is none."""

    def tally(self, ctx: Context) -> Tally | None:
        """None where it was not counted yet."""
