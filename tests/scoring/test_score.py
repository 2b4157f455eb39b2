"""The second face: Azure Machine Learning's own inference server around the same service, keys and entries."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.scoring.packages import write_package
from tests.scoring.processes import SCORING_IMAGE, Function, Redis, free_port, wait_for


@pytest.fixture
def package(tmp_path: Path, wine: Any) -> Path:
    """A package as an image has it: with the scoring code in it."""
    root = tmp_path / "package"
    write_package(root, wine[0])
    shutil.copy(SCORING_IMAGE / "score.py", root)
    shutil.copytree(SCORING_IMAGE / "scoring", root / "scoring")
    return root


@pytest.fixture
def inference_server(package: Path, cache_server: Redis) -> Iterator[httpx.Client]:
    port = free_port()
    environment = {
        "PATH": os.environ["PATH"],
        "SCORING_CACHE_URL": cache_server.url,
        "SCORING_CACHE_PREFIX": "test",
        "SCORING_CACHE_TIMEOUT_MS": "250",
    }
    command = [Path(sys.executable).with_name("azmlinfsrv"), "--port", str(port), "--entry_script", "score.py"]
    with (package / "server.log").open("w") as log:
        process = subprocess.Popen(command, cwd=package, env=environment, stdout=log, stderr=log)
    client = httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=20, trust_env=False)

    def answers() -> bool:
        assert process.poll() is None, (package / "server.log").read_text()
        try:
            return client.get("/").is_success
        except httpx.TransportError:
            return False

    wait_for(answers, seconds=60)
    yield client
    process.terminate()
    process.wait(20)


def test_both_faces_answer_alike_and_share_their_entries(
    inference_server: httpx.Client, package: Path, cache_server: Redis, wine: Any, serve: Any
) -> None:
    model, data = wine
    body = {"data": data[:2].tolist()}
    first = inference_server.post("/score", json=body)
    assert first.json() == model.predict(data[:2]).tolist()
    assert first.headers["x-cache"] == "MISS"
    function: Function = serve(package, SCORING_CACHE_URL=cache_server.url).ready()
    other = function.client.post("/api/score", json=body)
    assert (other.headers["x-cache"], other.content) == ("HIT", first.content)
    assert other.headers["x-cache-key"] == first.headers["x-cache-key"]
    again = inference_server.post("/score", json=body)
    assert (again.headers["x-cache"], again.content) == ("HIT", first.content)
    fresh = inference_server.post("/score", json=body, headers={"Cache-Control": "no-store"})
    assert fresh.headers["x-cache"] == "BYPASS"
    refused, also = (
        client.post(path, json={"data": [[1]]})
        for client, path in ((inference_server, "/score"), (function.client, "/api/score"))
    )
    assert refused.status_code == also.status_code == 400
    assert refused.json() == also.json()
