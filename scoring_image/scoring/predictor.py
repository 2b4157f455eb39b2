"""`python -m scoring.predictor`: a process that does nothing but predict, so that slow models hold up nobody else.

It has one end of a connected socket, whose descriptor is in SCORING_PREDICTOR_FD, and waits there to be told which
package to open; until then it has imported nothing but the standard library. It ends with 0 when the other end is
closed, told or not.
"""

from __future__ import annotations

import importlib
import json
import logging
import os
import socket
import sys

_LENGTH_BYTES = 4


def main() -> int:
    """Wait to be told, serve until the other end is closed; 2 where there is no socket."""
    logging.basicConfig(format="%(asctime)s %(levelname)s %(name)s: %(message)s", stream=sys.stderr, level="INFO")
    descriptor = os.environ.pop("SCORING_PREDICTOR_FD", "")
    if not descriptor.isdigit():
        logging.getLogger("scoring").error("SCORING_PREDICTOR_FD must hold the descriptor of a connected socket")
        return 2
    with socket.socket(fileno=int(descriptor)) as connection, connection.makefile("rb") as frames:
        head = frames.read(_LENGTH_BYTES)
        if len(head) < _LENGTH_BYTES:
            return 0
        told = json.loads(frames.read(int.from_bytes(head, "little")))
        # Heavy, and not needed at all where the model turns out to be fast.
        serve = importlib.import_module("scoring.predicting").serve
        serve(connection, frames, root=told["open"], seconds=told["seconds"])
    return 0


if __name__ == "__main__":
    code = main()
    logging.shutdown()
    os._exit(code)
