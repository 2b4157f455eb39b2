"""Entry scripts: `init()` once, then `run()` for every request, unchanged from Azure Machine Learning."""

from __future__ import annotations

import asyncio
import importlib
import os
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING

from scoring.calls import Call, CallReader, ReplyError, packed
from scoring.inputs import Reader, Request
from scoring.opening import OpenError, missing_module

if TYPE_CHECKING:
    from scoring.aml import InferenceScript


class ScriptScorer:
    """An entry script; its answers may be cached only where the manifest calls it deterministic."""

    def __init__(self, script: EntryScript, *, deterministic: bool) -> None:
        self._script = script
        self.deterministic = deterministic
        self.schemas = script.schemas
        self.reader: Reader = CallReader(headers=script.sees_headers, narrow=deterministic)

    def score(self, request: Request) -> bytes:
        """The packed reply. Raises ReplyError for one of status 400 or above."""
        return self._script.score(request.value)


class EntryScript:
    """A script with `init()` and `run()`, started.

    The environment names the folders of the model and of the code and the script before it is imported, the code's
    folder is the working directory, and it and the script's own can be imported from. All of the script runs in one
    thread, for what `init()` opens may be usable only where it was opened, as a connection of sqlite3. Raises
    OpenError, and whatever the script or its `init()` raises.
    """

    def __init__(self, path: Path, *, code: Path, model_dir: Path) -> None:
        if not path.is_file():
            raise OpenError(
                "unreadable",
                f"The entry script {path.name} is not in the package.",
                "Its path in the spec differs from the one in the uploaded code.",
                "Correct the entry script's path, relative to the root of the uploaded code.",
            )
        name = str(path.relative_to(code))
        os.environ.update(AZUREML_MODEL_DIR=str(model_dir), AML_APP_ROOT=str(code), AZUREML_ENTRY_SCRIPT=name)
        sys.path.insert(0, str(code))
        if path.parent != code:
            sys.path.append(str(path.parent))
        os.chdir(code)
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="entry-script", initializer=_give_event_loop)
        self._script = self._thread.submit(_started, name, code).result()
        self.sees_headers = self._script.sees_headers
        self.schemas = self._script.schemas

    def score(self, call: Call) -> bytes:
        """The packed reply. Raises ReplyError for one of status 400 or above."""
        reply = self._thread.submit(self._script.reply, call).result()
        if reply.status >= 400:
            raise ReplyError(reply)
        return packed(reply)


def _started(name: str, code: Path) -> InferenceScript:
    try:
        aml = importlib.import_module("scoring.aml")
    except ModuleNotFoundError as error:
        raise OpenError(
            "missing_module",
            f"Running the entry script {name} needs the module {error.name}, which is not installed.",
            "The package was made without what entry scripts for Azure Machine Learning import.",
            "Add azureml-inference-server-http to the runtime's requirements.",
            module=error.name,
        ) from error
    try:
        script: InferenceScript = aml.InferenceScript(name, code)
    except ModuleNotFoundError as error:
        raise missing_module(error, name) from error
    except SystemExit as error:
        raise OpenError(
            "crashed",
            f"The entry script {name} ended itself while it was started, with exit code {error.code}.",
            "It or its init() calls sys.exit().",
            "Raise an exception that tells what is wrong; the function's log has the trace.",
        ) from error
    return script


def _give_event_loop() -> None:
    """Scripts may ask for the thread's event loop, which only a main thread has by itself."""
    asyncio.set_event_loop(asyncio.new_event_loop())
