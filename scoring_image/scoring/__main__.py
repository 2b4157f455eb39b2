"""`python -m scoring`: bind, serve at once, open the model meanwhile, drain on SIGTERM."""

from __future__ import annotations

import logging
import os
import signal
import socket
import sys

import uvicorn

from scoring.handler import handlers
from scoring.manifest import ManifestError, read_manifest
from scoring.server import Application
from scoring.service import Service
from scoring.settings import Settings, SettingsError, settings_from

# How long answers that are being worked on may take after SIGTERM.
DRAIN_SECONDS = 25

log = logging.getLogger("scoring")


def main() -> int:
    """Run until SIGTERM or SIGINT; 0 after a clean end, 2 where settings or package cannot be used."""
    logging.basicConfig(format="%(asctime)s %(levelname)s %(name)s: %(message)s", stream=sys.stderr)
    try:
        settings = settings_from(os.environ)
        logging.getLogger("scoring").setLevel(settings.log_level)
        listener = bind(settings)
        manifest = read_manifest(settings.root)
    except (SettingsError, ManifestError, ValueError, OSError) as error:
        log.error("cannot start: %s", error)
        return 2
    service = Service(settings, manifest)
    server = uvicorn.Server(
        uvicorn.Config(
            Application(service, handlers=handlers(service)),
            http="httptools",
            ws="none",
            loop="auto",
            lifespan="on",
            log_config=None,
            access_log=False,
            server_header=False,
            timeout_graceful_shutdown=DRAIN_SECONDS,
        )
    )
    # uvicorn raises the signal again when it is done; by then there is nothing left to interrupt.
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: None)
    log.info("listening on %s", listener.getsockname())
    server.run(sockets=[listener])
    return 0


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
