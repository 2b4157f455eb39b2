"""Runs the engine in a child process that kills itself with SIGKILL at the n-th point it passes.

A point is every SQL statement that writes, and every file that a target renames or deletes. Between two points
nothing changes outside the process, so a kill anywhere else leaves what a kill at the next point leaves. Nothing
in the engine knows of them, so none can be forgotten.
"""

import os
import shutil
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from django.db import connection, connections

READS = ("SELECT", "BEGIN", "SAVEPOINT", "PRAGMA")


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


class Snapshot:
    """The database's file and the pretended world as they are now, to begin from again at every point."""

    def __init__(self, world: Path) -> None:
        self._database = Path(connection.settings_dict["NAME"])
        self._world = world
        self._copies = world.with_name("snapshot")
        with connection.cursor() as cursor:
            cursor.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        connections.close_all()
        world.mkdir(exist_ok=True)
        shutil.copytree(world, self._copies / "world")
        shutil.copy(self._database, self._copies / "database")

    def restore(self) -> None:
        connections.close_all()
        for suffix in ("-wal", "-shm"):
            self._database.with_name(self._database.name + suffix).unlink(missing_ok=True)
        shutil.copy(self._copies / "database", self._database)
        shutil.rmtree(self._world)
        shutil.copytree(self._copies / "world", self._world)


def _live_until(point: int, world: Path, work: Callable[[], None]) -> None:
    passed = 0

    def count() -> None:
        nonlocal passed
        if passed == point:
            os.kill(os.getpid(), signal.SIGKILL)
        passed += 1

    def statement(execute: Callable[..., Any], sql: str, params: Any, many: bool, context: dict[str, Any]) -> Any:
        if not sql.startswith(READS):
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
