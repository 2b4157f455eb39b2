"""What the endpoints share: responses of errors for the document, and path parameters."""

from typing import Any

from console.api.problems import Problem


def refusals(*statuses: int) -> dict[int, Any]:
    """The errors that an operation may answer with, beside 401 for a missing or wrong token."""
    return dict.fromkeys((401, *statuses), Problem)
