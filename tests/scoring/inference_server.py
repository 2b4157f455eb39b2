"""Azure Machine Learning's own inference server around an entry script, as a process of a test."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import httpx

from tests.scoring.processes import free_port, wait_for


class InferenceServer:
    """`azmlinfsrv` with `script` of the folder `root`; it binds all interfaces, as it always does."""

    def __init__(self, root: Path, script: str, *arguments: str, **environment: str) -> None:
        port = free_port()
        command = [Path(sys.executable).with_name("azmlinfsrv"), "--port", str(port), "--entry_script", script]
        self.log_file = root.with_name(f"{root.name}.inference-server.log")
        with self.log_file.open("w") as log:
            self.process = subprocess.Popen(
                [*command, *arguments],
                cwd=root,
                env={"PATH": os.environ["PATH"], **environment},
                stdout=log,
                stderr=log,
            )
        self.client = httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=20, trust_env=False)

    def ready(self) -> InferenceServer:
        """Wait until it answers."""
        wait_for(self._answers, seconds=90)
        return self

    def stop(self) -> None:
        """End it and its workers."""
        self.client.close()
        self.process.terminate()
        try:
            self.process.wait(30)
        finally:
            self.process.kill()

    def _answers(self) -> bool:
        assert self.process.poll() is None, self.log_file.read_text()
        try:
            return self.client.get("/").is_success
        except httpx.TransportError:
            return False
