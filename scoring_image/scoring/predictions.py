"""One prediction: ask the scorer, measure it, and say in our words what went wrong."""

from __future__ import annotations

import logging
import time

from scoring.errors import ScoringError
from scoring.inputs import Request
from scoring.model import Scorer
from scoring.outputs import OutputError

log = logging.getLogger("scoring")


def predict(scorer: Scorer, request: Request) -> tuple[bytes, float]:
    """The answer's JSON and the seconds it took. Raises ScoringError 500 for whatever the model raises."""
    start = time.perf_counter()
    try:
        output = scorer.score(request)
    except ScoringError:
        raise
    except OutputError as error:
        log.exception("the model's answer cannot be sent")
        raise ScoringError(
            500,
            "bad_output",
            f"The model answered, but {error}.",
            "Return numbers, strings, lists or arrays; a wrapper around the model can convert the rest.",
        ) from error
    except (Exception, SystemExit) as error:
        log.exception("the model raised")
        raise ScoringError(
            500,
            "model_error",
            f"The model raised {type(error).__name__}: {error}",
            "The request fits what the model declares, so the fault is in the model or its code; "
            "the function's log has the trace.",
        ) from error
    return output, time.perf_counter() - start


def measured(scorer: Scorer, request: Request, *, times: int = 3) -> float:
    """The least seconds of some predictions, after a first one that pays for what is done only once.

    Raises ScoringError.
    """
    predict(scorer, request)
    return min(predict(scorer, request)[1] for _ in range(times))
