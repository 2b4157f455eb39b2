"""How long what failed rests before it is tried again, and when it is tried alone."""

import random

ALONE_AFTER = 2  # times that the function ended with it: no other should be lost with the third
_SHORTEST, _FIRST, _LONGEST = 0.1, 0.25, 30.0  # seconds


def pause_before(tries: int, *, hopeless: bool) -> float:
    """Seconds before the next try after so many; what failed together does not come again together.

    A refusal that is sure to come again is repeated only because the host in Azure does so, and soon.
    """
    if hopeless:
        return _SHORTEST
    return min(_FIRST * 2.0**tries, _LONGEST) * random.uniform(0.5, 1.0)  # noqa: S311 - nobody is to be kept out
