"""Paths of blobs with expressions, `container/{name}.csv`: matched against a blob, and filled for its answer."""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from uuid import uuid4

# Names that the Functions host fills by itself; as for all expressions, their case makes no difference.
SYSTEM: Mapping[str, Callable[[datetime], str]] = {
    "rand-guid": lambda now: str(uuid4()),
    "datetime": lambda now: now.strftime("%Y-%m-%dT%H-%M-%SZ"),
}
MOST_PATH_BYTES = 1024  # of a blob's name in Azure Storage
POISON = "webjobs-blobtrigger-poison"  # the Functions host's container for what it gave up
_MOST_EXPRESSIONS = 3  # in path_in
_MOST_PART_BYTES = 200  # of a name in a folder here, with room for what is put around it while it is written
_EXPRESSION = re.compile(r"\{([^{}]*)\}")
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_-]*")
_CONTAINER = re.compile(r"[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?")


@dataclass(frozen=True)
class BlobPath:
    """One path; `parse` makes it."""

    text: str

    @classmethod
    def parse(cls, text: str) -> "BlobPath":
        """Raises ValueError with a sentence for what is wrong."""
        container, slash, pattern = text.partition("/")
        if not slash or not pattern:
            raise ValueError("name a container and a blob in it, for example scoring-in/{name}")
        if not _CONTAINER.fullmatch(container):
            raise ValueError("a container's name has lower-case letters, digits and hyphens, and no expression")
        bare = _EXPRESSION.sub("", pattern)
        if "{" in bare or "}" in bare:
            raise ValueError("braces come in pairs around a name: {name}")
        if any(part in ("", ".", "..") for part in pattern.split("/")) or "\\" in bare or not pattern.isprintable():
            raise ValueError("between the slashes come names, not an empty one, a dot or two")
        for name in _EXPRESSION.findall(pattern):
            if not _NAME.fullmatch(name):
                raise ValueError(f"{{{name[:40]}}} is no expression; use letters, digits and underscores")
        return cls(text)

    @property
    def container(self) -> str:
        return self.text.partition("/")[0]

    @property
    def names(self) -> tuple[str, ...]:
        """The expressions' names in lower case, in order."""
        return tuple(name.lower() for name in _EXPRESSION.findall(self.text))

    def match(self, blob: str) -> dict[str, str] | None:
        """What each expression stands for in `blob`, its name inside the container; None where it does not match.

        As in the Functions host an expression also takes slashes, and the first takes as much as it can.
        """
        if len(blob) > MOST_PATH_BYTES:
            return None
        found = self._found(blob)
        if found is None:
            return None
        values: dict[str, str] = {}
        for name, value in zip(_EXPRESSION.findall(self.text), found, strict=True):
            if values.setdefault(name, value) != value:
                return None
        return values

    def fill(self, values: Mapping[str, str], *, now: datetime) -> str:
        """The blob's name inside the container. Raises ValueError for one that no store should be given."""
        lower = {name.lower(): value for name, value in values.items()}

        def value(found: re.Match[str]) -> str:
            name = found[1].lower()
            return lower[name] if name in lower else SYSTEM[name](now)

        filled = _EXPRESSION.sub(value, self.text.partition("/")[2])
        if len(filled.encode("utf-8", "surrogatepass")) > MOST_PATH_BYTES:
            raise ValueError("the answer's name would be too long")
        for part in filled.split("/"):
            if part in ("", ".", "..") or "\0" in part or "\\" in part:
                raise ValueError(f"“{filled[:80]}” is no name for the answer")
            if len(part.encode("utf-8", "surrogatepass")) > _MOST_PART_BYTES:
                raise ValueError("a part of the answer's name would be too long")
        return filled

    def _found(self, blob: str) -> list[str] | None:
        """What stands for each expression, in order.

        From the end, each text between two expressions is looked for as far to the right as it can be: so the first
        expression takes the most, as it would with a regular expression, but no name takes long.
        """
        first, *between = self._pieces
        if not between:
            return [] if blob == first else None
        last = between.pop()
        end = len(blob) - len(last)
        if not blob.startswith(first) or not blob.endswith(last) or end <= len(first):
            return None
        values: list[str] = []
        for piece in reversed(between):
            at = blob.rfind(piece, len(first) + 1, end - 1)
            if at < 0:
                return None
            values.append(blob[at + len(piece) : end])
            end = at
        return [blob[len(first) : end], *reversed(values)]

    @cached_property
    def _pieces(self) -> list[str]:
        """The texts around the expressions."""
        return _EXPRESSION.split(self.text.partition("/")[2])[::2]


def checked_paths(path_in: str, path_out: str) -> tuple[BlobPath, BlobPath]:
    """Both paths of a trigger. Raises ValueError, also for an expression of the second that nothing fills."""
    first, second = BlobPath.parse(path_in), BlobPath.parse(path_out)
    for name in second.names:
        if name not in first.names and name not in SYSTEM:
            raise ValueError(f"{{{name}}} in path_out is not in path_in, so that nothing fills it")
    if system := [name for name in first.names if name in SYSTEM]:
        raise ValueError(f"{{{system[0]}}} in path_in is a name that the host fills by itself; choose another")
    if len(first.names) > _MOST_EXPRESSIONS or len(set(first.names)) < len(first.names):
        raise ValueError(f"path_in has at most {_MOST_EXPRESSIONS} expressions, each of them once")
    if "}{" in path_in:
        raise ValueError("between two expressions in path_in comes a text that parts them, such as {day}-{name}")
    if first.container == second.container:
        raise ValueError("path_in and path_out need different containers, or each answer triggers the next")
    if POISON in (first.container, second.container):
        raise ValueError(f"{POISON} is where the host tells of what it gave up; choose another container")
    return first, second
