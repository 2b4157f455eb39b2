"""`python -m scoring`: bind, and serve in one process or in several."""

from __future__ import annotations

import importlib
import logging
import os
import socket
import sys

from scoring.settings import Settings, SettingsError, settings_from
from scoring.supervisor import Supervisor, cores, end_with_supervisor


def main() -> int:
    """Run until SIGTERM or SIGINT; 0 after a clean end, 2 where settings or package cannot be used."""
    logging.basicConfig(format="%(asctime)s %(levelname)s %(name)s: %(message)s", stream=sys.stderr)
    log = logging.getLogger("scoring")
    try:
        settings = settings_from(os.environ)
        log.setLevel(settings.log_level)
        listener = bind(settings)
    except (SettingsError, ValueError, OSError) as error:
        log.error("cannot start: %s", error)
        return 2
    count = settings.processes or cores()
    if count > 1 and settings.predictor_fd is None:
        return Supervisor(
            count=count,
            listener=listener.fileno(),
            ready_fd=settings.ready_fd,
            predict_seconds=settings.predict_seconds,
        ).run()
    end_with_supervisor(settings.predict_seconds)
    # Not imported above: a supervisor needs nothing of it.
    served: int = importlib.import_module("scoring.process").serve(settings, listener)
    return served


def bind(settings: Settings) -> socket.socket:
    """The inherited listening socket, or a new one on loopback. Raises OSError: the port is taken."""
    if settings.fd is not None:
        return socket.socket(fileno=settings.fd)
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listener.bind(("127.0.0.1", settings.port))
    # The kernel queues callers from here on, before the event loop is up.
    listener.listen(1024)
    return listener


if __name__ == "__main__":
    code = main()
    logging.shutdown()
    # A model that is still being opened or is stuck in a prediction must not hold up the end.
    os._exit(code)
