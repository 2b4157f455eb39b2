"""Packages: equal parts give an equal digest wherever and whenever they are put together."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from deployments.packaging.context import wheel_line
from deployments.packaging.manifest import Executed

from .parts import PARTS, SCORING_ROOT, make, names_in, spec_with

_ELSEWHERE = """
import sys
from pathlib import Path
from tests.packaging.parts import make
print(make(Path(sys.argv[1])))
"""


@pytest.fixture
def odd_umask() -> Iterator[None]:
    before = os.umask(0o077)
    yield
    os.umask(before)


def listed(root: Path) -> list[tuple[object, ...]]:
    return [
        (path.relative_to(root), path.stat().st_mode, path.stat().st_mtime, path.is_file() and path.read_bytes())
        for path in sorted(root.rglob("*"))
    ]


def test_equal_parts_give_an_equal_package(tmp_path: Path) -> None:
    first, second = tmp_path / "first", tmp_path / "second"
    assert make(first) == make(second)
    assert listed(first) == listed(second)


def test_a_package_has_what_the_image_is_made_of(tmp_path: Path) -> None:
    make(tmp_path / "package")
    names = names_in(tmp_path / "package")
    assert names >= {
        "Dockerfile", "host.json", "manifest.json", "requirements.txt", "score.py", "start.sh", "score/function.json",
        "healthz/function.json", "openapi/function.json", "scoring/__main__.py", "model/digits.joblib",
    }  # fmt: skip
    assert not any("__pycache__" in name or name.startswith(("code/", "wheels/")) for name in names)


def test_another_process_another_time_zone_and_umask_give_the_same(tmp_path: Path, odd_umask: None) -> None:
    here = make(tmp_path / "here")
    elsewhere = tmp_path / "elsewhere"
    environment = {
        **os.environ, "TZ": "Pacific/Kiritimati", "LC_ALL": "C", "PYTHONHASHSEED": "7", "PYTHONUTF8": "0",
        "PYTHONPATH": str(SCORING_ROOT.parent),
    }  # fmt: skip
    done = subprocess.run(
        [sys.executable, "-c", _ELSEWHERE, str(elsewhere)], env=environment, capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == here
    assert listed(elsewhere) == listed(tmp_path / "here")
    assert (elsewhere / "model").stat().st_mode & 0o777 == 0o755


def test_a_changed_part_gives_another_package(tmp_path: Path) -> None:
    code, onnx, wheel = tmp_path / "code", tmp_path / "made.onnx", tmp_path / "x"
    code.mkdir()
    (code / "features.py").write_text("x = 1\n")
    onnx.write_bytes(b"onnx")
    wheel.write_bytes(b"wheel")
    executed = replace(PARTS, executed=Executed("onnx", "Equal.", "3" * 64, {"name": "label"}))
    digests = {
        make(tmp_path / "a"),
        make(tmp_path / "b", parts=replace(PARTS, lock="scikit-learn==1.7.1\n")),
        make(tmp_path / "c", code=code),
        make(tmp_path / "d", spec=spec_with(trigger={"kind": "http", "route": "other"})),
        make(tmp_path / "e", parts=executed, executed=onnx),
        make(tmp_path / "f", wheels={"mine-1.0-py3-none-any.whl": wheel}),
        make(tmp_path / "g", spec=spec_with(runtime={"python": "3.12"})),
    }
    assert len(digests) == 7
    assert (tmp_path / "e" / "model" / "executed.onnx").read_bytes() == b"onnx"


def test_uploaded_wheels_travel_with_the_package(tmp_path: Path) -> None:
    wheel = tmp_path / "stored-under-its-digest"
    wheel.write_bytes(b"wheel")
    name = "mine-1.0-py3-none-any.whl"
    parts = replace(PARTS, lock=f"{PARTS.lock}{wheel_line(name)}\n", wheels={name: "4" * 64})
    make(tmp_path / "package", parts=parts, wheels={name: wheel})
    lines = (tmp_path / "package" / "requirements.txt").read_text().splitlines()
    assert lines == ["scikit-learn==1.7.2", f"./wheels/{name}"]
    assert (tmp_path / "package" / lines[1]).read_bytes() == b"wheel"
    assert "COPY wheels" in (tmp_path / "package" / "Dockerfile").read_text()


@pytest.mark.parametrize("trigger", [{"kind": "http"}, {"kind": "blob"}, {"kind": "service_bus"}])
def test_the_dockerfile_copies_what_the_package_has_and_nothing_else(tmp_path: Path, trigger: dict[str, str]) -> None:
    spec = spec_with(trigger=trigger, runtime={"python": "3.12"})
    package = tmp_path / "package"
    make(package, spec=spec)
    function = json.loads((package / "manifest.json").read_text())["trigger"]["function"]
    lines = (package / "Dockerfile").read_text().splitlines()
    assert "ARG PYTHON_VERSION=3.12" in lines
    assert f"ARG FUNCTION={function}" in lines
    copied = [line.replace("${FUNCTION}", function).split()[1:-1] for line in lines if line.startswith("COPY ")]
    assert all((package / name).exists() for names in copied for name in names)
    # Each file has a layer of its own kind, so that none is copied twice; what only builds stays out of the image.
    top = {name.partition("/")[0] for name in names_in(package)}
    assert top - {name for names in copied for name in names} == {"Dockerfile", "requirements"}
    assert copied[-2:] == [["manifest.json"], ["model"]]
