"""What one build works with: the Spec, the uploaded files, the environments made for them, and the staging folder."""

import os
import shutil
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from ...domain.resources import ArtifactFile
from ...domain.spec import Spec
from ...packaging.digests import file_digest, package_files, source_files, tree_digest
from ...packaging.manifest import model_format, safe_model_name
from . import sandbox
from .asking import Asker
from .config import SandboxChoice
from .environments import MadeEnvironment, Wanted, make_environment, own_environment

CREDENTIALS = "SCORING_INDEX_CREDENTIALS"


@dataclass(frozen=True, kw_only=True)
class Work:
    """One build. `root` is the local target's; `staging` is what the children see: the model and the server's code."""

    name: str
    spec: Spec
    artifacts: Mapping[str, ArtifactFile]
    scoring_root: Path
    root: Path
    index_env: Mapping[str, str]
    sandbox: SandboxChoice
    staging: Path
    code: Path | None = None

    @property
    def model(self) -> ArtifactFile:
        return self.artifacts[str(self.spec.model.artifact)]

    @property
    def wheels(self) -> tuple[ArtifactFile, ...]:
        return tuple(self.artifacts[wheel] for wheel in self.spec.runtime.wheels)

    @property
    def model_format(self) -> str:
        return model_format(self.model.name)

    @property
    def entry_script(self) -> str | None:
        return self.spec.code.entry_script if self.spec.code else None

    @cached_property
    def code_files(self) -> Mapping[str, str]:
        """sha256 of each file of the uploaded code, by its path."""
        code = self.code
        return {path.as_posix(): file_digest(code / path) for path in package_files(code)} if code else {}

    @cached_property
    def scoring_digest(self) -> str:
        return scoring_digest(self.scoring_root)

    @cached_property
    def asker(self) -> Asker:
        """Asks shut-in children about the model; the first use says how they are shut in."""
        mode = sandbox.choose(self.sandbox)
        print(sandbox.explain(mode, sandbox.landlock_abi()))
        return Asker(mode=mode, staging=self.staging, memory_mb=self.spec.hosting.memory_mb, owner=f"{self.name}/image")

    @cached_property
    def staged_model(self) -> Path:
        """The model's copy beside the server's code, both made when a child is first to see them."""
        for relative in source_files(self.scoring_root):
            target = self.staging / relative
            target.parent.mkdir(parents=True, exist_ok=True, mode=0o755)
            shutil.copyfile(self.scoring_root / relative, target)
        staged = self.staging / "model" / safe_model_name(self.model.name)
        staged.parent.mkdir(mode=0o755)
        shutil.copyfile(self.model.path, staged)
        return staged

    def requirements(self, *names: str) -> list[str]:
        """The lines of the scoring image's requirements: its own, or those under these names."""
        files = [Path("requirements", f"{name}.txt") for name in names] or [Path("requirements.txt")]
        return [line for file in files for line in _lines((self.scoring_root / file).read_text().splitlines())]

    def environment(self, wanted: Wanted) -> MadeEnvironment:
        """The console's own environment where it has what is wanted, else one made by uv. Raises ResourceFailed."""
        if found := own_environment(wanted):
            return found
        index = self.spec.runtime.index
        return make_environment(
            wanted,
            root=self.root / "venvs",
            env={**self.index_env, **credentials(os.environ.get(CREDENTIALS, ""))},
            index_url=index.url if index else "",
            say=print,
        )


def credentials(secret: str) -> dict[str, str]:
    """uv's variables for the index called private, from `user:password` or a token; none for ""."""
    if not secret:
        return {}
    user, colon, password = secret.partition(":")
    return {
        "UV_INDEX_PRIVATE_USERNAME": user if colon else "__token__",
        "UV_INDEX_PRIVATE_PASSWORD": password if colon else secret,
    }


def scoring_digest(scoring_root: Path) -> str:
    """Digest of all that ships of the scoring image."""
    return tree_digest(scoring_root, source_files(scoring_root))


def say(printed: Iterable[str]) -> None:
    """What a child printed, marked as the model's."""
    for line in printed:
        print(f"model: {line}")


def _lines(lines: Iterable[Any]) -> list[str]:
    plain = (str(line).split("#")[0].strip() for line in lines)
    return [line for line in plain if line]
