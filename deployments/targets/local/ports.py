"""Loopback ports: chosen once for a resource, kept in its state file, and told apart from a stranger's."""

import random
import socket

from ...domain.errors import ErrorDetail, ResourceFailed
from .folders import Folder, read_json, write_json

# Below the range from which Linux and macOS take the source ports of outgoing connections, so that a port
# is still free when its owner comes back after a stop.
FIRST, LAST = 20_000, 32_000
HOST = "127.0.0.1"
_TRIES = 200


def known_port(folder: Folder) -> int:
    """The port chosen for the folder's resource; 0 where none was."""
    return int(read_json(folder.state).get("port", 0))


def is_confirmed(folder: Folder) -> bool:
    """Whether the resource was once seen working on its port."""
    return bool(read_json(folder.state).get("confirmed"))


def confirm_port(folder: Folder) -> None:
    """Remember that the port has been in use by us: from now on others may know it, so it is kept."""
    state = read_json(folder.state)
    if not state.get("confirmed"):
        write_json(folder.state, {**state, "confirmed": True})


def reserve_port(folder: Folder) -> int:
    """The resource's port, chosen on the first call.

    A port that nobody was told of yet is chosen anew where a stranger has it. One that is known is kept: its
    child waits a moment for a predecessor to leave it, and says so when a stranger has it.
    """
    state = read_json(folder.state)
    port = int(state.get("port", 0))
    if port and (state.get("confirmed") or is_free(port)):
        return port
    port = _free_port()
    write_json(folder.state, {**state, "port": port, "confirmed": False})
    return port


def port_taken(port: int) -> ErrorDetail:
    """What a child reports that finds its port in other hands."""
    return ErrorDetail(
        "port_in_use",
        f"Port {port} on this machine is used by another program.",
        "The port was given to this resource when it was first made, and is kept so that its address stays the same. "
        "While it was stopped, another program took it.",
        f"Find that program with “ss -ltnp sport = :{port}”, stop it and retry; or destroy the deployment and deploy "
        "it again on a new port.",
    )


def is_free(port: int) -> bool:
    """Whether a server could listen on the loopback port now."""
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
            probe.listen(1)
        except OSError:
            return False
    return True


def _free_port() -> int:
    for _ in range(_TRIES):
        port = random.randint(FIRST, LAST)  # noqa: S311 - not a secret
        if is_free(port):
            return port
    raise ResourceFailed(
        f"No free port was found between {FIRST} and {LAST}.",
        code="no_free_port",
        cause="Very many servers run on this machine.",
        action="Destroy deployments that are not needed, then retry.",
    )
