"""Entry scripts: `init()` once, then `run(raw_body)` for every request, as in Azure Machine Learning."""

from __future__ import annotations

import importlib.util
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from scoring.opening import OpenError


class EntryScript:
    """A script with `init()` and `run(raw_body)`, started.

    As in Azure Machine Learning's inference server, the script is run as a module named `entry_module`, its
    folder can be imported from, and the environment names the folder of the model and of the script before it
    starts. Raises OpenError for a script without the two functions, and whatever the script or its `init()`
    raises.
    """

    def __init__(self, path: Path, *, code: Path, model_dir: Path) -> None:
        if not path.is_file():
            raise OpenError(
                "unreadable",
                f"The entry script {path.name} is not in the package.",
                "Its path in the spec differs from the one in the uploaded code.",
                "Correct the entry script's path, relative to the root of the uploaded code.",
            )
        os.environ.update(
            AZUREML_MODEL_DIR=str(model_dir),
            AML_APP_ROOT=str(code),
            AZUREML_ENTRY_SCRIPT=str(path.relative_to(code)),
        )
        sys.path.insert(0, str(code))
        module = _module(path)
        init = _function(module, "init", path)
        run = _function(module, "run", path)
        init()
        self.run: Callable[[str], Any] = run


def _module(path: Path) -> Any:
    spec = importlib.util.spec_from_file_location("entry_module", path)
    if spec is None or spec.loader is None:
        raise OpenError(
            "not_a_script",
            f"{path.name} is not a Python file.",
            "The entry script's name does not end in .py.",
            "Name the Python file that has init() and run().",
        )
    module = importlib.util.module_from_spec(spec)
    sys.modules["entry_module"] = module
    spec.loader.exec_module(module)
    return module


def _function(module: Any, name: str, path: Path) -> Callable[..., Any]:
    function = getattr(module, name, None)
    if not callable(function):
        raise OpenError(
            "no_method",
            f"The entry script {path.name} has no {name}().",
            "An entry script needs init(), which opens the model, and run(raw_body), which answers.",
            f"Define {name}() at the top level of {path.name}.",
        )
    found: Callable[..., Any] = function
    return found
