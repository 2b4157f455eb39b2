"""What a prediction will probably take, from what predictions have taken."""

from __future__ import annotations

_WEIGHT = 0.05


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
