"""A Redis or Valkey server of a deployment's own, on loopback, its data on disk: what cache and queue share."""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, replace

import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from ...domain.errors import ErrorDetail
from ...domain.resources import (
    Broken,
    Context,
    Observation,
    Pending,
    Ready,
)
from ...redis_server import FUNCTION_USER, find_server, server_config
from . import children
from .children import Look, Phase
from .folders import Folder, write_json
from .logs import tail
from .ports import HOST, confirm_port, is_confirmed, known_port, port_taken, reserve_port
from .resource import LocalResource

SOCKET = "redis.sock"
_TIMEOUT = 1.0  # seconds that a look at the server may take


@dataclass(kw_only=True)
class RedisChild(LocalResource, ABC):
    """A supervised server; subclasses say how it keeps what it holds. `noun` names it within a sentence."""

    noun: str = ""
    timeout: float = 60.0

    @abstractmethod
    def fingerprint(self, ctx: Context) -> str:
        """Digest of what the server is configured with."""

    @property
    @abstractmethod
    def memory_mb(self) -> int:
        """The most that it may hold."""

    @property
    @abstractmethod
    def policy(self) -> str:
        """What it does when that is reached, as `maxmemory-policy` names it."""

    @property
    @abstractmethod
    def more_config(self) -> str:
        """Lines of configuration about how it keeps its data."""

    def function_rules(self, ctx: Context) -> tuple[str, ...]:
        """What the user may do whose password a function is given; none where no function has a way to it."""
        return ()

    def observe(self, ctx: Context) -> Observation:
        look = children.look(self.folder)
        if (observed := self.coming_or_going(look.phase)) is not None:
            return observed
        if look.phase == Phase.ENDED:
            return Broken(self._ended())
        return self._running(look)

    def create(self, ctx: Context) -> None:
        """Start the server, or change the limit and the function's rights of one that runs.

        Raises Unavailable where there is no server to start.
        """
        look = children.look(self.folder)
        self.refuse_while_ending(look.phase)
        wanted = self.fingerprint(ctx)
        if look.phase == Phase.RUNNING and look.fingerprint != wanted and self._change(ctx):
            write_json(self.folder.job, {**look.job, "fingerprint": wanted})
            return
        folder = self.folder
        folder.make()
        port = reserve_port(folder)
        (folder.path / "data").mkdir(exist_ok=True, mode=0o700)
        folder.sockets.mkdir(parents=True, exist_ok=True)
        folder.sockets.chmod(0o755)  # whatever the umask: the function's own user reaches the socket through it
        config = server_config(
            directory=folder.path / "data",
            password=folder.secret("password"),
            port=port,
            unixsocket=folder.sockets / SOCKET,
            maxmemory_bytes=self.memory_mb * 1024 * 1024,
            policy=self.policy,
            function_rules=self.function_rules(ctx),
        )
        children.spawn(
            folder,
            argv=[str(find_server()), "-"],
            job={"fingerprint": wanted},
            env=children.plain_environment(),
            stdin=config + self.more_config,
        )

    def secrets(self, ctx: Context) -> Mapping[str, str]:
        password = self.folder.known_secret("password")
        return {"password": password} if password else {}

    def _running(self, look: Look) -> Observation:
        try:
            with connect(self.folder) as client:
                server = client.info("server")
        except (redis.exceptions.BusyLoadingError, redis.exceptions.ConnectionError, redis.exceptions.TimeoutError):
            return Pending("The server does not answer yet.")
        except redis.exceptions.RedisError as error:
            return Broken(
                ErrorDetail(
                    f"{self.noun}_refuses",
                    f"The {self.noun} server refuses the console.",
                    "Its password file was changed or lost.",
                    "Restart the deployment.",
                    raw=str(error),
                )
            )
        confirm_port(self.folder)
        version = server.get("valkey_version") or server["redis_version"]
        return Ready(
            {
                "host": HOST,
                "port": known_port(self.folder),
                "socket": str(self.folder.sockets / SOCKET),
                "server": f"{server.get('server_name', 'redis')} {version}",
            },
            look.fingerprint,
        )

    def _change(self, ctx: Context) -> bool:
        try:
            with connect(self.folder) as client:
                client.config_set("maxmemory", self.memory_mb * 1024 * 1024)
                if rules := self.function_rules(ctx):
                    client.execute_command("ACL SETUSER", FUNCTION_USER, *rules)
        except redis.exceptions.RedisError:
            return False  # it is started anew then
        return True

    def _server(self) -> str:
        return str(next(iter(children.look(self.folder).job.get("argv", ())), "The server"))

    def _ended(self) -> ErrorDetail:
        lines = tail(self.folder.logs)
        text = "\n".join(lines)
        if "in use" in text:
            return replace(port_taken(known_port(self.folder)), raw=text)
        if "No space left" in text:
            cause = "The disk is full."
        elif "Can't load" in text or "corrupt" in text.lower() or "Bad file format" in text:
            cause = "Its saved data cannot be read."
        elif not is_confirmed(self.folder):
            return ErrorDetail(
                f"{self.noun}_start",
                f"The {self.noun} server could not start.",
                f"{self._server()} ended at once: it is no Redis server, is damaged, or refuses its configuration.",
                "Read its last lines, correct what they name or set REDIS_SERVER to a server that runs, then retry.",
                raw=text,
            )
        else:
            cause = (
                "It was ended from outside: by the system when memory ran out, a restart of the machine, or a person."
            )
        return ErrorDetail(
            f"{self.noun}_ended",
            f"The {self.noun} server is not running any more.",
            cause,
            "Restart the deployment. Its last log lines say more.",
            raw=text,
        )


def connect(folder: Folder, *, texts: bool = True, seconds: float = _TIMEOUT) -> "redis.Redis":
    """A client of the server in the folder, with short timeouts; `texts` decodes what it answers.

    It repeats nothing by itself: what was sent may have been done, and some of it must not be done twice.
    """
    return redis.Redis(
        unix_socket_path=str(folder.sockets / SOCKET),
        password=folder.known_secret("password"),
        socket_timeout=seconds,
        socket_connect_timeout=seconds,
        decode_responses=texts,
        retry=Retry(NoBackoff(), 0),
    )
