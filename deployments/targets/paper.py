"""A persisted target of timed pretend resources: for the contract suite, crash points, scale and clocks."""

import json
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from ..domain.errors import ErrorDetail, ResourceFailed
from ..domain.names import resource_name
from ..domain.resources import (
    Absent,
    Broken,
    Context,
    DeploymentRef,
    LogChunk,
    Observation,
    Pending,
    Ready,
    Recorded,
    Resource,
    Stage,
    Stale,
    Waiting,
)
from ..domain.spec import Spec, digest_of

FAULT_TAG = "paper-fault"  # a tag of the spec: "image=broken", "cache=waiting", "function=refused,cache=fixed"
LOST = {"cache": "All stored answers are lost."}


@dataclass(frozen=True, slots=True)
class PaperConfig:
    """Where the pretended world is kept, and how many seconds making and taking away last in it."""

    root: Path
    create_seconds: Mapping[str, float] = field(default_factory=lambda: {"cache": 2.0, "image": 1.0, "function": 0.5})
    destroy_seconds: float = 0.5
    settle: float = 1.0
    poll: float = 0.5
    timeout: float = 600.0


@dataclass(frozen=True)
class PaperResource:
    """One file in the pretended world: `made_at`, `gone_at`, `fingerprint`, and how often it was written."""

    config: PaperConfig
    key: str
    name: str
    title: str
    stage: Stage
    needs: tuple[str, ...]
    wish: str = ""
    fault: str = ""
    owned: bool = True
    irreversible: str = ""

    @property
    def kind(self) -> str:
        return f"paper.{self.key}"

    @property
    def timeout(self) -> float:
        return self.config.timeout

    @property
    def settle(self) -> float:
        return self.config.settle

    @property
    def poll(self) -> float:
        return self.config.poll

    @property
    def restartable(self) -> bool:
        return self.stage == Stage.DEPLOY

    @property
    def path(self) -> Path:
        return self.config.root / f"{self.name}.{self.key}.json"

    def fingerprint(self, ctx: Context) -> str:
        return digest_of([self.key, self.wish, ctx.generation if self.restartable else 0])

    def describe(self) -> Mapping[str, str]:
        return {"wish": self.wish[:12]}

    def observe(self, ctx: Context) -> Observation:
        found = self._read()
        if found is None:
            return Absent()
        now = time.time()
        if found["gone_at"]:
            if now >= float(str(found["gone_at"])):
                self.path.unlink(missing_ok=True)
                return Absent()
            return Pending("going")
        if now < float(str(found["made_at"])):
            return Pending("being made")
        if self.fault == "waiting" and not self.path.with_suffix(".granted").exists():
            return Waiting("an administrator", f"Create {self.path.with_suffix('.granted').name}")
        if self.fault == "fixed" and found["fingerprint"] != self.fingerprint(ctx):
            return Stale("it cannot be changed on paper", replace=True)
        if found["broken"]:
            error = ErrorDetail(
                "paper_broken", f"{self.title} broke on paper", "The spec's tag asked for it.", "Retry."
            )
            return Broken(error)
        return Ready({"name": self.name, "key": self.key, **self._facts()}, str(found["fingerprint"]))

    def create(self, ctx: Context) -> None:
        if self.fault == "refused":
            raise ResourceFailed(
                f"{self.title} was refused on paper",
                cause="The spec's tag asked for it.",
                action="Remove the tag.",
            )
        before = self._read() or {"writes": 0}
        self._write(
            {
                "made_at": time.time() + self.config.create_seconds.get(self.key, 0.0),
                "gone_at": None,
                "broken": self.fault == "broken",
                "fingerprint": self.fingerprint(ctx),
                "writes": int(str(before["writes"])) + 1,
            }
        )

    def destroy(self, ctx: Context) -> None:
        found = self._read()
        if found and not found["gone_at"]:
            self._write({**found, "gone_at": time.time() + self.config.destroy_seconds})

    def cancel(self, ctx: Context) -> None:
        """Nothing runs that could be stopped."""

    def read_log(self, ctx: Context, cursor: str) -> LogChunk:
        found = self._read()
        line = f"{self.name}: written {found['writes']} times" if found else ""
        return LogChunk((line,), line) if line and line != cursor else LogChunk((), cursor)

    def secrets(self, ctx: Context) -> Mapping[str, str]:
        return {"password": f"paper-secret-{self.name}-{self.key}"} if self._read() else {}

    def _facts(self) -> dict[str, str | int]:
        if self.stage == Stage.PACKAGE:
            return {"digest": f"sha256:{self.wish}", "model_version": self.wish}
        return {"url": f"http://127.0.0.1:9/{self.name}"} if self.stage == Stage.DEPLOY else {}

    def _read(self) -> dict[str, object] | None:
        try:
            return dict(json.loads(self.path.read_text()))
        except FileNotFoundError:
            return None

    def _write(self, data: Mapping[str, object]) -> None:
        self.config.root.mkdir(parents=True, exist_ok=True)
        half = self.path.with_suffix(".half")
        half.write_text(json.dumps(data))
        half.replace(self.path)


class PaperTarget:
    """Takes every Spec; what happens is a matter of seconds, not of machines."""

    name = "paper"

    def __init__(self, config: PaperConfig) -> None:
        self.config = config

    def check(self, spec: Spec) -> None:
        """Anything goes on paper."""

    def resources(self, spec: Spec, deployment: DeploymentRef) -> tuple[Resource, ...]:
        name = resource_name(slug=deployment.name, uid=deployment.uid)
        faults = dict(part.split("=", 1) for part in spec.tags.get(FAULT_TAG, "").split(",") if "=" in part)
        package = digest_of(spec.model_dump(mode="json", include={"model", "runtime", "execution"}))
        cache = PaperResource(
            self.config,
            "cache",
            name,
            "Cache",
            Stage.CREATE_CACHE,
            (),
            wish=digest_of(spec.cache.max_memory_mb),
            fault=faults.get("cache", ""),
            irreversible=LOST["cache"],
        )
        image = PaperResource(
            self.config,
            "image",
            name,
            "Image",
            Stage.PACKAGE,
            (),
            wish=package,
            fault=faults.get("image", ""),
        )
        needs = ("image",) if spec.cache.policy == "off" else ("cache", "image")
        function = PaperResource(
            self.config,
            "function",
            name,
            "Function",
            Stage.DEPLOY,
            needs,
            wish=digest_of([package, spec.cache.model_dump(mode="json")]),
            fault=faults.get("function", ""),
        )
        return (image, function) if spec.cache.policy == "off" else (cache, image, function)

    def recorded(self, row: Recorded, deployment: DeploymentRef) -> Resource:
        stages = {"cache": Stage.CREATE_CACHE, "image": Stage.PACKAGE}
        return PaperResource(
            self.config,
            row.key,
            row.name,
            row.key.capitalize(),
            stages.get(row.key, Stage.DEPLOY),
            (),
            owned=row.owned,
            irreversible=LOST.get(row.key, ""),
        )

    def function_key(self) -> str:
        return "function"
