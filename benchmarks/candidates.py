"""Everything that is measured: our server in its ways, the alternatives, and the floor."""

from __future__ import annotations

import sys
from pathlib import Path

from benchmarks.machine import PEERS_PYTHON
from benchmarks.models import Trained
from benchmarks.processes import Peer

_PEERS = Path(__file__).parent / "peers"
FASTAPI = "FastAPI + redis.asyncio"
FASTAPI_ALONE = "FastAPI, no cache"
AML = "azureml-inference-server + redis-py"
HELLO = "floor: hello"
FLOOR = "floor: hello, key, GET"
PREFIX = "bench"


def ours(name: str, package: Path, *, policy: str = "on", local_mb: int = 0, keys: str = "request") -> Peer:
    """Our server as its package starts it: one process."""
    return Peer(
        name=name,
        command=(sys.executable, "-m", "scoring"),
        folder=package,
        environment={
            "PYTHONPATH": str(package),
            "SCORING_ROOT": str(package),
            "SCORING_PORT": "{port}",
            "SCORING_PROCESSES": "1",
            "SCORING_CACHE_URL": "redis://127.0.0.1:{redis}/0",
            "SCORING_CACHE_PREFIX": PREFIX,
            "SCORING_CACHE_POLICY": policy,
            "SCORING_LOCAL_MB": str(local_mb),
            "SCORING_KEYS": keys,
        },
        ready="/healthz",
        ours=True,
    )


def fastapi(model: Trained, *, cache: bool = True, slow: bool = False) -> Peer:
    """FastAPI on uvicorn, one worker."""
    return Peer(
        name=FASTAPI if cache else FASTAPI_ALONE,
        command=_uvicorn(PEERS_PYTHON, "fastapi_app"),
        environment={
            "MODEL_FILE": str(model.file),
            "REDIS_PORT": "{redis}",
            "CACHE": "yes" if cache else "no",
            "SLOW_MODEL": "yes" if slow else "no",
        },
        caches=cache,
    )


def azureml(model: Trained) -> Peer:
    """azureml-inference-server-http, one worker, with an entry script that caches."""
    return Peer(
        name=AML,
        command=(
            str(Path(sys.executable).with_name("azmlinfsrv")),
            *("--entry_script", str(_PEERS / "aml_score.py"), "--worker_count", "1"),
            *("--port", "{port}", "--health_port", "{spare}"),
        ),
        environment={"MODEL_FILE": str(model.file), "REDIS_PORT": "{redis}"},
        path="/score",
        ready="/",
    )


def hello() -> Peer:
    """uvicorn with next to nothing."""
    return Peer(name=HELLO, command=_uvicorn(Path(sys.executable), "hello"), caches=False)


def floor() -> Peer:
    """uvicorn with what every hit needs: decode, key, one GET."""
    return Peer(name=FLOOR, command=_uvicorn(Path(sys.executable), "floor"), environment={"REDIS_PORT": "{redis}"})


def _uvicorn(python: Path, module: str) -> tuple[str, ...]:
    return (
        *(str(python), "-m", "uvicorn", f"{module}:app", "--app-dir", str(_PEERS), "--port", "{port}"),
        *("--http", "httptools", "--loop", "uvloop", "--lifespan", "off"),
        *("--no-access-log", "--no-server-header", "--log-level", "warning"),
    )
