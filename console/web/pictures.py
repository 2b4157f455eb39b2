"""Inputs that are small pictures: 64 numbers from 0 to 16 are an 8 by 8 image and are drawn as one."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

SIDE = 8
BRIGHTEST = 16


@dataclass(frozen=True, slots=True)
class Pixel:
    """A cell that is not empty; `opacity` as SVG takes it, whatever the reader's language."""

    x: int
    y: int
    opacity: str


def first_row(given: Any) -> Any:
    """The first row of an input, which may be rows, one row, or an object that holds rows under one name."""
    if isinstance(given, dict) and len(given) == 1 and isinstance(rows := next(iter(given.values())), list):
        given = rows
    if isinstance(given, list) and given and isinstance(given[0], list | dict):
        return given[0]
    return given


def is_picture(row: Any) -> bool:
    """Whether a row is an 8 by 8 image."""
    return (
        isinstance(row, Sequence)
        and len(row) == SIDE * SIDE
        and all(type(cell) in (int, float) and 0 <= cell <= BRIGHTEST for cell in row)
    )


def pixels(given: Any) -> list[Pixel]:
    """The cells of the first row of an input, where that is a picture; else none."""
    row = first_row(given)
    if not is_picture(row):
        return []
    return [Pixel(index % SIDE, index // SIDE, f"{cell / BRIGHTEST:.2f}") for index, cell in enumerate(row) if cell > 0]
