"""The machine that is measured on: which core serves and which asks, and what it is called in the report."""

from __future__ import annotations

import os
import platform
import shutil
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

from deployments.redis_server import find_server

ROOT = Path(__file__).resolve().parent.parent
WORK = ROOT / "var" / "benchmarks"
PEERS_PYTHON = WORK / "fastapi" / "bin" / "python"
_REQUIREMENTS = Path(__file__).parent / "requirements.txt"
_OURS = (
    *("scikit-learn", "numpy", "onnxruntime", "uvicorn", "uvloop", "httptools", "msgspec", "redis", "hiredis"),
    "azureml-inference-server-http",
)
_FASTAPI = ("fastapi", "orjson", "scikit-learn", "numpy", "uvicorn", "uvloop", "httptools", "redis", "hiredis")

_cores = sorted(os.sched_getaffinity(0))
SERVING = _cores[0]
ASKING = _cores[-1]


class CannotMeasureError(Exception):
    """Something is missing without which nothing can be measured; the message says what to do."""


def check() -> None:
    """Raises CannotMeasureError where wrk or taskset is missing."""
    for program, package in (("wrk", "wrk"), ("taskset", "util-linux")):
        if shutil.which(program) is None:
            raise CannotMeasureError(f"{program} is not on PATH. Install it (Debian: apt-get install {package}).")


def make_peers() -> None:
    """Make the environment of the FastAPI peer; nothing to do where it is as its requirements say."""
    stamp = WORK / "fastapi.made-from"
    wanted = _REQUIREMENTS.read_text()
    if PEERS_PYTHON.exists() and stamp.exists() and stamp.read_text() == wanted:
        return
    WORK.mkdir(parents=True, exist_ok=True)
    uv = [sys.executable, "-m", "uv"]
    subprocess.run([*uv, "venv", "--quiet", "--clear", "--python", sys.executable, PEERS_PYTHON.parents[1]], check=True)
    subprocess.run(
        [*uv, "pip", "install", "--quiet", "--python", PEERS_PYTHON, "-r", _REQUIREMENTS], check=True, cwd=WORK
    )
    stamp.write_text(wanted)


def stay_with_the_askers() -> None:
    """Leave the serving core to the servers: this process and what it starts run on the other from here on."""
    os.sched_setaffinity(0, {ASKING})


def description() -> str:
    """The machine and the versions, as a paragraph of the report."""
    pins = dict(line.split("==") for line in _REQUIREMENTS.read_text().split() if "==" in line)
    ours = ", ".join(f"{name} {version(name)}" for name in _OURS)
    fastapi = ", ".join(f"{name} {pins[name]}" for name in _FASTAPI)
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    shared = "" if SERVING != ASKING else " **There is one core, which servers, wrk and Redis share.**"
    return (
        f"{_processor()}, {len(_cores)} cores, {memory:.0f} GB; Linux {platform.release().split('-')[0]}, Python "
        f"{platform.python_version()}, {_redis()}.{shared} FastAPI: {fastapi}. The others: {ours}."
    )


def _processor() -> str:
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.split(":", 1)[1].strip()
    return platform.machine()


def _redis() -> str:
    line = subprocess.run([find_server(), "--version"], capture_output=True, text=True, check=True).stdout
    words = dict(word.split("=", 1) for word in line.split() if "=" in word)
    return f"{line.split()[0]} {words.get('v', '')}".strip()
