"""What the bytes of an uploaded model say, read without opening it."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache

from ..models import Artifact
from ..models.artifacts import artifact_path
from ..targets.local.versions import modules_named, scikit_learn_version

PACKAGES: Mapping[str, str] = {
    "catboost": "catboost",
    "category_encoders": "category-encoders",
    "feature_engine": "feature-engine",
    "hdbscan": "hdbscan",
    "imblearn": "imbalanced-learn",
    "lightgbm": "lightgbm",
    "mapie": "mapie",
    "mlxtend": "mlxtend",
    "nltk": "nltk",
    "pandas": "pandas",
    "polars": "polars",
    "sentence_transformers": "sentence-transformers",
    "sklearn_pandas": "sklearn-pandas",
    "skorch": "skorch",
    "spacy": "spacy",
    "statsmodels": "statsmodels",
    "tensorflow": "tensorflow",
    "torch": "torch",
    "tslearn": "tslearn",
    "umap": "umap-learn",
    "xgboost": "xgboost",
}
"""Modules that models are often made of, and the packages that pip knows them by."""

NOTEBOOK = "__main__"


@dataclass(frozen=True, slots=True)
class Findings:
    """The scikit-learn version ("" where the file names none), packages by pip's names, and whether it refers to
    code of the script or notebook that saved it."""

    scikit_learn: str
    packages: tuple[str, ...]
    names_notebook: bool


def findings(artifact: Artifact) -> Findings | None:
    """None where the file is gone."""
    return _read(artifact.pk) if artifact.path.is_file() else None


@lru_cache(maxsize=256)
def _read(digest: str) -> Findings:
    """Kept by digest: the same bytes always say the same, and large files take seconds to read."""
    path = artifact_path(digest)
    modules = modules_named(path, {*PACKAGES, NOTEBOOK})
    packages = tuple(sorted(PACKAGES[name] for name in modules if name in PACKAGES))
    return Findings(scikit_learn_version(path), packages, NOTEBOOK in modules)
