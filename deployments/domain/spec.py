"""The Spec: the validated desired state of a deployment, from which form, API, YAML and JSON Schema all come."""

import hashlib
import json
import re
from typing import Annotated, Any, Literal, Self

from packaging.requirements import InvalidRequirement, Requirement
from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from . import limits
from .blob_paths import checked_paths
from .errors import SpecInvalid
from .secrets import SecretRef
from .spec_upgrades import LATEST, upgrade

Sha256 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
ArtifactId = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$", description="sha256 of the uploaded file")]
Method = Literal["predict", "predict_proba", "decision_function", "transform"]
_ROUTE = re.compile(r"^[a-z0-9](?:[a-z0-9/_-]{0,78}[a-z0-9])?$", re.IGNORECASE)
_OPTION = re.compile(r"\s-")  # pip reads options behind a requirement too
_RESERVED_ROUTES = {"healthz", "openapi.json", "admin", "runtime"}


class Part(BaseModel):
    """Frozen; an unknown key is an error, so that a misspelt wish is never silently dropped."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class RegisteredModel(Part):
    """A model registered in an Azure Machine Learning workspace."""

    workspace: str = Field(min_length=1, max_length=260, description="name, or subscription/group/name")
    name: str = Field(min_length=1, max_length=255)
    version: int | None = Field(default=None, ge=1, description="newest when left out, fixed at deploy")


class ModelPart(Part):
    """What answers: an uploaded file, or a registered model."""

    artifact: ArtifactId | None = None
    registered: RegisteredModel | None = None
    method: Method = "predict"

    @model_validator(mode="after")
    def _one_source(self) -> Self:
        if (self.artifact is None) == (self.registered is None):
            raise ValueError("name exactly one of artifact (an uploaded file) and registered (a workspace's model)")
        return self


class CodePart(Part):
    """Python that the model needs: helper modules as one .py file or a .zip/.tar.gz, or an entry script."""

    artifact: ArtifactId
    entry_script: str | None = Field(
        default=None,
        pattern=r"^[A-Za-z0-9_][A-Za-z0-9_./-]*\.py$",
        description="path of the script with init() and run() inside the archive; none for helpers only",
    )
    deterministic: bool = Field(
        default=False, description="the same request always gets the same answer, so that it may be cached"
    )

    @field_validator("entry_script")
    @classmethod
    def _inside(cls, path: str | None) -> str | None:
        if path and ".." in path.split("/"):
            raise ValueError("the entry script must lie inside the archive")
        return path


class PackageIndex(Part):
    """A private package index; its credentials are a reference `user:password` or a token."""

    url: str = Field(pattern=r"^https://[^\s@]+$", max_length=400, description="without user and password")
    credentials: SecretRef | None = None


class RuntimePart(Part):
    """The Python that opens the model."""

    python: Literal["3.10", "3.11", "3.12"] = "3.11"
    requirements: tuple[Annotated[str, Field(max_length=limits.MAX_REQUIREMENT_LENGTH)], ...] = Field(
        default=(), max_length=limits.MAX_REQUIREMENTS, description="pip requirements beside scikit-learn"
    )
    conda: str | None = Field(default=None, max_length=20_000, description="a conda.yaml; its pip part is used locally")
    wheels: tuple[ArtifactId, ...] = Field(default=(), max_length=50)
    index: PackageIndex | None = None

    @field_validator("requirements")
    @classmethod
    def _plain(cls, lines: tuple[str, ...]) -> tuple[str, ...]:
        for line in lines:
            plain_requirement(line)
        return tuple(line.strip() for line in lines)


class InputPart(Part):
    """How requests carry their rows."""

    parameter: str = Field(default="data", pattern=r"^[A-Za-z_][A-Za-z0-9_]{0,39}$")
    missing: Literal["auto", "allow", "refuse"] = Field(
        default="auto", description="NaN and null in rows: as the model takes them, or fixed"
    )
    max_rows: int = Field(default=10_000, ge=1, le=limits.MAX_ROWS)
    max_body_bytes: int = Field(default=10 * 1024 * 1024, ge=1_024, le=limits.MAX_BODY_BYTES)


class HttpTrigger(Part):
    """Answers requests at /api/{route}."""

    kind: Literal["http"] = "http"
    route: str = Field(default="score", max_length=80)
    methods: tuple[Literal["POST", "GET", "PUT"], ...] = Field(default=("POST",), min_length=1)
    auth_level: Literal["function", "anonymous", "admin"] = "function"

    @field_validator("route")
    @classmethod
    def _route(cls, route: str) -> str:
        if not _ROUTE.fullmatch(route) or "//" in route:
            raise ValueError("use letters, digits, hyphens, underscores and single slashes, for example score")
        if route.split("/")[0].lower() in _RESERVED_ROUTES:
            raise ValueError(f"{route.split('/')[0]} is used by the host itself; choose another route")
        return route


class BlobTrigger(Part):
    """Scores each blob that arrives under one path and writes the answer under another."""

    kind: Literal["blob"] = "blob"
    path_in: str = Field(default="scoring-in/{name}", min_length=3, max_length=300)
    path_out: str = Field(default="scoring-out/{name}.json", min_length=3, max_length=300)

    @model_validator(mode="after")
    def _paths(self) -> Self:
        checked_paths(self.path_in, self.path_out)
        return self


class ServiceBusTrigger(Part):
    """Scores each message of one queue and sends the answer to another."""

    kind: Literal["service_bus"] = "service_bus"
    queue_in: str = Field(default="scoring-in", pattern=r"^[A-Za-z0-9][A-Za-z0-9._/-]{0,259}$")
    queue_out: str = Field(default="scoring-out", pattern=r"^[A-Za-z0-9][A-Za-z0-9._/-]{0,259}$")

    @model_validator(mode="after")
    def _no_loop(self) -> Self:
        if self.queue_in == self.queue_out:
            raise ValueError("queue_in and queue_out must differ, or each answer is scored again")
        return self


Trigger = Annotated[HttpTrigger | BlobTrigger | ServiceBusTrigger, Field(discriminator="kind")]


class CachePart(Part):
    """The cache in front of the model."""

    policy: Literal["on", "off", "auto"] = "on"
    ttl_seconds: int = Field(default=86_400, ge=0, le=limits.MAX_TTL_SECONDS, description="0: entries do not expire")
    max_memory_mb: int = Field(default=64, ge=limits.MIN_CACHE_MB, le=limits.MAX_CACHE_MB)
    store_input: Literal["whole", "masked", "none"] = "whole"
    masked_fields: tuple[str, ...] = ()
    timeout_ms: int = Field(default=100, ge=1, le=5_000, description="what one look into the cache may cost")
    local_mb: int = Field(
        default=16,
        ge=0,
        le=limits.MAX_LOCAL_CACHE_MB,
        description="answers that each server process keeps in its own memory, told by Redis when they change; 0: none",
    )
    keys: Literal["request", "row"] = Field(
        default="request", description="one entry for a whole request, or one for each of its rows"
    )
    keyed_digests: bool = Field(
        default=False, description="keys are digests made with a secret, so that nobody can try inputs against them"
    )

    @model_validator(mode="after")
    def _masked(self) -> Self:
        if self.store_input == "masked" and not self.masked_fields:
            raise ValueError("name the fields to mask in masked_fields, or choose whole or none")
        if self.masked_fields and self.store_input != "masked":
            raise ValueError("masked_fields only has a meaning with store_input masked")
        return self


class HostingPart(Part):
    """The process that serves."""

    processes: int = Field(default=0, ge=0, le=limits.MAX_INSTANCES, description="0: as many as there are cores")
    memory_mb: int = Field(default=2_048, ge=256, le=65_536, description="limit of one server process")
    predict_seconds: int = Field(
        default=60, ge=1, le=limits.MAX_PREDICT_SECONDS, description="what one prediction may take"
    )


class Spec(Part):
    """One deployment's desired state. `Spec.load` reads any stored version."""

    schema_version: Literal[1] = LATEST
    model: ModelPart
    code: CodePart | None = None
    runtime: RuntimePart = RuntimePart()
    input: InputPart = InputPart()
    trigger: Trigger = HttpTrigger()
    cache: CachePart = CachePart()
    hosting: HostingPart = HostingPart()
    execution: Literal["auto", "original", "onnx"] = "auto"
    tags: dict[str, str] = Field(default_factory=dict)

    @field_validator("tags")
    @classmethod
    def _tags(cls, tags: dict[str, str]) -> dict[str, str]:
        if len(tags) > limits.MAX_TAGS:
            raise ValueError(f"at most {limits.MAX_TAGS} tags")
        for key, value in tags.items():
            if not key or len(key) > limits.MAX_TAG_KEY or re.search(r"[<>%&\\?/]", key):
                raise ValueError(f"the tag name “{key[:40]}” is empty, too long or holds one of < > % & \\ ? /")
            if len(value) > limits.MAX_TAG_VALUE:
                raise ValueError(f"the value of the tag {key} is longer than {limits.MAX_TAG_VALUE} characters")
            if key.lower().startswith("scoring-"):
                raise ValueError(f"{key}: tags that begin with scoring- are the console's own")
        return tags

    @model_validator(mode="after")
    def _combinations(self) -> Self:
        entry = self.code is not None and self.code.entry_script is not None
        if entry and self.model.method != "predict":
            raise ValueError("model.method has no meaning with an entry script: its run() decides")
        if entry and self.execution == "onnx":
            raise ValueError("execution onnx has no meaning with an entry script: its run() decides")
        if entry and self.cache.keys == "row":
            raise ValueError("cache.keys row has no meaning with an entry script: its requests need not have rows")
        if self.runtime.conda and self.runtime.requirements:
            raise ValueError("give runtime.requirements or runtime.conda, not both")
        return self

    @classmethod
    def load(cls, data: Any) -> Self:
        """Validate data of any schema version.

        Raises SpecInvalid with the path and a sentence for each fault.
        """
        if not isinstance(data, dict):
            raise SpecInvalid([("", "a spec is an object of fields such as model, runtime, trigger, cache")])
        try:
            return cls.model_validate(upgrade(data))
        except ValidationError as error:
            raise SpecInvalid([problem_of(item) for item in error.errors()]) from None
        except ValueError as error:
            raise SpecInvalid([("schema_version", str(error))]) from None

    def dump(self) -> dict[str, Any]:
        """Plain JSON data that `load` reads back to an equal Spec."""
        return self.model_dump(mode="json")

    def digest(self) -> str:
        """sha256 of the canonical form: equal Specs, equal digests."""
        return digest_of(self.dump())

    def artifact_ids(self) -> tuple[str, ...]:
        """Every uploaded file that the Spec refers to."""
        ids = [self.model.artifact, self.code.artifact if self.code else None, *self.runtime.wheels]
        return tuple(found for found in ids if found)

    def secret_refs(self) -> tuple[str, ...]:
        """Every reference to a secret in the Spec."""
        index = self.runtime.index
        return (index.credentials,) if index and index.credentials else ()


def plain_requirement(line: str) -> Requirement:
    """Read one requirement of a package index, as pip and uv do.

    Raises ValueError for a misspelt one, and for options, URLs and paths, which would reach outside what the
    environment allows.
    """
    text = line.strip()
    try:
        # Behind a line's end in a quoted part the installer would read another line.
        if _OPTION.search(text) or len(text.splitlines()) != 1:
            raise InvalidRequirement(text)
        requirement = Requirement(text)
        if requirement.url:
            raise InvalidRequirement(text)
    except (ValueError, SyntaxError, RecursionError):  # the last two: from odd markers
        raise ValueError(
            f"“{line[:60]}” is not a plain requirement such as xgboost==2.1.3; upload a wheel for anything else"
        ) from None
    return requirement


def digest_of(data: Any) -> str:
    """sha256 in hex over JSON with sorted keys and no spaces."""
    return hashlib.sha256(json.dumps(data, sort_keys=True, separators=(",", ":")).encode()).hexdigest()


_SENTENCES = {
    "extra_forbidden": "there is no such field; check its spelling",
    "missing": "this field is needed",
}


def problem_of(item: Any) -> tuple[str, str]:
    """Path and sentence of one of pydantic's error dictionaries."""
    path = ".".join(str(part) for part in item["loc"] if part not in ("http", "blob", "service_bus"))
    message = _SENTENCES.get(item["type"]) or str(item["msg"]).removeprefix("Value error, ")
    return path, message
