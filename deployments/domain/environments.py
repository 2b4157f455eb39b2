"""What a platform engineer fixes once for an environment, and the roles its members have."""

from enum import StrEnum
from typing import Literal
from urllib.parse import urlsplit

from pydantic import BaseModel, ConfigDict, Field

from . import limits
from .errors import SpecInvalid
from .secrets import check_ref_allowed
from .spec import Spec


class Role(StrEnum):
    """Roles in an environment; each includes those before it."""

    VIEWER = "viewer"
    TESTER = "tester"
    DEPLOYER = "deployer"
    ADMIN = "admin"

    def includes(self, other: "Role") -> bool:
        order = list(Role)
        return order.index(self) >= order.index(other)


class EnvironmentSettings(BaseModel):
    """The rules of an environment, whatever its target."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    max_cache_mb: int = Field(default=1_024, ge=limits.MIN_CACHE_MB, le=limits.MAX_CACHE_MB)
    max_memory_mb: int = Field(default=8_192, ge=256, le=65_536)
    max_processes: int = Field(default=4, ge=1, le=limits.MAX_INSTANCES)
    required_tags: tuple[str, ...] = ()
    allowed_secrets: tuple[str, ...] = Field(default=(), description="names SCORING_SECRET_* that specs may refer to")
    allowed_vaults: tuple[str, ...] = ()
    allowed_indexes: tuple[str, ...] = Field(
        default=(), description="https addresses of private package indexes that credentials may be sent to"
    )
    allow_code: bool = Field(default=True, description="helper modules and entry scripts may be uploaded")
    execution: Literal["auto", "original", "onnx"] | None = None


def check_spec(spec: Spec, settings: EnvironmentSettings) -> None:
    """Hold a Spec against the environment's rules.

    Raises SpecInvalid naming each field, or SecretUnavailable for a reference that is not allowed.
    """
    problems: list[tuple[str, str]] = []
    if spec.cache.max_memory_mb > settings.max_cache_mb:
        problems.append(("cache.max_memory_mb", f"this environment allows at most {settings.max_cache_mb} MB"))
    if spec.hosting.memory_mb > settings.max_memory_mb:
        problems.append(("hosting.memory_mb", f"this environment allows at most {settings.max_memory_mb} MB"))
    if spec.hosting.processes > settings.max_processes:
        problems.append(("hosting.processes", f"this environment allows at most {settings.max_processes}"))
    problems += [
        (f"tags.{tag}", "this environment requires the tag") for tag in settings.required_tags if tag not in spec.tags
    ]
    if spec.code and not settings.allow_code:
        problems.append(("code", "this environment does not take code; put it into a wheel that is reviewed"))
    if settings.execution and spec.execution not in ("auto", settings.execution):
        problems.append(("execution", f"this environment fixes the execution to {settings.execution}"))
    index = spec.runtime.index
    if index and index.credentials and not any(_is_under(index.url, allowed) for allowed in settings.allowed_indexes):
        # The reference alone is not enough: its value goes wherever the address says.
        problems.append(("runtime.index.url", "this environment does not send credentials to this index"))
    if problems:
        raise SpecInvalid(problems)
    for ref in spec.secret_refs():
        check_ref_allowed(ref, allowed_env=settings.allowed_secrets, allowed_vaults=settings.allowed_vaults)


def in_environment(spec: Spec, settings: EnvironmentSettings) -> Spec:
    """The Spec as its environment brings it about: execution as it fixes it, where the Spec leaves that open.

    The Spec of a revision stays as it was written. An entry script has no form that could be fixed.
    """
    fixed = settings.execution
    if fixed in (None, "auto") or spec.execution != "auto" or (spec.code and spec.code.entry_script):
        return spec
    return spec.model_copy(update={"execution": fixed})


def _is_under(url: str, allowed: str) -> bool:
    """True for the same scheme, host and port, at the allowed path or below it."""
    one, other = urlsplit(url), urlsplit(allowed)
    below = other.path.rstrip("/") + "/"
    same = (one.scheme, one.hostname, one.port) == (other.scheme, other.hostname, other.port)
    return same and ".." not in one.path and (one.path.rstrip("/") + "/").startswith(below)
