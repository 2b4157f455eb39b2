"""Environments made by uv from wheels made here: locked, shared by their lock, and clear about what is missing."""

import base64
import hashlib
import platform
import socket
import subprocess
import sys
import threading
import zipfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from importlib import metadata
from pathlib import Path

import psutil
import pytest

from deployments.domain.errors import ResourceFailed
from deployments.domain.resources import ArtifactFile, Recorded
from deployments.domain.spec import Spec
from deployments.targets.local.build import portable
from deployments.targets.local.children import CHECKOUT, holder
from deployments.targets.local.config import index_environment
from deployments.targets.local.environments import (
    MadeEnvironment,
    Wanted,
    find_python,
    make_environment,
    own_environment,
    still_holds,
    wanted_environment,
)
from deployments.targets.local.folders import Folder
from deployments.targets.local.target import LocalTarget
from deployments.targets.local.work import credentials

from .conftest import LocalHarness

MODEL = {"artifact": "0" * 64}


def make_wheel(folder: Path, name: str, version: str, *, source: str = "", tag: str = "py3-none-any") -> Path:
    """A wheel with one module."""
    path = folder / f"{name}-{version}-{tag}.whl"
    info = f"{name}-{version}.dist-info"
    with zipfile.ZipFile(path, "w") as wheel:
        wheel.writestr(f"{name}.py", source or f"VERSION = {version!r}\n")
        wheel.writestr(f"{info}/METADATA", f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n")
        wheel.writestr(f"{info}/WHEEL", f"Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: {tag}\n")
        wheel.writestr(f"{info}/RECORD", f"{name}.py,,\n{info}/METADATA,,\n{info}/WHEEL,,\n{info}/RECORD,,\n")
    return path


@pytest.fixture
def shelf(tmp_path: Path) -> Path:
    folder = tmp_path / "shelf"
    folder.mkdir()
    make_wheel(folder, "tinypkg", "1.0")
    make_wheel(folder, "tinypkg", "2.0")
    make_wheel(folder, "otherpkg", "1.0", tag="cp38-cp38-win_amd64")
    return folder


def make(root: Path, shelf: Path, *requirements: str, wheels: tuple[ArtifactFile, ...] = ()) -> MadeEnvironment:
    env = {**index_environment(), "UV_NO_INDEX": "1", "UV_FIND_LINKS": str(shelf)}
    return make_environment(Wanted("3.11", requirements, wheels), root=root, env=env, index_url="", say=print)


def version_in(made: MadeEnvironment) -> str:
    done = subprocess.run(
        [made.python, "-c", "import tinypkg; print(tinypkg.VERSION)"], capture_output=True, text=True, check=True
    )
    return done.stdout.strip()


def test_an_environment_is_locked_made_and_shared(tmp_path: Path, shelf: Path) -> None:
    made = make(tmp_path / "venvs", shelf, "tinypkg")
    assert made.lock == "tinypkg==2.0\n"
    assert version_in(made) == "2.0"
    written = made.python.parent.stat().st_mtime_ns
    assert make(tmp_path / "venvs", shelf, "tinypkg>=1.5") == made
    assert made.python.parent.stat().st_mtime_ns == written
    older = make(tmp_path / "venvs", shelf, "tinypkg<2")
    assert (older.lock, version_in(older)) == ("tinypkg==1.0\n", "1.0")
    left = [path.name for path in (tmp_path / "venvs").iterdir() if path.name.startswith(".")]
    assert left == []


def test_makers_of_the_same_environment_wait_for_one(tmp_path: Path, shelf: Path) -> None:
    with ThreadPoolExecutor(3) as pool:
        made = set(pool.map(lambda _: make(tmp_path / "venvs", shelf, "tinypkg"), range(3)))
    assert len(made) == 1
    assert version_in(made.pop()) == "2.0"


def test_what_a_killed_maker_left_is_removed_and_what_is_being_made_is_not(tmp_path: Path, shelf: Path) -> None:
    root = tmp_path / "venvs"
    root.mkdir()
    program = (
        "import sys, time; from pathlib import Path; from deployments.targets.local.scratch import scratch_folder\n"
        "with scratch_folder(Path(sys.argv[1])) as folder: print(folder, flush=True); time.sleep(600)"
    )
    makers = [
        subprocess.Popen(
            [sys.executable, "-c", program, str(root)], stdout=subprocess.PIPE, text=True,
            env={"PYTHONPATH": str(CHECKOUT)},
        )
        for _ in range(2)
    ]  # fmt: skip
    try:
        killed, working = (Path(maker.stdout.readline().strip()) for maker in makers if maker.stdout)
        makers[0].kill()
        makers[0].wait()
        make(root, shelf, "tinypkg")
        assert not killed.exists()
        assert working.exists()
    finally:
        for maker in makers:
            maker.kill()
            maker.communicate()


def test_a_cancelled_build_ends_its_uv_and_leaves_nothing_half_made(
    tmp_path: Path, harness: LocalHarness, iris: str
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:  # an index that takes the question and never answers
        index = f"http://127.0.0.1:{silent.getsockname()[1]}/simple"
        config = replace(
            harness.target.config,
            root=tmp_path / "local",
            index_env={**index_environment(), "UV_DEFAULT_INDEX": index, "UV_CACHE_DIR": str(tmp_path / "cache")},
        )
        driven = LocalHarness(LocalTarget(config), harness.files).driven("cancelled")
        spec = Spec.load({"model": {"artifact": iris}, "runtime": {"requirements": ["tinypkg"]}})
        image = driven.resource(spec, "image")
        driven.rows["image"] = Recorded("image", image.kind, image.name, owned=True)
        image.create(driven.context())
        silent.settimeout(60)
        silent.accept()[0].close()
        builder = holder(Folder(config.root / image.name / "image"))
        assert builder is not None
        (tool,) = [child for child in builder.children() if child.name() == "uv"]
        image.cancel(driven.context())
        assert not psutil.wait_procs([tool, builder], timeout=20)[1]
        assert [path.name for path in config.root.rglob(".*")] == []
        driven.destroy()


def test_an_uploaded_wheel(tmp_path: Path, shelf: Path) -> None:
    wheel = make_wheel(tmp_path, "tinypkg", "3.0")
    digest = hashlib.sha256(wheel.read_bytes()).hexdigest()
    stored = wheel.rename(tmp_path / digest)
    artifact = ArtifactFile(digest, wheel.name, stored, stored.stat().st_size)
    made = make(tmp_path / "venvs", shelf, wheels=(artifact,))
    assert version_in(made) == "3.0"
    assert digest in made.lock


@pytest.mark.parametrize(
    ("requirement", "code", "named"),
    [
        ("nosuchpkg", "no_package", "nosuchpkg"),
        ("tinypkg==9.9", "no_version", "tinypkg==9.9"),
        ("otherpkg==1.0", "no_wheel", "otherpkg"),
    ],
)
def test_what_cannot_be_had_is_named(tmp_path: Path, shelf: Path, requirement: str, code: str, named: str) -> None:
    with pytest.raises(ResourceFailed) as caught:
        make(tmp_path / "venvs", shelf, requirement)
    assert caught.value.detail.code == code, caught.value.detail.raw
    assert named in caught.value.detail.message
    assert not list((tmp_path / "venvs").glob("*/bin"))


def test_nothing_is_built_from_source(tmp_path: Path, shelf: Path) -> None:
    """A source distribution could run anything while it is built."""
    source = tmp_path / "evilpkg-1.0"
    source.mkdir()
    (source / "setup.py").write_text(f"open({str(tmp_path / 'ran')!r}, 'w')\n")
    (source / "PKG-INFO").write_text("Metadata-Version: 1.0\nName: evilpkg\nVersion: 1.0\n")
    subprocess.run(["tar", "-czf", str(shelf / "evilpkg-1.0.tar.gz"), "-C", str(tmp_path), source.name], check=True)
    with pytest.raises(ResourceFailed) as caught:
        make(tmp_path / "venvs", shelf, "evilpkg==1.0")
    assert caught.value.detail.code == "no_wheel", caught.value.detail.raw
    assert not (tmp_path / "ran").exists()


def test_a_pth_file_of_a_wheel_is_not_run_here(tmp_path: Path, shelf: Path) -> None:
    wheel = make_wheel(shelf, "pthpkg", "1.0")
    with zipfile.ZipFile(wheel, "a") as archive:
        archive.writestr("pthpkg.pth", f"import os; os.mkdir({str(tmp_path / 'ran')!r})\n")
    make(tmp_path / "venvs", shelf, "pthpkg")
    assert not (tmp_path / "ran").exists()


def test_the_consoles_own_environment_where_it_fits() -> None:
    own = metadata.version("scikit-learn")
    found = own_environment(Wanted("3.11", (f"scikit-learn=={own}",)))
    assert found is not None
    assert f"scikit-learn=={own}\n" in found.lock
    assert "numpy==" in found.lock
    assert "django" not in found.lock.lower()
    assert own_environment(Wanted("3.11", ("scikit-learn==0.1",))) is None
    assert own_environment(Wanted("3.11", ("nosuchpkg",))) is None
    assert own_environment(Wanted("3.10", (f"scikit-learn=={own}",))) is None


def test_an_upgrade_of_the_console_is_noticed() -> None:
    own = metadata.version("scikit-learn")
    assert still_holds("")
    assert still_holds(f"scikit-learn=={own}\n")
    assert not still_holds("scikit-learn==0.1\n")
    assert not still_holds("nosuchpkg==1.0\n")


def test_a_python_installed_later_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    version = platform.python_version()  # in full, which uv is asked for; the short one is known to be there
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setenv("UV_PYTHON_INSTALL_DIR", str(tmp_path / "managed"))
    assert find_python(version) is None
    installed = Path(sys.executable).resolve()
    (tmp_path / installed.name).symlink_to(installed)
    assert find_python(version) == installed


@pytest.fixture
def private_index(shelf: Path) -> Iterator[str]:
    """An index that asks for user and password."""
    page = "".join(f'<a href="{wheel.name}">{wheel.name}</a>' for wheel in shelf.glob("tinypkg*.whl"))
    expected = "Basic " + base64.b64encode(b"deployer:s3cret-of-the-index").decode()

    class Index(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            wheel = shelf / Path(self.path).name
            allowed = self.headers.get("Authorization") == expected
            known = self.path == "/simple/tinypkg/" or wheel.is_file()
            self.send_response(401 if not allowed else 200 if known else 404)
            self.send_header("Content-Type", "application/octet-stream" if wheel.is_file() else "text/html")
            self.end_headers()
            if allowed and known:
                self.wfile.write(wheel.read_bytes() if wheel.is_file() else page.encode())

        do_HEAD = do_GET

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Index)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}/simple"
    server.shutdown()
    server.server_close()


def test_a_private_index_gets_its_credentials_from_the_environment(tmp_path: Path, private_index: str) -> None:
    wanted = Wanted("3.11", ("tinypkg",))
    base = {**index_environment(), "UV_DEFAULT_INDEX": private_index, "UV_CACHE_DIR": str(tmp_path / "cache")}
    with pytest.raises(ResourceFailed) as caught:
        make_environment(wanted, root=tmp_path / "venvs", env=base, index_url=private_index, say=print)
    assert caught.value.detail.code == "index_refused", caught.value.detail.raw
    env = {**base, **credentials("deployer:s3cret-of-the-index")}
    made = make_environment(wanted, root=tmp_path / "venvs", env=env, index_url=private_index, say=print)
    assert version_in(made) == "2.0"
    assert "s3cret" not in made.lock


def test_whose_version_of_scikit_learn() -> None:
    def lines(spec: Spec, found: str, numpy_2: bool = False) -> tuple[str, ...]:
        wanted, _ = wanted_environment(
            spec, scoring_requirements=["msgspec"], found_version=found, numpy_2=numpy_2, wheels=()
        )
        return wanted.requirements

    plain = Spec.load({"model": MODEL})
    fixed = Spec.load({"model": MODEL, "runtime": {"requirements": ["scikit_learn==1.5.0"]}})
    assert lines(plain, "1.4.2") == ("msgspec", "scikit-learn==1.4.2")
    assert lines(fixed, "1.4.2") == ("msgspec", "scikit_learn==1.5.0")
    assert lines(plain, "") == ("msgspec", f"scikit-learn=={metadata.version('scikit-learn')}")
    assert lines(plain, "1.4.2", numpy_2=True)[-1] == "numpy>=2"


def test_an_index_that_never_answers_is_named(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        index = f"http://127.0.0.1:{silent.getsockname()[1]}/simple"
        env = {**index_environment(), "UV_DEFAULT_INDEX": index, "UV_CACHE_DIR": str(tmp_path / "cache")}
        with pytest.raises(ResourceFailed) as caught:
            make_environment(
                Wanted("3.11", ("tinypkg",)), root=tmp_path / "venvs", env=env, index_url="", say=print, seconds=1
            )
    assert caught.value.detail.code == "environment_slow"


def test_a_marker_that_cannot_be_compared_here_is_left_to_uv() -> None:
    assert own_environment(Wanted("3.11", ("numpy; platform_release >= '1' and os_name ~= 'posix'",))) is None


def test_only_index_settings_pass() -> None:
    chosen = index_environment(
        {
            "PIP_INDEX_URL": "https://mirror.example/simple",
            "https_proxy": "http://proxy:3128",
            "SSL_CERT_FILE": "/ca.pem",
            "SECRET_KEY": "MARKER",
            "DATABASE_URL": "MARKER",
        }
    )
    assert chosen == {
        "UV_DEFAULT_INDEX": "https://mirror.example/simple",
        "https_proxy": "http://proxy:3128",
        "SSL_CERT_FILE": "/ca.pem",
    }


def test_a_lock_leaves_the_machine_without_its_paths(tmp_path: Path, shelf: Path) -> None:
    wheel = make_wheel(shelf, "mine", "1.0")
    uploaded = ArtifactFile(hashlib.sha256(wheel.read_bytes()).hexdigest(), wheel.name, wheel, wheel.stat().st_size)
    made = make(tmp_path / "venvs", shelf, "tinypkg", wheels=(uploaded,))
    assert str(tmp_path) in made.lock
    assert sorted(portable(made.lock).splitlines()) == [f"./wheels/{wheel.name}", "tinypkg==2.0"]


def test_an_environment_follows_the_versions_of_another(tmp_path: Path, shelf: Path) -> None:
    served = "tinypkg==1.0\n./wheels/mine-1.0-py3-none-any.whl\n"
    wanted = Wanted("3.11", ("tinypkg",)).following(served, [])
    env = {**index_environment(), "UV_NO_INDEX": "1", "UV_FIND_LINKS": str(shelf)}
    made = make_environment(wanted, root=tmp_path / "venvs", env=env, index_url="", say=print)
    assert made.lock == "tinypkg==1.0\n"
