"""Becomes the embedded Redis server of the Celery broker: no TCP port, no eviction, kept on disk."""

import os
from typing import NoReturn

from console.home import Home
from deployments.redis_server import find_server, server_config


def main() -> NoReturn:
    home = Home.from_environment()
    server = find_server()
    config = server_config(
        directory=home.broker,
        password=home.broker_password(),
        unixsocket=home.broker_socket,
        policy="noeviction",
        appendonly=True,
    )
    # The server reads its configuration from stdin; a pipe's buffer holds it whole, so nobody stays behind.
    read, write = os.pipe()
    os.write(write, config.encode())
    os.close(write)
    os.dup2(read, 0)
    os.close(read)
    os.execv(server, [str(server), "-"])  # noqa: S606


if __name__ == "__main__":
    main()
