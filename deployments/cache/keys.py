"""Names of a deployment's keys: which are entries, and how a search stays inside the prefix.

The layout is the scoring server's: `{prefix}:{16 hex of the model version}[-e{epoch}]:{q|r}:{32 hex}` for
entries; `{prefix}:versions`, `{prefix}:epoch` and `{prefix}:stats:…` are its bookkeeping.
"""

import re
from dataclasses import dataclass

KINDS = {"q": "request", "r": "row"}

_ENTRY = re.compile(r"^(?P<version>[0-9a-f]{16}(?:-e[0-9]+)?):(?P<kind>[qr]):(?P<digest>[0-9a-f]{32})$")
_BOOKKEEPING = ("versions", "epoch", "stats:")


@dataclass(frozen=True, slots=True)
class EntryName:
    """The parts of an entry's key; `kind` is `request` or `row`, and `other` for what no server of ours wrote."""

    version: str
    kind: str
    digest: str


@dataclass(frozen=True, slots=True)
class KeySpace:
    """All keys that begin with one prefix; nothing here ever names a key outside it."""

    prefix: str

    @property
    def versions(self) -> str:
        return f"{self.prefix}:versions"

    @property
    def epoch(self) -> str:
        """Name of the key that holds the data epoch, and of the channel that tells its changes."""
        return f"{self.prefix}:epoch"

    def statistics(self, version: str, minute: int) -> str:
        """`minute` is Unix time in whole minutes."""
        return f"{self.prefix}:stats:{version}:{minute}"

    def rest(self, key: str) -> str | None:
        """What follows the prefix; None for a key outside it and for bookkeeping, which are not entries."""
        start = f"{self.prefix}:"
        rest = key.removeprefix(start)
        if not key.startswith(start) or not rest or rest in _BOOKKEEPING or rest.startswith(_BOOKKEEPING[-1]):
            return None
        return rest

    def name(self, key: str) -> EntryName | None:
        """The parts of a key inside the prefix; None for one that is outside or bookkeeping."""
        rest = self.rest(key)
        if rest is None:
            return None
        found = _ENTRY.match(rest)
        if found is None:
            return EntryName(version="", kind="other", digest=rest)
        return EntryName(version=found["version"], kind=KINDS[found["kind"]], digest=found["digest"])

    def whole_key(self, match: str) -> str | None:
        """The key that a search names in full, with or without the prefix; None for a part of one."""
        rest = match.removeprefix(f"{self.prefix}:")
        return f"{self.prefix}:{rest}" if _ENTRY.match(rest) else None

    def pattern(self, match: str = "", *, version: str = "") -> str:
        """A Redis glob for a search inside the prefix.

        A text with `*` or `?` is compared with all that follows the prefix (or the version, where one is
        given); any other is looked for anywhere in it. Nothing else has a special meaning.
        """
        start = _literal(f"{self.prefix}:{version}:" if version else f"{self.prefix}:")
        wanted = match.strip().removeprefix(f"{self.prefix}:")
        if not wanted:
            return f"{start}*"
        if "*" in wanted or "?" in wanted:
            return start + re.sub(r"[\[\]\\]", r"\\\g<0>", wanted)
        return f"{start}*{_literal(wanted)}*"


def _literal(text: str) -> str:
    return re.sub(r"[*?\[\]\\]", r"\\\g<0>", text)
