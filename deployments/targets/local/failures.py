"""Turns what uv and the describing child report into what happened, the likely cause and the next action."""

import errno
import re
import traceback
from collections.abc import Mapping
from typing import Any

from ...domain.errors import ErrorDetail, ResourceFailed

# Modules whose distribution has another name; the rest are found under their own.
DISTRIBUTIONS: Mapping[str, str] = {
    "sklearn": "scikit-learn",
    "cv2": "opencv-python-headless",
    "PIL": "pillow",
    "yaml": "PyYAML",
    "skimage": "scikit-image",
    "imblearn": "imbalanced-learn",
    "category_encoders": "category-encoders",
    "bs4": "beautifulsoup4",
    "dateutil": "python-dateutil",
    "sentence_transformers": "sentence-transformers",
    "umap": "umap-learn",
    "hdbscan": "hdbscan",
    "fitz": "PyMuPDF",
    "Levenshtein": "Levenshtein",
    "mlxtend": "mlxtend",
    "sklearn_crfsuite": "sklearn-crfsuite",
    "sklearn_pandas": "sklearn-pandas",
    "feature_engine": "feature-engine",
}
# Names that people give to their own modules: a file is missing, not a package.
_HELPERS = re.compile(
    r"^(features?|utils?|helpers?|transformers?_?\w*|preprocess\w*|preprocessing|custom\w*|my_?\w+|models?|pipeline\w*"
    r"|src|lib|common|train\w*|app|main|project|code|functions?|estimators?|encoders?|tools?|data\w*|config)$"
)
KNOWN_PACKAGES = frozenset(
    {
        "xgboost", "lightgbm", "catboost", "torch", "tensorflow", "keras", "statsmodels", "nltk", "spacy", "gensim",
        "pandas", "polars", "pyarrow", "numba", "dask", "prophet", "shap", "optuna", "skorch", "tpot", "sktime",
        "tslearn", "lifelines", "networkx", "geopandas", "shapely", "requests", "joblib", "scipy", "cloudpickle",
        "dill", "transformers", "datasets", "skops", "onnxruntime", "pmdarima", "mapie", "textblob", "emoji",
    }
)  # fmt: skip
_RAW_LINES = 30


def uv_failure(text: str) -> ResourceFailed:
    """Read uv's standard error."""
    plain = re.sub(r"\s+", " ", text)
    raw = "\n".join(text.strip().splitlines()[-_RAW_LINES:])
    if "No space left on device" in plain:
        return disk_full(raw)
    if re.search(r"40[13] (?:Unauthorized|Forbidden)|[Mm]issing credentials|authentication credentials", plain):
        return ResourceFailed(
            "The package index refused the console.",
            code="index_refused",
            cause="The index needs credentials, or those in runtime.index.credentials are wrong or expired.",
            action="Correct the secret that runtime.index.credentials names, then retry.",
            field="runtime.index",
            raw=raw,
        )
    if found := re.search(r"Because (\S+) was not found in the (?:package registry|provided package locations)", plain):
        name = re.split(r"[=<>~!\[]", found[1])[0]
        return ResourceFailed(
            f"There is no package called {name} in the package index.",
            code="no_package",
            cause="Its name is misspelt, or it is a private package and no index or wheel was given for it.",
            action=f"Correct {name} in runtime.requirements, upload its wheel, or name its index in runtime.index.",
            field="runtime.requirements",
            raw=raw,
        )
    if re.search(r"no (?:usable )?wheels|source distributions? (?:is|are) disabled|building .* is disabled|no matching "
                 r"(?:Python|platform)", plain):  # fmt: skip
        what = _package(plain)
        return ResourceFailed(
            f"There is no wheel of {what} for this Python and machine.",
            code="no_wheel",
            cause="That version was published for other Python versions only, or as source code, which is not built "
            "here.",
            action="Choose another runtime.python or another version in runtime.requirements, or upload a wheel "
            "built for this machine.",
            field="runtime.requirements",
            raw=raw,
        )
    if found := re.search(r"there is no version of (\S+?)(?:,| and|$)", plain):
        return ResourceFailed(
            f"There is no version {found[1]}.",
            code="no_version",
            cause="The version was never published, was withdrawn, or is not in this package index.",
            action="Choose a version that exists in runtime.requirements.",
            field="runtime.requirements",
            raw=raw,
        )
    if re.search(r"[Ff]ailed to fetch|error sending request|dns error|Could not connect|timed out|tls", plain):
        return ResourceFailed(
            "The package index cannot be reached.",
            code="index_unreachable",
            cause="There is no network, a proxy or a certificate authority is missing, or the index is down.",
            action="Check the network and the proxy variables of the machine that runs the console, then retry.",
            raw=raw,
        )
    if "No solution found" in plain:
        return ResourceFailed(
            "The requirements contradict each other.",
            code="unsolvable",
            cause="Two packages need different versions of a third; the last lines say which.",
            action="Loosen or remove one of the versions in runtime.requirements.",
            field="runtime.requirements",
            raw=raw,
        )
    return ResourceFailed(
        "The Python environment could not be made.",
        code="environment",
        cause="uv reported an error that is not known here; its last lines are below.",
        action="Read its lines, correct runtime.requirements if they are at fault, then retry.",
        raw=raw,
    )


def uv_too_slow(seconds: float) -> ResourceFailed:
    return ResourceFailed(
        f"The Python environment was not made within {seconds / 60:.0f} minutes.",
        code="environment_slow",
        cause="The package index answers slowly or not at all, or the packages are very large.",
        action="Check the network of the machine that runs the console, then retry; what was fetched is kept.",
    )


def unforeseen(error: Exception) -> ResourceFailed:
    """An error that nothing here expects: a fault of the console's, not of the person's."""
    return ResourceFailed(
        f"The console failed while it made the package ({type(error).__name__}).",
        code="console_fault",
        cause="A fault of the console itself, which what was uploaded brought to light.",
        action="Retry; if it happens again, report the lines below to whoever looks after the console.",
        raw="".join(traceback.format_exception(error)[-_RAW_LINES:]),
    )


def description_failure(error: Mapping[str, Any]) -> ErrorDetail:
    """Read what the describing child answered about a model that cannot be opened."""
    detail = ErrorDetail(
        code=str(error.get("code") or "model"),
        message=str(error.get("message") or "The model cannot be opened."),
        cause=str(error.get("cause") or ""),
        action=str(error.get("action") or "Save the model again and upload it."),
        raw=str(error.get("raw") or ""),
        fix={},
    )
    module = str(error.get("module") or "").partition(".")[0]
    if detail.code == "missing_module" and module:
        return _missing_module(module, detail)
    return detail


def disk_full(raw: str = "") -> ResourceFailed:
    return ResourceFailed(
        "The disk is full.",
        code="disk_full",
        cause="There is not enough space for the package and its Python environment.",
        action="Free some space where the console keeps its data, then retry.",
        raw=raw,
    )


def system_failure(error: OSError) -> ResourceFailed:
    """An error of the operating system while building."""
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return disk_full(str(error))
    return ResourceFailed(
        f"A file could not be read or written: {error.strerror or error}.",
        code="files",
        cause="The folder of the console was changed, moved, or belongs to another user.",
        action="Check the folder's rights, then retry.",
        raw=str(error),
    )


def _missing_module(module: str, detail: ErrorDetail) -> ErrorDetail:
    distribution = DISTRIBUTIONS.get(module, module)
    if module not in KNOWN_PACKAGES and module not in DISTRIBUTIONS and _HELPERS.match(module):
        return ErrorDetail(
            code="missing_module",
            message=f"The model needs a module called {module}, which is not there.",
            cause=f"The model uses functions or classes from your own {module}.py, which a pickle does not carry.",
            action=f"Upload {module}.py, or an archive with it, as the deployment's code; then retry.",
            raw=detail.raw,
            fix={"field": "code", "add": f"{module}.py"},
        )
    return ErrorDetail(
        code="missing_module",
        message=f"The model needs the package {distribution}, which is not in its environment.",
        cause=f"The model was made with {module}. If {module} is a module of your own, a pickle does not carry it.",
        action=f"Add {distribution} to runtime.requirements, with the version used in training; or, if it is yours, "
        f"upload {module}.py as the deployment's code. Then retry.",
        raw=detail.raw,
        fix={"field": "runtime.requirements", "add": distribution},
    )


def _package(plain: str) -> str:
    found = re.search(
        r"(?:Because|because|and) (?:only )?([A-Za-z0-9._-]+(?:[=<>]=?[\w.*]+)?) (?:has|have|is|are)", plain
    )
    return found[1] if found else "a package"
