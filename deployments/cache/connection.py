"""Connections to the cache of one deployment, with failures told as what a person can do about them."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from ..domain.errors import Unavailable

CONNECT_TIMEOUT = 1.0  # seconds
READ_TIMEOUT = 3.0


@dataclass(frozen=True, slots=True)
class CacheAddress:
    """Where a cache is, and the prefix that all keys of its deployment begin with.

    `socket` is the path of a Unix socket, used where it is given.
    """

    prefix: str
    host: str
    port: int
    password: str = field(repr=False)
    socket: str = ""

    def __str__(self) -> str:
        return self.socket or f"{self.host}:{self.port}"


class SignInRefused(Unavailable):
    """The cache does not take the password: it was changed since it was read."""

    code = "cache_sign_in_refused"


@contextmanager
def opened(address: CacheAddress) -> Iterator["redis.Redis"]:
    """A client that answers in bytes, closed at the end.

    Raises SignInRefused for a wrong password, Unavailable while the server does not answer or cannot do
    what it is asked.
    """
    client = redis.Redis(
        host=address.host,
        port=address.port,
        unix_socket_path=address.socket or None,
        password=address.password or None,
        socket_connect_timeout=CONNECT_TIMEOUT,
        socket_timeout=READ_TIMEOUT,
        # The page is the retry: it says at once what is wrong instead of waiting for it to pass.
        retry=Retry(NoBackoff(), 0),
        client_name="scoring-console",
    )
    try:
        with client:
            yield client
    except (redis.AuthenticationError, redis.exceptions.NoPermissionError) as error:
        raise SignInRefused(
            f"The cache at {address} does not accept the console's password.",
            cause="The password was changed after the console read it.",
            action="Try again; if it stays so, start a restart run of the deployment.",
            raw=str(error),
        ) from None
    except (redis.TimeoutError, redis.exceptions.BusyLoadingError) as error:
        raise Unavailable(
            f"The cache at {address} does not answer in time.",
            code="cache_slow",
            cause="It is starting, overloaded, or the network to it is slow. The function answers from the model.",
            action="Try again in a moment; look at its log if it stays so.",
            raw=str(error),
        ) from None
    except redis.ConnectionError as error:
        raise Unavailable(
            f"The cache at {address} cannot be reached.",
            code="cache_unreachable",
            cause="Its server has stopped, or the network between is cut. The function answers from the model.",
            action="Start a restart run of the deployment to bring the cache back.",
            raw=str(error),
        ) from None
    except redis.ResponseError as error:
        raise Unavailable(
            "The cache refused what the console asked.",
            code="cache_refused",
            cause=str(error),
            action="Look whether the server still has the configuration that the console gave it.",
            raw=str(error),
        ) from None
