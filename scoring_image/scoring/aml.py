"""What Azure Machine Learning's inference server does between a request and a script, by its own parts.

Loading the script, telling how `run()` wants its input, reading it and calling are azureml-inference-server-http's
own `UserScript`; what `handle_score` of its `server/routes.py` does around that is said again here, for importing that
module starts a server's logging, tracing and configuration. Imported only where a script runs.
"""

from __future__ import annotations

import inspect
import logging
import os
import sys
from io import BytesIO
from pathlib import Path
from typing import Any

import flask
from azureml_inference_server_http.api import aml_request
from azureml_inference_server_http.api.aml_response import AMLResponse
from azureml_inference_server_http.server.input_parsers import (
    BadInput,
    RawRequestInput,
    UnsupportedHTTPMethod,
    UnsupportedInput,
)
from azureml_inference_server_http.server.user_script import (
    UserScript,
    UserScriptError,
    UserScriptException,
    UserScriptTimeout,
)
from inference_schema.schema_util import get_input_schema, get_output_schema, is_schema_decorated

from scoring.aml_face import timed_out, timeout_ms
from scoring.calls import EXECUTION_TIME, Call, Reply, Schemas
from scoring.opening import OpenError

# Where the inference server is called, which a script can see.
PATH = "/score"

# What is for whoever sends the answer to say.
_OF_THE_SENDER = frozenset({"connection", "content-length", "date", "server", "transfer-encoding"})

# The inference server's own words.
_RAISED = "An unexpected error occurred in scoring script. Check the logs for more info."
_INTERNAL = "An unexpected internal error occurred. Check the logs for more info."

log = logging.getLogger("scoring")


class InferenceScript:
    """A script whose `init()` has run. Raises OpenError, and whatever the script or its `init()` raises."""

    def __init__(self, name: str, code: Path) -> None:
        self._script = UserScript(name)
        # Only said in an answer: the library's alarm works in a main thread alone, the service watches the time.
        self._timeout_ms = timeout_ms(os.environ)
        # The mark that @rawhttp leaves is the process's: it must tell of this script alone.
        marked, aml_request._rawHttpRequested = aml_request._rawHttpRequested, False
        try:
            self._script.load_script(str(code))
            self._script.invoke_init()
        except UserScriptException as error:
            raise error.user_ex from None
        except UserScriptError as error:
            raise OpenError(
                "no_method",
                f"The entry script {name} cannot be run: {error}",
                "An entry script needs init(), which opens the model, and run() with one named parameter for the "
                "input, more only with @input_schema.",
                f"Correct init() and run() at the top level of {name}.",
            ) from error
        finally:
            aml_request._rawHttpRequested = marked
        takes = inspect.signature(self._script.get_run_function()).parameters
        self.sees_headers = isinstance(self._script.input_parser, RawRequestInput) or "request_headers" in takes
        self._app = flask.Flask("entry_script")
        self.schemas = _schemas(self._script)

    def reply(self, call: Call) -> Reply:
        """What the inference server answers at /score, without the headers that it adds to every answer."""
        environ = _environ(call)
        with self._app.request_context(environ):
            try:
                return _rendered(self._app.process_response(self._response()), environ)
            except Exception:
                log.exception("the entry script's input cannot be read, or what it returned cannot be sent")
                return _rendered(_refusal(500, _INTERNAL), environ)

    def _response(self) -> Any:
        try:
            timed = self._script.invoke_run(flask.request, timeout_ms=self._timeout_ms)
        except BadInput as error:
            return _refusal(400, str(error))
        except UnsupportedInput as error:
            return _refusal(415, str(error))
        except UnsupportedHTTPMethod:
            # A browser's question before the real request; Flask-CORS's headers are added to every answer alike.
            return AMLResponse("", 200) if flask.request.method == "OPTIONS" else _refusal(405, "Method not allowed")
        except UserScriptTimeout as error:
            log.exception("the entry script raised a TimeoutError")
            return _refusal(500, timed_out(error.timeout_ms), failed=True)
        except (UserScriptException, SystemExit):
            log.exception("the entry script raised")
            return _refusal(500, _RAISED, failed=True)
        response = timed.output
        if not isinstance(response, flask.Response):
            response = AMLResponse(response, 200, {}, json_str=True)
        elif response.status_code >= 500:
            response.headers["x-ms-run-function-failed"] = "True"
        response.headers.add(EXECUTION_TIME, f"{timed.elapsed_ms:.3f}")
        return response


def _schemas(script: UserScript) -> Schemas | None:
    """What inference-schema was told of run(); None where it was told nothing."""
    run = script.get_run_function()
    if not is_schema_decorated(run):
        return None
    return Schemas(input=get_input_schema(run), output=get_output_schema(run))


def _refusal(status: int, message: str, *, failed: bool = False) -> Any:
    return AMLResponse({"message": message}, status, json_str=True, run_function_failed=failed)


def _rendered(response: Any, environ: dict[str, Any]) -> Reply:
    """The response as it is sent; streams are read to their end."""
    body, status, headers = response.get_wsgi_response(environ)
    try:
        content = b"".join(body)
    finally:
        response.close()
    told = tuple((name, value) for name, value in headers if name.lower() not in _OF_THE_SENDER)
    for name, value in told:
        (name + value).encode("latin-1")
    return Reply(int(status.split()[0]), told, content)


def _environ(call: Call) -> dict[str, Any]:
    """The call as WSGI has it (PEP 3333), with what gunicorn puts in: no header with an underscore in its name."""
    environ: dict[str, Any] = {
        "REQUEST_METHOD": call.method,
        "SCRIPT_NAME": "",
        "PATH_INFO": PATH,
        "QUERY_STRING": call.query.decode("latin-1"),
        "SERVER_NAME": "localhost",
        "SERVER_PORT": "80",
        "SERVER_PROTOCOL": "HTTP/1.1",
        "REMOTE_ADDR": "127.0.0.1",
        "wsgi.version": (1, 0),
        "wsgi.url_scheme": "http",
        "wsgi.input": BytesIO(call.body),
        "wsgi.input_terminated": True,
        "wsgi.errors": sys.stderr,
        "wsgi.multithread": False,
        "wsgi.multiprocess": True,
        "wsgi.run_once": False,
    }
    for name, value in call.headers:
        if b"_" in name:
            continue
        key = name.decode("latin-1").upper().replace("-", "_")
        if key not in ("CONTENT_TYPE", "CONTENT_LENGTH"):
            key = f"HTTP_{key}"
        text = value.decode("latin-1")
        environ[key] = f"{environ[key]},{text}" if key in environ else text
    return environ
