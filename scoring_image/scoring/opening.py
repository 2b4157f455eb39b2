"""Opening an uploaded model of any format, and words for each way it can fail."""

from __future__ import annotations

import hashlib
import importlib
import re
import sys
from pathlib import Path
from typing import Any, BinaryIO

from scoring.formats import found_format

METHODS = ("predict", "predict_proba", "decision_function", "transform", "score_samples")

_MODULE = re.compile(r"No module named '([^']+)'")
# Each heavy in its own way, so that only what the file's format needs is imported.
_LOADERS = {
    "joblib": "scoring.pickled",
    "pickle": "scoring.pickled",
    "skops": "scoring.skops_file",
}


class OpenError(Exception):
    """The model cannot be used: what happened, the likely cause, what to do; `module` is what is missing."""

    def __init__(self, code: str, message: str, cause: str, action: str, *, module: str | None = None) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.cause = cause
        self.action = action
        self.module = module

    def as_dict(self) -> dict[str, str]:
        """The parts by name, `module` only where there is one."""
        told = {"code": self.code, "message": self.message, "cause": self.cause, "action": self.action}
        return told if self.module is None else {**told, "module": self.module}


def open_model(
    path: Path,
    *,
    method: str,
    model_format: str = "joblib",
    sha256: str | None = None,
    code: Path | None = None,
) -> Any:
    """The estimator in a joblib, pickle or skops file (`model_format`), checked to have the method. Raises OpenError.

    The file is read only after its digest was found to be `sha256`, from the same open file, so that it
    cannot be exchanged in between. Modules in `code` can be imported by what it holds.
    """
    if code is not None and code.is_dir():
        sys.path.insert(0, str(code))
    with open_checked(path, sha256) as file:
        check_format(file, path.name, model_format)
        try:
            load = importlib.import_module(_LOADERS[model_format]).load
        except ModuleNotFoundError as error:
            raise missing_module(error, path.name) from error
        model = load(file, path.name)
    _check_method(model, path.name, method)
    return model


def check_format(file: BinaryIO, name: str, model_format: str) -> None:
    """See that the file, by its content, can be what it is said to be. Raises OpenError."""
    found = found_format(file)
    family = "pickle" if model_format == "joblib" else model_format
    if found is None or found.family == family:
        return
    remedy = (
        f"Rename it to {Path(name).stem}{found.suffix}, or upload the file that was meant."
        if found.suffix
        else "Save the fitted estimator with joblib.dump(model, 'model.joblib'), or export it to ONNX."
    )
    taken_for = "an ONNX" if model_format == "onnx" else f"a {model_format}"
    raise OpenError(
        "wrong_format",
        f"{name} is taken for {taken_for} file and holds {found.says}.",
        "The file's ending, or the format that was chosen, does not fit its content.",
        remedy,
    )


def open_checked(path: Path, sha256: str | None) -> BinaryIO:
    """The file, open at its start, once its bytes are known to be those packaged. Raises OpenError."""
    try:
        file = path.open("rb")
    except OSError as error:
        raise OpenError(
            "unreadable",
            f"{path.name} cannot be read: {error.strerror or error}.",
            "The file is not where the package says, or its permissions forbid reading.",
            "Deploy again, so that the package is built anew.",
        ) from error
    if sha256 is not None and hashlib.file_digest(file, "sha256").hexdigest() != sha256:
        file.close()
        raise OpenError(
            "wrong_digest",
            f"{path.name} is not the file that was packaged: its SHA-256 differs from the manifest's.",
            "The file was changed or damaged after it was packaged.",
            "Deploy again. If it happens twice, find out who writes to the package's folder.",
        )
    file.seek(0)
    return file


def missing_module(error: ModuleNotFoundError, name: str) -> OpenError:
    """What to say where `name` needs a module that cannot be imported, or not in this version."""
    found = _MODULE.search(str(error))
    module = error.name or (found.group(1) if found else "?")
    root = module.split(".")[0]
    if root != module and root in sys.modules:
        return OpenError(
            "version",
            f"{name} needs {module}, which the installed version of {root} does not have.",
            f"The model was saved with another version of {root}.",
            f"Name the version of {root} that the model was trained with in the runtime's requirements.",
            module=module,
        )
    return OpenError(
        "missing_module",
        f"{name} needs the module {module}, which is not installed.",
        f"The model was saved where {module} could be imported: a library, or a file of your own.",
        f"Add the library to the runtime's requirements, or upload {root}.py as code.",
        module=module,
    )


def truncated(name: str, error: Exception) -> OpenError:
    """What to say of a file that stops in the middle."""
    return OpenError(
        "truncated",
        f"{name} ends too early ({type(error).__name__}).",
        "The upload or the copy before it was cut off, or the file was still being written.",
        "Save the model again, compare the sizes, and upload it once more.",
    )


def out_of_memory(name: str) -> OpenError:
    """What to say where the model does not fit into memory."""
    return OpenError(
        "memory",
        f"Opening {name} took more memory than it may have.",
        "The model is larger than the limit, or the file asks for far more than it holds.",
        "Save the model compressed or smaller, or choose a larger size.",
    )


def _check_method(model: Any, name: str, method: str) -> None:
    if callable(getattr(model, method, None)):
        return
    if isinstance(model, dict):
        held = ", ".join(repr(key) for key in list(model)[:8]) or "none"
        inside = next((key for key, part in model.items() if callable(getattr(part, method, None))), "model")
        raise OpenError(
            "not_a_model",
            f"{name} holds a dict with keys {held}, not a model.",
            "Several things were saved together.",
            f"Save the estimator itself: joblib.dump(bundle[{inside!r}], 'model.joblib').",
        )
    has = [known for known in METHODS if callable(getattr(model, known, None))]
    if not has:
        raise OpenError(
            "not_a_model",
            f"{name} holds a {type(model).__name__}, which cannot predict.",
            "Something else than an estimator was saved.",
            "Save the fitted estimator or Pipeline itself.",
        )
    raise OpenError(
        "no_method",
        f"{type(model).__name__} in {name} has no {method}; it has {', '.join(has)}.",
        "Not every estimator offers every method; probabilities often need an option at training.",
        f"Choose {has[0]}, or train the model so that it offers {method}.",
    )
