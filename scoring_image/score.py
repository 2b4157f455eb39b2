"""The same scoring from inside an image that Azure Machine Learning built: an entry script around the HTTP server.

Answers, keys and entries are those of `python -m scoring`, for every request goes through the same application. Its
event loop lives in a thread of its own; `run` is called from the inference server's thread and waits.
"""

from __future__ import annotations

import asyncio
import atexit
import importlib
import os
import sys
import threading
from collections.abc import Mapping, MutableMapping
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent
sys.path.insert(0, str(ROOT))

from scoring.manifest import read_manifest  # noqa: E402
from scoring.server import Application  # noqa: E402
from scoring.service import Service  # noqa: E402
from scoring.settings import settings_from  # noqa: E402
from scoring.watchdog import end_stuck  # noqa: E402

# Opening the largest models takes minutes; the inference server waits for init() for as long as it takes.
_LOAD_SECONDS = 600
_STOP_SECONDS = 5
_LOOK_EVERY = 1.0

# What the inference server around this script adds to every answer itself.
_OF_THE_SERVER = frozenset(
    (
        "connection",
        "content-length",
        "traceid",
        "x-ms-client-request-id",
        "x-ms-request-id",
        "x-ms-run-fn-exec-ms",
        "x-ms-server-version",
        "x-request-id",
    )
)


class Face:
    """The application, and the thread that its event loop lives in, of one process."""

    def __init__(self, environ: Mapping[str, str]) -> None:
        settings = settings_from({"SCORING_ROOT": str(ROOT), **environ})
        manifest = read_manifest(settings.root)
        self.process = os.getpid()
        self._service = Service(settings, manifest)
        self._application = Application(self._service)
        self._path = f"/api/{manifest.trigger.route}"
        self._loop = asyncio.new_event_loop()
        threading.Thread(target=self._loop.run_forever, name="scoring", daemon=True).start()
        asyncio.run_coroutine_threadsafe(self._open(), self._loop).result(_LOAD_SECONDS)
        if self._service.failure is not None:
            raise self._service.failure

    def answer(self, request: Any) -> tuple[int, list[tuple[str, str]], bytes]:
        """The status, headers and body of the answer to a Flask request."""
        scope = {
            "type": "http",
            "method": request.method,
            "path": self._path,
            "query_string": request.query_string,
            "headers": [(name.lower().encode("latin-1"), value.encode("latin-1")) for name, value in request.headers],
        }
        return asyncio.run_coroutine_threadsafe(self._called(scope, request.get_data()), self._loop).result()

    def close(self) -> None:
        """Write the last statistics and let go of the cache."""
        asyncio.run_coroutine_threadsafe(self._service.stop(), self._loop).result(_STOP_SECONDS)

    async def _open(self) -> None:
        self._service.start()
        await self._service.loaded()
        self._looking = asyncio.create_task(self._look())

    async def _look(self) -> None:
        """End this worker, which the inference server then replaces, where its model is stuck."""
        seen = False
        while not (seen and self._service.runner.stuck):
            # Looked at twice: a process that was frozen finds a model stuck that is about to return.
            seen = self._service.runner.stuck
            await asyncio.sleep(_LOOK_EVERY)
        end_stuck("the model")

    async def _called(self, scope: MutableMapping[str, Any], body: bytes) -> tuple[int, list[tuple[str, str]], bytes]:
        """Call the application as an ASGI server does (asgi.readthedocs.io, HTTP connection scope)."""
        sent: list[MutableMapping[str, Any]] = []

        async def receive() -> MutableMapping[str, Any]:
            return {"type": "http.request", "body": body, "more_body": False}

        async def send(event: MutableMapping[str, Any]) -> None:
            sent.append(event)

        await self._application(scope, receive, send)
        headers = [(name.decode("latin-1"), value.decode("latin-1")) for name, value in sent[0]["headers"]]
        return sent[0]["status"], headers, b"".join(event.get("body", b"") for event in sent[1:])


class _Started:
    """What init() made."""

    face: Face | None = None


def init() -> None:
    """Open the model and connect the cache. Raises what makes that impossible, so that the image does not start."""
    # Where a slow model gets a process of its own, that has to find the code wherever it is started.
    os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, (str(ROOT), os.environ.get("PYTHONPATH"))))
    _Started.face = Face(os.environ)


def _face() -> Face:
    """The face of this process: where workers are forked after init(), its threads stayed behind."""
    if _Started.face is None or _Started.face.process != os.getpid():
        _Started.face = Face(os.environ)
    return _Started.face


@atexit.register
def _stop() -> None:
    if _Started.face is not None and _Started.face.process == os.getpid():
        _Started.face.close()


def _aml(module: str) -> Any:
    """A module of the inference server, by its name of today or of the images before."""
    try:
        return importlib.import_module(f"azureml_inference_server_http.api.{module}")
    except ModuleNotFoundError:
        return importlib.import_module(f"azureml.contrib.services.{module}")


@_aml("aml_request").rawhttp  # type: ignore[untyped-decorator]
def run(request: Any) -> Any:
    """Answer one Flask request as the HTTP server would."""
    status, headers, body = _face().answer(request)
    response = _aml("aml_response").AMLResponse(body, status)
    own = [(name, value) for name, value in headers if name not in _OF_THE_SERVER]
    for name in {name for name, _ in own}:
        del response.headers[name]
    response.headers.extend(own)
    return response
