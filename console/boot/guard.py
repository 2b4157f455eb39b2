"""What has to hold before a start: one console per home, nothing left of a killed one, a free port."""

import fcntl
import os
import socket
from typing import IO

import psutil

from console.boot.progress import Refused, say
from console.home import Home

# Set for everything that the supervisor starts, so that what outlived a killed bin/up is known for ours.
MARK = "CONSOLE_SUPERVISED_FOR"


def take(home: Home) -> IO[str]:
    """Hold the home until the returned file is closed, or this process ends in whatever way.

    Raises Refused while another bin/up holds it.
    """
    held = (home.var / "up.lock").open("a+", encoding="utf-8")
    try:
        fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        held.seek(0)
        pid = held.read().strip() or "unknown"
        held.close()
        raise Refused(
            f"A console is already up on {home.root} (process {pid}). Use that one, stop it first,"
            " or give this one a home of its own: CONSOLE_HOME=/another/folder PORT=8001 bin/up"
        ) from None
    held.truncate(0)
    held.write(f"{os.getpid()}\n")
    held.flush()
    return held


def check_port(host: str, port: int) -> None:
    """Raises Refused when the web server could not listen there."""
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        with socket.socket(family, kind, protocol) as trial:
            trial.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            trial.bind(address)
    except OSError as error:
        raise Refused(
            f"The console cannot listen on {host} port {port}: {error.strerror}. If another program has"
            f" the port, stop it or choose another port: PORT={port + 1} bin/up"
        ) from error


def end_leftovers(home: Home, *, patience: float = 5) -> None:
    """End what an earlier bin/up of this home started and, being killed, could not end itself."""
    found = [process for process in psutil.process_iter() if _is_ours(process, home)]
    if not found:
        return
    say(f"Ending {len(found)} processes of an earlier start that was killed")
    for process in found:
        _signal(process, "terminate")
    _, stubborn = psutil.wait_procs(found, timeout=patience)
    for process in stubborn:
        _signal(process, "kill")
    psutil.wait_procs(stubborn, timeout=patience)


def _is_ours(process: psutil.Process, home: Home) -> bool:
    try:
        # A Redis server writes its title over its environment; the title names the socket it listens on.
        title = f"unixsocket:{home.broker_socket}"
        return process.environ().get(MARK) == str(home.root) or title in " ".join(process.cmdline())
    except (psutil.Error, OSError):
        return False  # another user's process, or one that has just ended


def _signal(process: psutil.Process, verb: str) -> None:
    try:
        getattr(process, verb)()
    except psutil.NoSuchProcess:
        return
