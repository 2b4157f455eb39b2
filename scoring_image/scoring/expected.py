"""What a model's answers look like, by the manifest: a stored one that looks otherwise was not stored by us.

Whoever can write to Redis can write an entry that carries the right version and epoch. It cannot be told whether the
numbers in it are the model's, but that they are numbers, and as many as were asked for.
"""

from __future__ import annotations

import logging
from types import GenericAlias
from typing import Annotated, Any

import msgspec

from scoring.manifest import Output

# Of an answer's cells, by what the dtype starts with; JSON has no word for NaN and the infinities, which become null.
_CELLS: tuple[tuple[str, Any], ...] = (
    ("float", float | None),
    ("int", int),
    ("uint", int),
    ("bool", bool),
    ("string", str | None),
)

log = logging.getLogger("scoring.cache")


class Expected:
    """What is expected of stored answers, and of one row's part of them; without an `output` nothing is."""

    def __init__(self, output: Output | None) -> None:
        self._whole: msgspec.json.Decoder[Any] | None = None
        self._row: msgspec.json.Decoder[Any] | None = None
        # How many lists deep the rows are; 0 where there are none.
        self._depth = 0
        if output is not None:
            row, self._depth = _row_of(output)
            whole = {0: row, 1: _list(row), 2: _list(_list(row), output.outputs)}[self._depth]
            self._whole = msgspec.json.Decoder(whole)
            self._row = None if row is Any else msgspec.json.Decoder(row)

    def fits(self, output: bytes, rows: int | None) -> bool:
        """Whether this can be the answer to so many rows; for None, that to one row within an answer."""
        decoder = self._row if rows is None else self._whole
        if decoder is None:
            return True
        try:
            value = decoder.decode(output)
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
            return False
        if rows is None or not self._depth:
            return True
        if self._depth == 1:
            return len(value) == rows
        return all(len(part) == rows for part in value)

    def learn(self, output: bytes, rows: int | None) -> None:
        """Take note of what the model itself answers: where the manifest is wrong about it, expect nothing any more."""
        if not self.fits(output, rows):
            self._whole = self._row = None
            log.warning("the model's answers are not what the manifest says; stored ones are not compared with it")


def _row_of(output: Output) -> tuple[Any, int]:
    """The type of what an answer holds for one row, and how many lists deep that is."""
    if output.kind == "records":
        return dict[str, Any], 1
    cell = next((cell for name, cell in _CELLS if output.dtype.startswith(name)), Any)
    if output.kind == "list":
        # An array for each output: of a value for each row, or of a score for each class.
        return (Any if cell is Any else cell | _list(cell)), 2
    if output.shape is None:
        return Any, 1
    row = cell
    for size in reversed(output.shape[1:]):
        row = _list(row, size)
    return row, 1 if output.shape else 0


def _list(item: Any, size: int | None = None) -> Any:
    """The type of a list, of so many items where that is known."""
    items = GenericAlias(list, (item,))
    return items if size is None else Annotated[items, msgspec.Meta(min_length=size, max_length=size)]
