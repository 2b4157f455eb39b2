"""The settings of one function process, read once from environment variables."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from math import isfinite
from pathlib import Path
from typing import Literal, cast
from urllib.parse import SplitResult, parse_qs, unquote, urlsplit

Policy = Literal["on", "off", "auto"]
StoreInput = Literal["whole", "masked", "none"]
Keys = Literal["request", "row"]
CacheAuth = Literal["password", "entra"]

# Requests that may be under way in one process: what the model cannot answer in time is better refused at once.
MOST_WAITING = 2_000


class SettingsError(Exception):
    """A variable holds something that cannot be used; the message names it and never repeats a secret."""


@dataclass(frozen=True, slots=True)
class RedisAddress:
    """Where the cache is and how to sign in: a host and port, or the path of a unix socket.

    With `auth` entra, `username` is the identity's object id and there is no password: a token takes its place.
    `client_id` names a managed identity that was assigned by a user; empty for the machine's own.
    """

    host: str
    port: int
    path: str | None
    db: int
    username: str
    password: str = field(repr=False)
    tls: bool
    ca_file: str | None
    auth: CacheAuth = "password"
    client_id: str = ""


@dataclass(frozen=True, slots=True)
class Settings:
    """Everything that the environment decides; durations are in seconds.

    `processes` is 0 for as many as the cores. `gain` is how many times faster the executed form of the model was
    than its original when the package was made.
    """

    root: Path
    port: int
    fd: int | None
    function_keys: tuple[str, ...] = field(repr=False)
    policy: Policy
    cache: RedisAddress | None
    prefix: str
    ttl: int
    timeout: float
    store_input: StoreInput
    masked_fields: frozenset[str]
    epoch_floor: int
    log_level: str
    ready_fd: int | None
    predictor_fd: int | None
    processes: int
    local_bytes: int
    keys: Keys
    digest_key: bytes = field(repr=False)
    predict_seconds: float
    most_waiting: int
    gain: float | None


def settings_from(environ: Mapping[str, str]) -> Settings:
    """Read the `SCORING_*` variables. Raises SettingsError."""
    url = environ.get("SCORING_CACHE_URL", "")
    password = environ.get("SCORING_CACHE_PASSWORD", "")
    auth = cast(CacheAuth, _choice("SCORING_CACHE_AUTH", environ, ("password", "entra")))
    cache = redis_address(url, password) if url else None
    if cache is not None and auth == "entra":
        cache = _with_identity(cache, environ)
    port = environ.get("SCORING_PORT") or environ.get("FUNCTIONS_CUSTOMHANDLER_PORT") or "8080"
    return Settings(
        root=Path(environ.get("SCORING_ROOT") or Path.cwd()).resolve(),
        port=_integer("SCORING_PORT", port, most=65535),
        fd=_descriptor("SCORING_FD", environ),
        function_keys=_names(environ.get("SCORING_FUNCTION_KEYS", "")),
        policy=cast(Policy, _choice("SCORING_CACHE_POLICY", environ, ("on", "off", "auto"))),
        cache=cache,
        prefix=environ.get("SCORING_CACHE_PREFIX") or "scoring",
        ttl=_integer("SCORING_CACHE_TTL", environ.get("SCORING_CACHE_TTL") or "0"),
        timeout=max(1, _integer("SCORING_CACHE_TIMEOUT_MS", environ.get("SCORING_CACHE_TIMEOUT_MS") or "50")) / 1000,
        store_input=cast(StoreInput, _choice("SCORING_STORE_INPUT", environ, ("whole", "masked", "none"))),
        masked_fields=frozenset(_names(environ.get("SCORING_MASKED_FIELDS", ""))),
        epoch_floor=_integer("SCORING_DATA_EPOCH", environ.get("SCORING_DATA_EPOCH") or "0"),
        log_level=(environ.get("SCORING_LOG_LEVEL") or "INFO").upper(),
        ready_fd=_descriptor("SCORING_READY_FD", environ),
        predictor_fd=_descriptor("SCORING_PREDICTOR_FD", environ),
        processes=_integer("SCORING_PROCESSES", environ.get("SCORING_PROCESSES") or "0", most=1024),
        local_bytes=_integer("SCORING_LOCAL_MB", environ.get("SCORING_LOCAL_MB") or "0") * 1024 * 1024,
        keys=cast(Keys, _choice("SCORING_KEYS", environ, ("request", "row"))),
        digest_key=environ.get("SCORING_DIGEST_KEY", "").encode(),
        predict_seconds=_predict_seconds(environ),
        most_waiting=max(1, _integer("SCORING_MOST_WAITING", environ.get("SCORING_MOST_WAITING") or str(MOST_WAITING))),
        gain=_ratio("SCORING_EXECUTION_GAIN", environ.get("SCORING_EXECUTION_GAIN", "")),
    )


def redis_address(url: str, password: str = "") -> RedisAddress:
    """Read `redis://[user:password@]host:port/db`, `rediss://...` or `unix:///path?db=0`.

    `password` wins over the URL's. `rediss` checks the server's certificate and its name; the query's
    `ssl_ca_certs` is a file of authorities to trust instead of the system's. Raises SettingsError.
    """
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        raise _bad_url("it cannot be read as a URL") from None
    query = {name: values[-1] for name, values in parse_qs(parts.query).items()}
    if parts.scheme not in ("redis", "rediss", "unix"):
        raise _bad_url("its scheme must be redis, rediss or unix")
    local = parts.scheme == "unix"
    if not (parts.path if local else parts.hostname):
        raise _bad_url("it names no socket path" if local else "it names no host")
    return RedisAddress(
        host=parts.hostname or "",
        port=port or 6379,
        path=unquote(parts.path) if local else None,
        db=_database(parts, query),
        username=unquote(parts.username or "") or "default",
        password=password or unquote(parts.password or ""),
        tls=parts.scheme == "rediss",
        ca_file=query.get("ssl_ca_certs"),
    )


def _with_identity(address: RedisAddress, environ: Mapping[str, str]) -> RedisAddress:
    user = environ.get("SCORING_CACHE_USER", "")
    if not user:
        raise SettingsError("SCORING_CACHE_USER must hold the object id of the identity that signs in to the cache")
    client = environ.get("SCORING_CACHE_CLIENT_ID", "")
    return replace(address, auth="entra", username=user, password="", client_id=client)


def _database(parts: SplitResult, query: Mapping[str, str]) -> int:
    text = query.get("db") or ("" if parts.scheme == "unix" else parts.path.strip("/")) or "0"
    if not text.isdigit():
        raise _bad_url("its database must be a number")
    return int(text)


def _bad_url(what: str) -> SettingsError:
    return SettingsError(f"SCORING_CACHE_URL cannot be used: {what}")


def _integer(name: str, text: str, *, most: int | None = None) -> int:
    if not text.isdigit() or (most is not None and int(text) > most):
        raise SettingsError(f"{name} must be a whole number{f' up to {most}' if most else ''}, not {text!r}")
    return int(text)


def _predict_seconds(environ: Mapping[str, str]) -> float:
    """The sooner of our own limit and of SCORING_TIMEOUT_MS, by which Azure Machine Learning's scripts know theirs."""
    seconds = max(1, _integer("SCORING_PREDICT_SECONDS", environ.get("SCORING_PREDICT_SECONDS") or "60"))
    theirs = environ.get("SCORING_TIMEOUT_MS")
    return min(seconds, max(1, _integer("SCORING_TIMEOUT_MS", theirs)) / 1000) if theirs else seconds


def _descriptor(name: str, environ: Mapping[str, str]) -> int | None:
    return _integer(name, environ[name]) if environ.get(name) else None


def _ratio(name: str, text: str) -> float | None:
    try:
        ratio = float(text) if text else None
    except ValueError:
        raise SettingsError(f"{name} must be a number, not {text!r}") from None
    return ratio if ratio is None or isfinite(ratio) else None


def _choice(name: str, environ: Mapping[str, str], allowed: tuple[str, ...]) -> str:
    text = environ.get(name) or allowed[0]
    if text not in allowed:
        raise SettingsError(f"{name} must be one of {', '.join(allowed)}, not {text!r}")
    return text


def _names(text: str) -> tuple[str, ...]:
    return tuple(name.strip() for name in text.split(",") if name.strip())
