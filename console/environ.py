"""Reads yes-or-no and list values from environment variables."""

import os


def flag(name: str, *, default: bool) -> bool:
    """A yes or no; anything but 1, true, yes and on is a no, and an empty value is the default."""
    value = os.environ.get(name, "").strip().lower()
    return value in {"1", "true", "yes", "on"} if value else default


def names(name: str) -> list[str]:
    """The parts of a comma-separated list."""
    return [part.strip() for part in os.environ.get(name, "").split(",") if part.strip()]
