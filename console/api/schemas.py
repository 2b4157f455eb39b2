"""What the API answers and takes, beside the Spec itself."""

from datetime import datetime
from typing import Any, Literal, Self

from ninja import Schema
from pydantic import ConfigDict, Field, model_validator

from deployments.domain.environments import EnvironmentSettings, Role
from deployments.domain.limits import MAX_KEEP_DAYS
from deployments.domain.spec import Spec
from deployments.domain.spec_upgrades import upgrade
from deployments.domain.states import DeploymentStatus, RunKind, RunState, StepAction, StepState


class Wish(Schema):
    """A body; an unknown field is an error, so that a misspelt wish is never silently dropped."""

    model_config = ConfigDict(extra="forbid")


class DeploymentWish(Spec):
    """Name and environment, and the fields of the Spec side by side with them."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [{"name": "iris", "environment": "local", "model": {"artifact": "9f86d081" * 8}}]
        }
    )
    name: str = Field("", description="1 to 40 lower-case letters, digits and hyphens; for PUT the address has it")
    environment: str = Field("", description="may be left out when a deployment is changed")
    description: str | None = Field(None, max_length=400, description="left out: stays as it is")
    note: str = Field("", max_length=400, description="what changed, for the list of revisions")

    @model_validator(mode="before")
    @classmethod
    def _upgraded(cls, data: Any) -> Any:
        return upgrade(data) if isinstance(data, dict) else data

    def spec(self) -> Spec:
        """The Spec alone."""
        return Spec.load(self.model_dump(mode="json", include=set(Spec.model_fields)))


class ArtifactOut(Schema):
    """An uploaded file."""

    id: str = Field(description="sha256 of its bytes", examples=["9f86d081" * 8])
    name: str = Field(examples=["model.joblib"])
    size: int = Field(description="bytes")
    format: str = Field(description="judged by the first bytes and the name; nothing was opened", examples=["joblib"])


class MemberOut(Schema):
    """A user's role in an environment, and whether inputs are shown to them there."""

    user: str
    role: Role
    inputs: Literal["role", "granted", "withheld"] = Field(description="as the role has it, or set for this member")
    sees_inputs: bool


class MemberWish(Wish):
    """A role, and whether inputs are shown to whoever has it; left out, that stays as it is."""

    role: str = Field(examples=["tester"])
    inputs: Literal["role", "granted", "withheld"] | None = None


class EnvironmentOut(Schema):
    """Where deployments live, and the rules that hold there."""

    name: str
    title: str
    target: str = Field(examples=["local"])
    tone: str = Field(examples=["dev"])
    rules: EnvironmentSettings
    role: Role | None = Field(description="yours")
    sees_inputs: bool = Field(description="whether inputs are shown to you there")
    members: list[MemberOut] | None = Field(description="null unless you are one of its administrators")


class EnvironmentChange(Wish):
    """What is left out stays as it is; `members` replaces all that are there."""

    target: str | None = Field(None, examples=["local"])
    title: str | None = None
    tone: str | None = Field(None, examples=["dev"])
    rules: EnvironmentSettings | None = None
    members: dict[str, str | MemberWish] | None = Field(
        None,
        description="user name to role, or to role and inputs",
        examples=[{"ada": "deployer", "tom": {"role": "tester", "inputs": "withheld"}}],
    )


class EnvironmentWish(EnvironmentChange):
    """A new environment."""

    name: str = Field(examples=["staging"])


class ResourceOut(Schema):
    """What exists outside because of a deployment."""

    key: str
    title: str
    kind: str
    name: str
    stage: str
    owned: bool = Field(description="false: found there and used, never destroyed by the console")
    ready: bool
    outputs: dict[str, Any]


class DeploymentSummary(Schema):
    """A deployment as lists show it."""

    name: str
    environment: str
    description: str
    status: DeploymentStatus
    url: str | None = Field(description="where the function answers; null while there is none")
    revision: int = Field(description="the newest")
    live_revision: int | None
    created_at: datetime


class ExecutionOut(Schema):
    """Which form of the model executes."""

    executes: Literal["onnx", "original"]
    reason: str = Field(description="why, in a sentence")
    gain: float | None = Field(description="how many times faster it was than the original, where that was measured")


class DeploymentOut(DeploymentSummary):
    """A deployment; the ETag names its newest revision."""

    spec: Spec = Field(description="of the newest revision")
    data_epoch: int
    keep_invocations_days: int = Field(description="how long test calls are kept; 0 keeps none")
    model_version: str = Field(description="of the live revision; empty while there is none")
    execution: ExecutionOut | None = Field(description="of the newest package; null where it does not tell")
    active_run: int | None
    resources: list[ResourceOut]


class RevisionOut(Schema):
    """An immutable snapshot of a Spec."""

    number: int
    spec: Spec
    package_digest: str = Field(description="empty until it has been built")
    model_version: str
    note: str
    created_at: datetime
    created_by: str | None


class ChangeOut(Schema):
    """What a run would do with one resource."""

    key: str
    title: str
    name: str
    stage: str
    needs: list[str]
    action: Literal["create", "change", "replace", "delete", "unchanged", "keep"]
    why: str
    irreversible: str = Field(description="what would be lost; empty when nothing")
    properties: dict[str, Any]
    seconds: float | None = Field(description="what it took before; null without a history")


class PlanOut(Schema):
    """What a deploy would do now; nothing has been changed."""

    digest: str = Field(description="send it as `plan` with the run to have exactly this done")
    destroy: bool
    changes: list[ChangeOut]


class RunWish(Wish):
    """A run to start."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"kind": "deploy"}]})

    kind: RunKind
    revision: int | None = Field(None, ge=1, le=2**31 - 1, description="an earlier one is a rollback")
    confirm: str = Field("", description="the deployment's name; for destroy")
    reason: str = Field("", max_length=200)
    plan: str = Field("", max_length=64, description="digest of the plan that was approved")


class ErrorOut(Schema):
    """Why a step or a run failed."""

    code: str
    message: str
    cause: str = ""
    action: str = ""
    raw: str = Field("", description="as the other side said it")
    fix: dict[str, str] = Field({}, description="what a button could do about it")


class StepOut(Schema):
    """One resource's turn in a run."""

    key: str
    title: str
    stage: str
    action: StepAction
    state: StepState
    outcome: str = Field(description="created, changed, replaced, removed or unchanged, once it is over")
    attempts: int
    detail: str
    waiting_for: str
    waiting_action: str
    error: ErrorOut | None
    started_at: datetime | None
    finished_at: datetime | None


class RunSummary(Schema):
    """A run as lists show it."""

    id: int
    deployment: str
    environment: str
    kind: RunKind
    state: RunState
    reason: str
    revision: int
    retry_of: int | None
    error: ErrorOut | None
    cancel_requested_at: datetime | None
    created_by: str | None
    created_at: datetime
    started_at: datetime | None
    finished_at: datetime | None


class RunOut(RunSummary):
    """A run and its steps."""

    steps: list[StepOut]


class EventOut(Schema):
    """A line of a run."""

    seq: int
    time: datetime
    step: str = Field(description="key of the step; empty for the run itself")
    level: Literal["state", "log", "error"]
    message: str


class EventsOut(Schema):
    """Lines after the cursor that was sent."""

    events: list[EventOut]
    cursor: int = Field(description="send it as `after` to get what comes next")
    done: bool = Field(description="the run is over and nothing is left after the cursor")


class InvocationWish(Wish):
    """A request for the function."""

    body: Any = Field(None, examples=[{"data": [[5.1, 3.5, 1.4, 0.2]]}])
    method: Literal["GET", "POST", "PUT"] = "POST"
    headers: dict[str, str] = {}
    query: dict[str, str] = {}
    cache: Literal["default", "no-cache", "no-store"] = Field(
        "default", description="no-cache scores afresh and stores the answer, no-store touches nothing"
    )
    label: str = Field("", max_length=120, description="for the history")


class InvocationOut(Schema):
    """What the function answered."""

    status: int
    headers: dict[str, str]
    body: Any
    cache: Literal["hit", "miss", "bypass"] | None
    key: str | None
    duration_ms: float = Field(description="as the console measured it, with the way there and back")
    timings: dict[str, Any] = Field(description="milliseconds of the parts, as the function told them")
    cut: bool = Field(description="the answer was longer than the console reads; the body is its beginning, as text")
    logs: list[str] = Field([], description="the function's own lines, where a blob or a message calls it")


class KeptInvocationOut(Schema):
    """A test call that is kept."""

    id: int
    at: datetime
    user: str | None
    label: str
    request: dict[str, Any] = Field(description="body, method, headers, query and cache; omitted where it was too long")
    response: dict[str, Any] | None
    status: int
    cache: str = Field(description="hit, miss, bypass, or empty")
    key: str
    duration_ms: float
    timings: dict[str, Any]
    pinned: bool = Field(description="kept beyond the deployment's days")


class RetentionWish(Wish):
    """How long test calls are kept."""

    keep_invocations_days: int = Field(ge=0, le=MAX_KEEP_DAYS, description="0 keeps none", examples=[7])


class RetentionOut(Schema):
    """What holds now."""

    keep_invocations_days: int
    deleted: int = Field(description="test calls that were older")


class InputWish(Wish):
    """The body of a request, as the function gets it: exactly one of `body` and `text`."""

    body: Any = Field(None, examples=[{"data": [[5.1, 3.5, 1.4, 0.2]]}])
    text: str | None = Field(
        None,
        description="in place of `body`, exactly as it was sent: the keys of an entry script are made of bytes",
    )
    content_type: str = Field("application/json", max_length=200, description="that the text was sent with")

    @model_validator(mode="after")
    def _one(self) -> Self:
        if ("body" in self.model_fields_set) == (self.text is not None):
            raise ValueError("name exactly one of body and text")
        return self


class EraseWish(InputWish):
    """The input to erase."""

    reason: str = Field("", max_length=400, description="for the audit trail")
    dry_run: bool = Field(False, description="only find what would go")


class KeptOut(Schema):
    """What is, or was, kept of one input."""

    key: str = Field(description="that its answer would have now; empty without a cache")
    keys: list[str] = Field(description="of stored answers, of whatever version and data epoch")
    invocations: int = Field(description="test calls with the same input")
    samples: int = Field(description="samples with the same input")
    rows: int = Field(description="rows of it that were looked for by themselves, where rows are kept so")
    more_rows: int = Field(description="rows that were too many for that: send them in other inputs")
    exact: bool = Field(
        description="false where an entry script ever answered: the same input that was written differently, or came "
        "with another query, content type or other headers, may be kept as well"
    )
    erased: bool


class EntriesWish(Wish):
    """Which entries to delete: exactly one of `match` and `keys`."""

    match: str | None = Field(None, min_length=1, max_length=300, description="a pattern with * and ?", examples=["*"])
    keys: list[str] | None = Field(None, min_length=1, max_length=1_000)
    dry_run: bool = Field(False, description="only count what would go")


class DeletedOut(Schema):
    """What went, or would go."""

    deleted: int = Field(description="entries")
    complete: bool = Field(description="false: the time ran out before every key was looked at; ask again")
    dry_run: bool


class EpochWish(Wish):
    """Why every stored answer has become wrong."""

    reason: str = Field(min_length=1, max_length=400, examples=["prices reloaded"])


class EpochOut(Schema):
    """The deployment's data epoch after it was raised."""

    data_epoch: int


class HealthOut(Schema):
    """A yes or a no, and nothing more."""

    status: Literal["ok", "unavailable"]
