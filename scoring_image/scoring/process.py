"""One server process: serve at once, open the model meanwhile, drain on SIGTERM."""

from __future__ import annotations

import logging
import socket

from scoring.drain import Server
from scoring.handler import handlers
from scoring.manifest import ManifestError, read_manifest
from scoring.server import Application
from scoring.service import Service
from scoring.settings import Settings

NOT_OPENED = 3

log = logging.getLogger("scoring")


def serve(settings: Settings, listener: socket.socket) -> int:
    """Run until SIGTERM or SIGINT.

    0 after a clean end, 2 where the package cannot be used, 3 where somebody waits for the model and it cannot be
    opened, 70 where it got stuck.
    """
    try:
        manifest = read_manifest(settings.root)
    except ManifestError as error:
        log.error("cannot start: %s", error)
        return 2
    service = Service(settings, manifest)
    server = Server(service, Application(service, handlers=handlers(service)))
    log.info("listening on %s", listener.getsockname())
    server.run(sockets=[listener])
    if settings.ready_fd is not None and service.failure is not None:
        return NOT_OPENED
    return server.outcome
