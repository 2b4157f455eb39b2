"""Entries: what is stored under a key, as JSON that can be read as it stands and is never trusted blindly."""

from __future__ import annotations

import time
from datetime import datetime
from typing import Any

import msgspec

from scoring.calls import MARK, storable


class _Entry(msgspec.Struct):
    output: msgspec.Raw
    model_version: str
    epoch: int


class _Stamp(msgspec.Struct):
    at: datetime


_DECODER = msgspec.json.Decoder(_Entry)
_STAMPS = msgspec.json.Decoder(_Stamp)


def encode_entry(output: bytes, *, model_version: str, epoch: int, given: bytes | None = None) -> bytes:
    """`{"output", "model_version", "epoch", "at"[, "input"]}`, with the output's bytes exactly as they are.

    `given` is the JSON of the input as it may be shown; left out where it is None.
    """
    at = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
    head = b'{"output":%b,"model_version":"%b","epoch":%d,"at":"%b"' % (
        output,
        model_version.encode(),
        epoch,
        at.encode(),
    )
    return head + b"}" if given is None else b'%b,"input":%b}' % (head, given)


def output_of(stored: Any, *, model_version: str, epoch: int) -> bytes | None:
    """The output's bytes, or None where what is stored is not an entry of this model version and epoch."""
    try:
        entry = _DECODER.decode(stored)
        if entry.model_version != model_version or entry.epoch != epoch:
            return None
        output = bytes(entry.output)
        # The decoder checks the JSON it skips over, but not the encoding of its strings.
        if not output.isascii():
            output.decode()
        if output.startswith(MARK) and not storable(output):
            return None
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError, TypeError):
        return None
    return output


def stored_at(stored: bytes) -> float | None:
    """When the entry was stored, in seconds of the Unix epoch; None where it does not say."""
    try:
        return _STAMPS.decode(stored).at.timestamp()
    except (msgspec.MsgspecError, OverflowError):
        return None
