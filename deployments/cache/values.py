"""Stored values read as the JSON they should be; anything else is told for what it is, never an error."""

import json
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

NOTHING: Any = object()
"""Marks an input that the value does not hold, which is not the same as null."""

ANSWER_PREVIEW = 80  # characters


@dataclass(frozen=True, slots=True)
class StoredValue:
    """What a value says. `problem` tells why it is not an entry; `cut` says that only its beginning was read."""

    output: Any = NOTHING
    model_version: str = ""
    epoch: int = 0
    stored_at: datetime | None = None
    input: Any = NOTHING
    problem: str = ""
    cut: bool = False


def read_value(head: bytes, *, cut: bool) -> StoredValue:
    """Read the scoring server's `{"output", "model_version", "epoch", "at"[, "input"]}`.

    `cut` says that `head` is the beginning of a longer value: then the members that it holds in full are read.
    """
    try:
        text = head.decode()
    except UnicodeDecodeError as error:
        if not cut or error.start < len(head) - 4:
            return StoredValue(problem="not_text", cut=cut)
        text = head[: error.start].decode()
    try:
        members = _members_of_beginning(text) if cut else json.loads(text, parse_constant=_refuse)
    except (ValueError, RecursionError):
        return StoredValue(problem="not_json", cut=cut)
    if not isinstance(members, dict):
        return StoredValue(problem="not_an_entry", cut=cut)
    if not cut and not ("output" in members and isinstance(members.get("model_version"), str)):
        return StoredValue(problem="not_an_entry")
    version, epoch = members.get("model_version"), members.get("epoch")
    return StoredValue(
        output=members.get("output", NOTHING),
        model_version=version if isinstance(version, str) else "",
        epoch=epoch if isinstance(epoch, int) else 0,
        stored_at=_moment(members.get("at")),
        input=members.get("input", NOTHING),
        cut=cut,
    )


def answer_preview(output: Any) -> str:
    """A line of the answer: the value itself where it is one alone, else the JSON, shortened."""
    if output is NOTHING:
        return ""
    if isinstance(output, list) and len(output) == 1 and not isinstance(output[0], list | dict):
        output = output[0]
    text = output if isinstance(output, str) else json.dumps(output, ensure_ascii=False, separators=(",", ":"))
    # Whoever can write to the cache can write half a surrogate pair, which no answer of ours could carry.
    text = text.encode(errors="replace").decode()
    return text if len(text) <= ANSWER_PREVIEW else f"{text[: ANSWER_PREVIEW - 1]}…"


def _members_of_beginning(text: str) -> dict[str, Any]:
    """The members of an object that end before the text is cut off. Raises ValueError for what is no object."""
    decoder = json.JSONDecoder(parse_constant=_refuse)
    members: dict[str, Any] = {}
    at = _after_space(text, 0)
    if text[at : at + 1] != "{":
        raise ValueError("no object")
    while True:
        try:
            name, at = decoder.raw_decode(text, _after_space(text, at + 1))
            at = _after_space(text, at)
            if not isinstance(name, str) or text[at] != ":":
                raise ValueError("no member")
            value, at = decoder.raw_decode(text, _after_space(text, at + 1))
            at = _after_space(text, at)
            # A number may go on after the cut: it is whole only where something follows it.
            if text[at] not in ",}":
                raise ValueError("no member")
        except (ValueError, IndexError):
            if not members and text[_after_space(text, 1) : _after_space(text, 1) + 1] != '"':
                raise ValueError("no member") from None
            return members
        members[name] = value


def _after_space(text: str, at: int) -> int:
    while at < len(text) and text[at] in " \t\r\n":
        at += 1
    return at


def _moment(text: Any) -> datetime | None:
    try:
        found = datetime.fromisoformat(text)
    except (TypeError, ValueError):
        return None
    return found if found.tzinfo else found.replace(tzinfo=UTC)


def _refuse(constant: str) -> None:
    raise ValueError(f"{constant} is not JSON")
