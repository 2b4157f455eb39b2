"""A local target in a folder of its own, a trained model, and a look at what is left of a deployment."""

import hashlib
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import textwrap
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil
import pytest

from deployments.domain.names import new_uid
from deployments.domain.resources import ArtifactFile, DeploymentRef, Resource
from deployments.domain.spec import Spec
from deployments.targets.local import stop_all
from deployments.targets.local.children import holder
from deployments.targets.local.config import LocalConfig, SandboxChoice
from deployments.targets.local.folders import Folder
from deployments.targets.local.target import LocalTarget
from tests.targets.driving import Driven

SCORING_ROOT = Path(__file__).resolve().parents[3] / "scoring_image"

_TRAIN = """
    import joblib, sys
    from sklearn.datasets import load_iris
    from sklearn.linear_model import LogisticRegression
    joblib.dump(LogisticRegression(max_iter=500).fit(*load_iris(return_X_y=True)), sys.argv[1])
"""

# A model without scikit-learn: its server is up in a fraction of the time, and most tests are about processes.
TINY = b"""
class Tiny:
    n_features_in_ = 4

    def fit(self, X, y=None):
        return self

    def predict(self, X):
        return [float(sum(row)) for row in X]

    def predict_proba(self, X):
        return [[0.5, 0.25, 0.25] for _ in X]
"""
SAVE_BY_CODE = """
    import pickle, sys, types
    name, _, code = sys.argv[2].partition(":")
    module = types.ModuleType(name.lower())
    sys.modules[name.lower()] = module
    exec("__name__ = " + repr(name.lower()) + chr(10) + code, module.__dict__)
    with open(sys.argv[1], "wb") as file:
        pickle.dump(getattr(module, name)(), file)
"""


class Files:
    """Uploaded files, as the console stores them: by digest, without being opened."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._known: dict[str, ArtifactFile] = {}
        self._made: dict[tuple[str, ...], str] = {}

    def add(self, name: str, content: bytes) -> str:
        digest = hashlib.sha256(content).hexdigest()
        path = self.folder / digest
        path.write_bytes(content)
        path.chmod(0o600)
        self._known[digest] = ArtifactFile(digest, name, path, len(content))
        return digest

    def run(self, name: str, program: str, *arguments: str) -> str:
        """Add what a Python program writes to the path in sys.argv[1]."""
        path = self.folder / f"made-{name}"
        if (made := (program, *arguments)) not in self._made:
            subprocess.run([sys.executable, "-c", textwrap.dedent(program), str(path), *arguments], check=True)
            self._made[made] = self.add(name, path.read_bytes())
        return self._made[made]

    def get(self, identity: str) -> ArtifactFile:
        return self._known[identity]


@dataclass
class LocalHarness:
    """The local target as the contract suite sees it."""

    target: LocalTarget
    files: Files

    def driven(self, name: str = "iris") -> Driven:
        return Driven(self.target, DeploymentRef(name, new_uid(), "test"), self.files.get)

    def spec(self, **more: Any) -> Spec:
        model = self.files.run("tiny.pkl", SAVE_BY_CODE, f"Tiny:{TINY.decode()}")
        code = self.files.add("tiny.py", TINY)
        # A conversion takes longer than all the rest; which form executes has tests of its own.
        plain = {"cache": {"max_memory_mb": 16}, "execution": "original"}
        return Spec.load({"model": {"artifact": model}, "code": {"artifact": code}, **plain, **more})

    def changed_spec(self) -> Spec:
        plain = self.spec(cache={"max_memory_mb": 32}).dump()
        return Spec.load({**plain, "model": {**plain["model"], "method": "predict_proba"}})

    def breakable(self) -> tuple[str, ...]:
        return ("cache", "function")

    def break_it(self, driven: Driven, resource: Resource) -> None:
        process = holder(self.folder(driven, resource.key))
        assert process is not None
        os.kill(process.pid, signal.SIGKILL)

    def folder(self, driven: Driven, key: str) -> Folder:
        deployment = driven.deployment
        return Folder(self.target.config.root / f"{deployment.name}-{deployment.uid}" / key)

    def leftovers(self, driven: Driven) -> list[str]:
        """Folders and processes that name the deployment."""
        uid = driven.deployment.uid
        found = [str(path) for path in self.target.config.root.glob(f"*{uid}*")]
        for process in psutil.process_iter(["cmdline", "cwd"]):
            told = " ".join(process.info["cmdline"] or ()) + str(process.info["cwd"] or "")
            if uid in told and process.status() != psutil.STATUS_ZOMBIE:
                found.append(f"process {process.pid}: {told}")
        return found


@pytest.fixture(scope="session")
def files(tmp_path_factory: pytest.TempPathFactory) -> Files:
    return Files(tmp_path_factory.mktemp("files"))


@pytest.fixture(scope="session")
def iris(files: Files) -> str:
    """The id of a small trained classifier: four features, three classes."""
    return files.run("iris.joblib", _TRAIN)


@pytest.fixture
def short_path() -> Iterator[Path]:
    """A folder in whose folders a socket's path is short enough."""
    path = Path(tempfile.mkdtemp(prefix="host-"))
    yield path
    shutil.rmtree(path)


@pytest.fixture(scope="session")
def local_root(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    root = tmp_path_factory.mktemp("local")
    yield root
    stop_all(root)


@pytest.fixture(scope="session")
def harness(files: Files, local_root: Path) -> LocalHarness:
    return local_harness(files, local_root)


def frozen_harness(files: Files, root: Path) -> LocalHarness:
    """A target whose scoring image nobody works on meanwhile: packages made at two times are compared."""
    copy = root / "scoring_image"
    shutil.copytree(SCORING_ROOT, copy, ignore=shutil.ignore_patterns("__pycache__"))
    return LocalHarness(LocalTarget(LocalConfig(root=root / "target", scoring_root=copy)), files)


def local_harness(files: Files, root: Path, sandbox: SandboxChoice = "auto") -> LocalHarness:
    config = LocalConfig(root=root, scoring_root=SCORING_ROOT, sandbox=sandbox)
    return LocalHarness(LocalTarget(config), files)
