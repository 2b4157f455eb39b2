"""Masks known secret values before a line is stored: whole, in plain, base64 and URL-encoded form."""

import base64
import re
from collections.abc import Iterable
from urllib.parse import quote, quote_plus

MASK = "••••••••"
_ESCAPE = re.compile(r"%[0-9A-F]{2}")  # hexadecimal digits of either case mean the same
_SHORTEST = 4  # shorter values would mask ordinary text and protect nothing


class Redactor:
    """Replaces every form of the values it was given; built anew for each visit, never stored."""

    def __init__(self, values: Iterable[str]) -> None:
        forms = sorted({form for value in values for form in _forms(value)}, key=len, reverse=True)
        self._pattern = re.compile("|".join(map(re.escape, forms))) if forms else None

    def __call__(self, text: str) -> str:
        return self._pattern.sub(MASK, text) if self._pattern else text


def _lower(escape: re.Match[str]) -> str:
    return escape[0].lower()


def _forms(value: str) -> set[str]:
    """The spellings under which a value may turn up in a log line."""
    forms: set[str] = set()
    # Of user:password, the password alone is a secret as well.
    password = value.partition(":")[2]
    for part in {value, value.strip(), *value.splitlines(), password}:
        if len(part) < _SHORTEST:
            continue
        raw = part.encode()
        quoted = {quote(part, safe=""), quote(part), quote_plus(part)}
        forms |= {part, repr(part)[1:-1], *quoted, *(_ESCAPE.sub(_lower, form) for form in quoted)}
        # Inside a longer text base64 starts at one of three alignments; the middle that
        # does not depend on its neighbours is masked for each.
        for shift in range(3):
            for encode in (base64.b64encode, base64.urlsafe_b64encode):
                encoded = encode(b"\0" * shift + raw).decode().rstrip("=")
                start = (0, 2, 3)[shift]
                end = len(encoded) - (1 if (shift + len(raw)) % 3 else 0)
                if end - start >= _SHORTEST:
                    forms.add(encoded[start:end])
    return forms
