"""The settings of one function process, read once from environment variables."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, cast
from urllib.parse import SplitResult, parse_qs, unquote, urlsplit

Policy = Literal["on", "off", "auto"]
StoreInput = Literal["whole", "masked", "none"]


class SettingsError(Exception):
    """A variable holds something that cannot be used; the message names it and never repeats a secret."""


@dataclass(frozen=True, slots=True)
class RedisAddress:
    """Where the cache is and how to sign in: a host and port, or the path of a unix socket."""

    host: str
    port: int
    path: str | None
    db: int
    username: str
    password: str = field(repr=False)
    tls: bool
    ca_file: str | None


@dataclass(frozen=True, slots=True)
class Settings:
    """Everything that the environment decides; durations are in seconds."""

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
    ready_fd: int | None = None


def settings_from(environ: Mapping[str, str]) -> Settings:
    """Read the `SCORING_*` variables. Raises SettingsError."""
    url = environ.get("SCORING_CACHE_URL", "")
    password = environ.get("SCORING_CACHE_PASSWORD", "")
    port = environ.get("SCORING_PORT") or environ.get("FUNCTIONS_CUSTOMHANDLER_PORT") or "8080"
    return Settings(
        root=Path(environ.get("SCORING_ROOT") or Path.cwd()).resolve(),
        port=_integer("SCORING_PORT", port, most=65535),
        fd=_integer("SCORING_FD", environ["SCORING_FD"]) if environ.get("SCORING_FD") else None,
        function_keys=_names(environ.get("SCORING_FUNCTION_KEYS", "")),
        policy=cast(Policy, _choice("SCORING_CACHE_POLICY", environ, ("on", "off", "auto"))),
        cache=redis_address(url, password) if url else None,
        prefix=environ.get("SCORING_CACHE_PREFIX") or "scoring",
        ttl=_integer("SCORING_CACHE_TTL", environ.get("SCORING_CACHE_TTL") or "0"),
        timeout=max(1, _integer("SCORING_CACHE_TIMEOUT_MS", environ.get("SCORING_CACHE_TIMEOUT_MS") or "50")) / 1000,
        store_input=cast(StoreInput, _choice("SCORING_STORE_INPUT", environ, ("whole", "masked", "none"))),
        masked_fields=frozenset(_names(environ.get("SCORING_MASKED_FIELDS", ""))),
        epoch_floor=_integer("SCORING_DATA_EPOCH", environ.get("SCORING_DATA_EPOCH") or "0"),
        log_level=(environ.get("SCORING_LOG_LEVEL") or "INFO").upper(),
        ready_fd=_integer("SCORING_READY_FD", environ["SCORING_READY_FD"]) if environ.get("SCORING_READY_FD") else None,
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


def _choice(name: str, environ: Mapping[str, str], allowed: tuple[str, ...]) -> str:
    text = environ.get(name) or allowed[0]
    if text not in allowed:
        raise SettingsError(f"{name} must be one of {', '.join(allowed)}, not {text!r}")
    return text


def _names(text: str) -> tuple[str, ...]:
    return tuple(name.strip() for name in text.split(",") if name.strip())
