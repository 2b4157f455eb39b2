"""The package of one deployment's model, made by a child process; what a registry's image is elsewhere."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from ...domain.errors import ErrorDetail, NotFound, ResourceFailed
from ...domain.resources import Absent, ArtifactFile, Broken, Context, Observation, Pending, Ready, Stage, Stale
from ...domain.spec import Spec, digest_of
from ...packaging.digests import source_files
from . import children
from .children import Look, Phase
from .environments import still_holds
from .folders import read_json, write_json
from .resource import LocalResource
from .work import CREDENTIALS, scoring_digest

_FORMS = {
    "auto": "as ONNX where that proves equal, else the original",
    "original": "the original",
    "onnx": "as ONNX",
}
_MOST_STARTS = 3  # a builder that was ended from outside is started again this often


@dataclass(kw_only=True)
class LocalImage(LocalResource):
    """A package below the deployment's folder; `spec` is None for one that is only remembered."""

    spec: Spec | None = None

    key: str = "image"
    kind: str = "local.image"
    stage: Stage = Stage.PACKAGE
    title: str = "Image"
    timeout: float = 1_200.0

    def fingerprint(self, ctx: Context) -> str:
        if self.spec is None:
            return ""
        parts = self.spec.model_dump(mode="json", include={"model", "code", "runtime", "input", "trigger", "execution"})
        return digest_of({**parts, "scoring": _scoring_digest(self.config.scoring_root)})

    def describe(self) -> Mapping[str, str]:
        if self.spec is None:
            return {}
        return {
            "model": (self.spec.model.artifact or "")[:12],
            "method": self.spec.model.method,
            "python": self.spec.runtime.python,
            "form": _FORMS[self.spec.execution],
        }

    def observe(self, ctx: Context) -> Observation:
        look = children.look(self.folder)
        match look.phase:
            case Phase.ABSENT:
                return Absent()
            case Phase.ENDING:
                return Pending("The package is being removed.")
            case Phase.HALF_GONE:
                return Broken(ErrorDetail("half_removed", "The removal of the package was interrupted."))
            case Phase.STARTING | Phase.RUNNING:
                if self.spec and look.fingerprint != self.fingerprint(ctx):
                    return Stale("another revision is being packaged")
                return Pending("The package is being made.")
        return self._ended(ctx, look)

    def create(self, ctx: Context) -> None:
        """Start the builder. Raises ResourceFailed where an uploaded file is gone, SecretUnavailable."""
        spec = self.spec
        if spec is None:
            raise ResourceFailed("This package is only remembered: it can be removed, not made.")
        look = children.look(self.folder)
        self.refuse_while_ending(look.phase)
        fingerprint = self.fingerprint(ctx)
        same = look.fingerprint == fingerprint and look.phase == Phase.ENDED
        lost = same and not read_json(self.folder.result)
        env = children.plain_environment()
        if spec.runtime.index and spec.runtime.index.credentials:
            env[CREDENTIALS] = ctx.secret(spec.runtime.index.credentials)
        children.spawn(
            self.folder,
            argv=children.module_command("build", str(self.folder.path)),
            job={
                "fingerprint": fingerprint,
                "name": self.name,
                "spec": spec.dump(),
                "artifacts": {id: _as_data(self._artifact(ctx, id)) for id in spec.artifact_ids()},
                "scoring_root": str(self.config.scoring_root),
                "root": str(self.config.root),
                "sandbox": self.config.sandbox,
                "index_env": dict(self.config.index_env),
                "function": str(self.sibling("function").path),
                "lost": int(look.job.get("lost", 0)) + 1 if lost else 0,
            },
            env=env,
        )

    def cancel(self, ctx: Context) -> None:
        """End the builder; what it has not finished is removed by the next one."""
        look = children.look(self.folder)
        if look.phase == Phase.RUNNING and not read_json(self.folder.result):
            error = ErrorDetail(
                "cancelled", "The package was not finished: the run was cancelled.", "", "Retry when it is wanted."
            )
            children.interrupt(self.folder)
            write_json(
                self.folder.result,
                {"job": look.job["id"], "fingerprint": look.fingerprint, "error": error.as_dict()},
            )

    def _ended(self, ctx: Context, look: Look) -> Observation:
        result = read_json(self.folder.result)
        if result.get("job") != look.job["id"]:
            if int(look.job.get("lost", 0)) + 1 < _MOST_STARTS:
                return Absent()  # ended from outside, as by a restart of the machine: it is made again
            return Broken(
                ErrorDetail(
                    "builder_ended",
                    "The process that makes the package was ended from outside several times.",
                    "The system ends processes when memory runs out.",
                    "Give the machine more memory or stop other programs, then retry.",
                )
            )
        if "error" in result:
            if self.spec and result["fingerprint"] != self.fingerprint(ctx):
                return Stale("the package of another revision could not be made")
            return Broken(ErrorDetail.from_dict(result["error"]))
        outputs = result["outputs"]
        if not (Path(outputs["package"]) / "manifest.json").exists() or not Path(outputs["python"]).exists():
            return Absent()  # removed by hand: it is made again
        if self.spec and not still_holds(str(result.get("own_lock", ""))):
            return Stale("the console's own environment, which the model ran in, has other versions now")
        return Ready(outputs, str(result["fingerprint"]))

    def _artifact(self, ctx: Context, identity: str) -> ArtifactFile:
        if ctx.artifact is None:
            raise NotFound(f"The uploaded file {identity[:12]} cannot be looked up.")
        return ctx.artifact(identity)


def _as_data(artifact: ArtifactFile) -> dict[str, str | int]:
    return {"id": artifact.id, "name": artifact.name, "path": str(artifact.path), "size": artifact.size}


def _scoring_digest(scoring_root: Path) -> str:
    """The scoring image's digest, read anew only when a file of it changed."""
    newest = max((scoring_root / path).stat().st_mtime_ns for path in source_files(scoring_root))
    return _digest_at(scoring_root, newest)


@lru_cache(maxsize=16)
def _digest_at(scoring_root: Path, newest: int) -> str:
    return scoring_digest(scoring_root)
