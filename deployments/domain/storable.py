"""What a database can keep of JSON: finite numbers, and no U+0000 or half of a surrogate pair in its texts."""

import json
import math
import re
from typing import Any

REPLACEMENT = "\ufffd"

# RFC 8259, 7: an escaped backslash and a whole pair are told apart from what looks like the half of one.
_ESCAPES = re.compile(
    r"\\\\|\\u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2}|(?P<bad>\\u(?:0000|[dD][89a-fA-F][0-9a-fA-F]{2}))"
)


def finite(text: str) -> float:
    """A number of JSON, for `json.loads(parse_float=…)`. Raises ValueError for 1e999, which no float can hold."""
    number = float(text)
    if not math.isfinite(number):
        raise ValueError(f"{text[:40]} is too large a number")
    return number


def is_storable(value: Any) -> bool:
    """Whether the texts of a JSON value can be kept. Raises RecursionError where it is nested too deeply."""
    # json.dumps escapes whatever is suspicious, so that one look finds it at any depth.
    return not any(found["bad"] for found in _ESCAPES.finditer(json.dumps(value)))


def mended_json(text: str) -> str:
    """JSON text with U+FFFD for every escape that could not be kept."""
    return _ESCAPES.sub(lambda found: REPLACEMENT if found["bad"] else found[0], text)


def mended_text(text: str) -> str:
    """Decoded text with U+FFFD for every U+0000."""
    return text.replace("\0", REPLACEMENT)
