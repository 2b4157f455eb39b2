"""Runs the engine in a child process that kills itself with SIGKILL at the n-th point it passes.

A point is every SQL statement, and every file that a target renames or deletes: nothing in the engine
knows of it, so no point can be forgotten.
"""

import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from django.db import connection, connections


def crashed_at(point: int, world: Path, work: Callable[[], None]) -> bool:
    """Do the work in a child that dies at its `point`-th point; True if it died, False if there are fewer points."""
    connections.close_all()
    child = os.fork()
    if child == 0:
        _live_until(point, world, work)
    _, status = os.waitpid(child, 0)
    if os.WIFSIGNALED(status):
        assert os.WTERMSIG(status) == signal.SIGKILL
        return True
    assert os.WEXITSTATUS(status) == 0, "the child failed before it could be killed"
    return False


def _live_until(point: int, world: Path, work: Callable[[], None]) -> None:
    passed = 0

    def count() -> None:
        nonlocal passed
        if passed == point:
            os.kill(os.getpid(), signal.SIGKILL)
        passed += 1

    def statement(execute: Callable[..., Any], sql: str, params: Any, many: bool, context: dict[str, Any]) -> Any:
        count()
        return execute(sql, params, many, context)

    def audited(event: str, args: tuple[Any, ...]) -> None:
        if event in ("os.rename", "os.remove", "shutil.rmtree") and str(args[0]).startswith(str(world)):
            count()

    sys.addaudithook(audited)
    try:
        with connection.execute_wrapper(statement):
            work()
    except BaseException:
        sys.excepthook(*sys.exc_info())
        os._exit(1)
    os._exit(0)
