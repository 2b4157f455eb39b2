"""The same scoring from inside an image that Azure Machine Learning built: an entry script over the service.

Keys, entries and answers are those of the HTTP server, for it is the same service. Its event loop runs in a thread of
its own; `run` is called from the inference server's thread and waits.
"""

from __future__ import annotations

import asyncio
import importlib
import os
import sys
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec

ROOT = Path(__file__).resolve().parent
sys.path.insert(0, str(ROOT))

from scoring.errors import ScoringError  # noqa: E402
from scoring.manifest import read_manifest  # noqa: E402
from scoring.server import answer_headers, cache_wish  # noqa: E402
from scoring.service import Service  # noqa: E402
from scoring.settings import settings_from  # noqa: E402

# Opening the largest models takes minutes; the inference server waits for init() for as long as it takes.
_LOAD_SECONDS = 600


class Face:
    """The service and the thread that its event loop lives in."""

    def __init__(self, environ: Mapping[str, str]) -> None:
        settings = settings_from({"SCORING_ROOT": str(ROOT), **environ})
        self._service = Service(settings, read_manifest(settings.root))
        self._loop = asyncio.new_event_loop()
        threading.Thread(target=self._loop.run_forever, name="scoring", daemon=True).start()
        asyncio.run_coroutine_threadsafe(self._open(), self._loop).result(_LOAD_SECONDS)
        if self._service.failure is not None:
            raise self._service.failure

    def answer(self, raw_body: str, cache_control: str | None) -> tuple[bytes, dict[str, str]]:
        """The JSON and its headers. Raises ScoringError for everything that is not an answer."""
        work = self._service.answer(raw_body.encode(), cache_wish(cache_control))
        answer = asyncio.run_coroutine_threadsafe(work, self._loop).result()
        headers = answer_headers(answer, self._service.manifest.model_version)
        return answer.body, {name.decode(): value.decode() for name, value in headers}

    async def _open(self) -> None:
        self._service.start()
        await self._service.loaded()


class _Started:
    """What init() made; the inference server calls it once in each of its processes."""

    face: Face | None = None


def init() -> None:
    """Open the model and connect the cache. Raises what makes that impossible, so that the image does not start."""
    _Started.face = Face(os.environ)


def run(raw_body: str, request_headers: Mapping[str, str] | None = None) -> Any:
    """Score one request: `{"data": rows}`.

    Answers a response with the server's status and headers where the inference server's own class for that is there,
    and what the model returned, or a ScoringError, where it is not.
    """
    if _Started.face is None:
        raise RuntimeError("init() has not been called")
    asked = {name.lower(): value for name, value in (request_headers or {}).items()}
    try:
        body, headers = _Started.face.answer(raw_body, asked.get("cache-control"))
    except ScoringError as error:
        if _RESPONSE is None:
            raise
        return _RESPONSE(error.body(), error.status, {"Content-Type": "application/json"})
    if _RESPONSE is None:
        return msgspec.json.decode(body)
    return _RESPONSE(body, 200, {"Content-Type": "application/json", **headers})


def _response_class() -> Any:
    """AMLResponse, by its name of today or of the images before; None in a process without an inference server."""
    for module in ("azureml_inference_server_http.api.aml_response", "azureml.contrib.services.aml_response"):
        try:
            return importlib.import_module(module).AMLResponse
        except ImportError:
            continue
    return None


_RESPONSE = _response_class()
