"""The image is built for real from a package, and scores: on a stand-in base, without the Functions host."""

import contextlib
import json
import os
import shutil
import subprocess
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import httpx
import psutil
import pytest

from deployments.domain.spec import Spec
from tests.scoring.processes import free_port
from tests.targets.local.conftest import Files, LocalHarness, frozen_harness

from .standin import Builder, storage_driver

pytestmark = pytest.mark.image
NEEDED = ("buildah", "mmdebstrap")
USER = 10_001
_TRAIN = """
    import joblib, sys
    from sklearn.datasets import load_iris
    from sklearn.linear_model import LogisticRegression
    model = LogisticRegression(C=float(sys.argv[2]), max_iter=500).fit(*load_iris(return_X_y=True))
    joblib.dump(model, sys.argv[1])
"""
ROW = [5.1, 3.5, 1.4, 0.2]


@pytest.fixture(scope="module", autouse=True)
def tools() -> None:
    """Everywhere but in CI, a machine need not be able to build images."""
    missing = [name for name in NEEDED if shutil.which(name) is None]
    if os.getuid() != 0:
        missing.append("root")
    if missing and not os.environ.get("CI"):
        pytest.skip(f"building the image needs {', '.join(missing)}")
    assert not missing


@pytest.fixture(scope="module")
def builder(tools: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Builder]:
    root = tmp_path_factory.mktemp("image")
    made = Builder(root, storage_driver(root))
    made.make_base()
    yield made
    made.run("rm", "--all")  # what is mounted is let go
    shutil.rmtree(root)


@pytest.fixture(scope="module")
def packages(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """Two models of one kind, packaged by the local target."""
    harness = frozen_harness(Files(tmp_path_factory.mktemp("uploads")), tmp_path_factory.mktemp("packages"))
    return package(harness, strength="1.0"), package(harness, strength="0.5")


def package(harness: LocalHarness, *, strength: str) -> Path:
    model = harness.files.run("iris.joblib", _TRAIN, strength)
    driven = harness.driven("iris")
    spec = Spec.load({"model": {"artifact": model}, "cache": {"policy": "off"}})
    return Path(str(driven.bring(driven.resource(spec, "image"))["package"]))


@pytest.fixture(scope="module")
def built(builder: Builder, packages: tuple[Path, Path]) -> str:
    builder.build(packages[0], "scoring:first")
    return "scoring:first"


def settings(builder: Builder, tag: str) -> Mapping[str, Any]:
    found: dict[str, Any] = builder.inspect(tag)["OCIv1"]["config"]
    return found


def layers(builder: Builder, tag: str) -> list[str]:
    found: list[str] = builder.inspect(tag)["OCIv1"]["rootfs"]["diff_ids"]
    return found


@contextlib.contextmanager
def handler(builder: Builder, tag: str) -> Iterator[tuple[str, psutil.Process]]:
    """The scoring server in a container of the image, started as host.json tells the Functions host to.

    Gives its address and its process, as this machine sees it.
    """
    container = builder.run("from", "--pull-never", tag).strip()
    root = Path(builder.run("mount", container).strip())
    custom = json.loads((root / "home/site/wwwroot/host.json").read_text())["customHandler"]["description"]
    port = free_port()
    argv = [custom["defaultExecutablePath"], *custom["arguments"]]
    command = builder.command("run", "--isolation", "chroot", "--env", f"FUNCTIONS_CUSTOMHANDLER_PORT={port}",
                              container, "--", *argv)  # fmt: skip
    started = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    try:
        yield f"http://127.0.0.1:{port}", answering(started, port)
    finally:
        for process in [*reversed(psutil.Process(started.pid).children(recursive=True)), started]:
            with contextlib.suppress(psutil.Error):
                process.terminate()
        started.wait(60)
        builder.run("rm", container)


def answering(started: subprocess.Popen[bytes], port: int) -> psutil.Process:
    """The process that listens on the port, once its model is open."""
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline:
        assert started.poll() is None, started.stdout and started.stdout.read().decode()
        with contextlib.suppress(httpx.TransportError):
            if httpx.get(f"http://127.0.0.1:{port}/healthz").status_code == 200:
                break
        time.sleep(0.2)
    for process in psutil.Process(started.pid).children(recursive=True):
        if any(found.laddr.port == port for found in process.net_connections() if found.status == "LISTEN"):
            return process
    raise AssertionError("nothing listens")


def test_it_scores_inside_the_image_as_somebody_who_is_not_root(
    builder: Builder, built: str, packages: tuple[Path, Path]
) -> None:
    manifest = json.loads((packages[0] / "manifest.json").read_text())
    with handler(builder, built) as (address, process):
        health = httpx.get(f"{address}/healthz").json()
        assert (health["status"], health["executes"]) == ("ready", "onnx")
        assert health["model_version"] == manifest["model_version"]
        answer = httpx.post(f"{address}/api/score", json={"data": [ROW]})
        assert (answer.status_code, answer.json()) == (200, [0])
        assert httpx.get(f"{address}/openapi.json").json()["openapi"].startswith("3.")
        assert set(process.uids()) == set(process.gids()) == {USER}
        # What it may not do, it cannot get back either.
        status = Path(f"/proc/{process.pid}/status").read_text()
        assert "NoNewPrivs:\t1" in status
        assert "CapEff:\t0000000000000000" in status


def test_where_the_host_needs_no_root_nothing_is_root(
    builder: Builder, built: str, packages: tuple[Path, Path]
) -> None:
    builder.build(packages[0], "scoring:rootless", HOST_USER="scoring")
    assert settings(builder, "scoring:rootless")["User"] == "scoring"
    with handler(builder, "scoring:rootless") as (address, process):
        assert httpx.post(f"{address}/api/score", json={"data": [ROW]}).json() == [0]
        assert set(process.uids()) == {USER}


def test_the_image_sets_what_the_base_has_otherwise(builder: Builder, built: str) -> None:
    environment = dict(line.split("=", 1) for line in settings(builder, built)["Env"])
    assert environment["FUNCTIONS_WORKER_RUNTIME"] == "custom"
    assert environment["AzureWebJobsDisableHomepage"] == "true"
    assert environment["AzureWebJobsScriptRoot"] == "/home/site/wwwroot"
    assert settings(builder, built)["WorkingDir"] == "/home/site/wwwroot"


def test_the_image_holds_the_locked_versions_and_nothing_of_this_machine(
    builder: Builder, built: str, packages: tuple[Path, Path]
) -> None:
    container = builder.run("from", "--pull-never", built).strip()
    root = Path(builder.run("mount", container).strip())
    site = next((root / "usr/local/lib").glob("python3*/site-packages"))
    lock = (packages[0] / "requirements.txt").read_text().splitlines()
    installed = {path.name.removesuffix(".dist-info").lower().replace("_", "-") for path in site.glob("*.dist-info")}
    assert {line.replace("==", "-").lower().replace("_", "-") for line in lock} <= installed
    assert not any(name.startswith("skl2onnx") for name in installed)
    wwwroot = root / "home/site/wwwroot"
    assert {path.name for path in wwwroot.iterdir()} == {
        "host.json", "start.sh", "score.py", "scoring", "healthz", "openapi", "score", "manifest.json", "model",
    }  # fmt: skip
    pip = root / "etc/pip.conf"
    assert not pip.exists() or not pip.read_text()
    builder.run("rm", container)


def test_another_model_makes_only_the_last_layers_anew(
    builder: Builder, built: str, packages: tuple[Path, Path]
) -> None:
    builder.build(packages[1], "scoring:second")
    first, second = layers(builder, built), layers(builder, "scoring:second")
    assert first[:-2] == second[:-2], "all before the manifest and the model"
    assert first[-1] != second[-1]
    with handler(builder, "scoring:second") as (address, _):
        assert httpx.post(f"{address}/api/score", json={"data": [ROW]}).status_code == 200
