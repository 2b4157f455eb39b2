"""What a prediction will probably take, from what predictions have taken."""

from __future__ import annotations

_WEIGHT = 0.05
_USUAL_WEIGHT = 0.1


class Cost:
    """Seconds of one prediction: a fixed part and a part for each row, both measured when the model was opened.

    Measurements that follow scale them, for a machine is not as fast at all times.
    """

    def __init__(self, *, one: float, many: float, rows: int) -> None:
        """`one` is the time of one row, `many` that of `rows` rows, more than one."""
        self._row = max(0.0, many - one) / (rows - 1)
        self._fixed = max(0.0, one - self._row)
        self._scale = 1.0

    def of(self, rows: int) -> float:
        """The seconds that so many rows will probably take."""
        return (self._fixed + self._row * rows) * self._scale

    def learn(self, rows: int, took: float) -> None:
        """Take in one prediction."""
        expected = self._fixed + self._row * rows
        if expected > 0:
            self._scale += _WEIGHT * (took / expected - self._scale)


class Usual:
    """The seconds that predictions usually take, by size; for models whose time is learnt as it comes."""

    def __init__(self) -> None:
        self._seconds: dict[int, float] = {}

    def of(self, size: int) -> float:
        """The seconds of this size, else of the next smaller one that is known; 0 where there is none."""
        if (known := self._seconds.get(size)) is not None:
            return known
        return self._seconds[max(smaller)] if (smaller := [other for other in self._seconds if other < size]) else 0.0

    def learn(self, size: int, took: float) -> None:
        """Take in one prediction."""
        usual = self._seconds.get(size, took)
        self._seconds[size] = usual + _USUAL_WEIGHT * (took - usual)


def size_of(rows: int) -> int:
    """Requests of one size have up to twice as many rows as others of it."""
    return rows.bit_length()
