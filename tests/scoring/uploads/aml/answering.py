"""An entry script without decorators that answers as it is told, found through `driver.py`."""

import json
import os
import sys
import time
from pathlib import Path

import flask
import numpy as np
from azureml_inference_server_http.api.aml_response import AMLResponse
from lib.words import WORDS

STATE = {}


def init():
    STATE["model_dir"] = [path.name for path in Path(os.environ["AZUREML_MODEL_DIR"]).iterdir()]
    STATE["greeting"] = Path("lib/greeting.txt").read_text(encoding="utf-8")


def raises():
    raise RuntimeError("the secret of the script")


def times_out():
    raise TimeoutError("of a database")


ANSWERS = {
    "array": lambda: np.arange(3),
    "bytes": lambda: b"bytes",
    "environment": lambda: [STATE["model_dir"], Path(os.environ["AML_APP_ROOT"]).is_dir()],
    "exit": lambda: sys.exit(3),
    "helper": lambda: [WORDS, STATE["greeting"]],
    "list": lambda: [1, 2.5, True, None, "é"],
    "nan": lambda: [float("nan"), float("inf")],
    "none": lambda: None,
    "raise": raises,
    "slow": lambda: time.sleep(2),
    "text": lambda: 'a "text" of ☃',
    "timeout": times_out,
    "tuple": lambda: ({"a": 1}, 404),
    "response": lambda: AMLResponse({"a": 1}, 201, {"X-Own": "one, two"}, json_str=True),
    "response-none": lambda: AMLResponse(None, 200),
    "response-text": lambda: AMLResponse("words", 200, {"Content-Type": "text/csv", "X-Own": "1"}),
    "response-bytes": lambda: AMLResponse(bytes(range(256)), 200, {"Content-Type": "image/png"}),
    "response-400": lambda: AMLResponse("no", 400),
    "response-503": lambda: AMLResponse("later", 503, {"Retry-After": "7"}),
    "flask": lambda: flask.Response("<p>", 200),
    "flask-500": lambda: flask.Response("broken", 500, mimetype="text/plain"),
    "flask-304": lambda: flask.Response(status=304),
    "stream": lambda: flask.Response((part for part in ("a", "b", "c")), mimetype="text/plain"),
    "cookie": lambda: flask.Response("ok", headers=[("Set-Cookie", "a=1"), ("Set-Cookie", "b=2")]),
    "redirect": lambda: flask.redirect("/elsewhere"),
}


def run(raw_data, request_headers):
    asked = json.loads(raw_data)
    if isinstance(asked, dict) and asked.get("do") in ANSWERS:
        return ANSWERS[asked["do"]]()
    own = {name: value for name, value in request_headers.items() if name.startswith(("X-Own", "Content-"))}
    return {"raw": raw_data, "headers": own, "path": flask.request.path}
