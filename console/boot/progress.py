"""The lines that bin/up prints while it works, each with the seconds since it was started."""

import os
import time

_STARTED = float(os.environ.get("CONSOLE_STARTED_AT") or time.time())


class Refused(Exception):
    """The console cannot come up; the text says what is in the way and what to do."""


def say(message: str) -> None:
    print(f"[{time.time() - _STARTED:6.1f} s] {message}", flush=True)
