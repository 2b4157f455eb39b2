"""What a fitted model says about its features: how many, their names and types, and a plausible row.

Nothing of scikit-learn is imported: estimators are known by the attributes that fitting leaves on them, and
so pipelines of other libraries with the same conventions are understood as well.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np

_VECTORIZERS = {"CountVectorizer", "TfidfVectorizer", "HashingVectorizer"}
# A typical value per feature, as different estimators keep it.
_CENTRES = ("mean_", "center_", "statistics_", "data_min_")


@dataclass(frozen=True, slots=True)
class Feature:
    """One named feature: its dtype in the manifest's words, a value to try, and the categories seen at training."""

    name: str
    dtype: str
    value: Any
    categories: tuple[Any, ...] | None = None


@dataclass(slots=True)
class Known:
    """What fitting left about one column: its categories, its words, how far it spreads, where trees split it."""

    categories: list[Any] | None = None
    vocabulary: list[str] | None = None
    spread: float | None = None
    thresholds: list[float] = field(default_factory=list)


def first_estimators(model: Any) -> Iterator[Any]:
    """The estimators that the input meets, from the outside in, through searches and pipelines."""
    model = getattr(model, "best_estimator_", model)
    yield model
    steps = getattr(model, "steps", None)
    if isinstance(steps, list):
        for _, step in steps:
            if step is not None and step != "passthrough":
                yield from first_estimators(step)


def takes_text(model: Any) -> bool:
    """Whether the first thing that happens to the input is that its words are counted."""
    for estimator in first_estimators(model):
        if {base.__name__ for base in type(estimator).__mro__} & _VECTORIZERS:
            return True
        if not hasattr(estimator, "steps"):
            return False
    return False


def width(model: Any) -> int | None:
    """The number of features, or None where nothing tells."""
    for estimator in first_estimators(model):
        count = getattr(estimator, "n_features_in_", None)
        if isinstance(count, int | np.integer):
            return int(count)
    return None


def names(model: Any) -> list[str] | None:
    """The features' names, where the model was trained on a table."""
    for estimator in first_estimators(model):
        found = getattr(estimator, "feature_names_in_", None)
        if found is not None:
            return [str(name) for name in found]
    return None


def typical_row(model: Any, count: int) -> list[float] | None:
    """A typical value for each of `count` features, as a scaler or an imputer near the start knows them."""
    for estimator in first_estimators(model):
        categories = getattr(estimator, "categories_", None)
        if isinstance(categories, list) and len(categories) == count:
            return [float(present(known)[0]) for known in categories]
        for attribute in _CENTRES:
            values = _numbers(getattr(estimator, attribute, None))
            if values is not None and len(values) == count:
                return [float(f"{value:.6g}") for value in values]
    return None


def spread(model: Any, count: int) -> list[float] | None:
    """How far each of `count` features spreads, as a scaler near the start knows it."""
    for estimator in first_estimators(model):
        for attribute in ("data_range_", "scale_"):
            values = _numbers(getattr(estimator, attribute, None))
            if values is not None and len(values) == count:
                return [abs(value) for value in values]
    return None


def vocabulary(model: Any) -> list[str]:
    """Words and word groups that the first vectorizer counts, in the order of its columns; none for a hashing one."""
    for estimator in first_estimators(model):
        words = getattr(estimator, "vocabulary_", None)
        if isinstance(words, dict):
            return [str(word) for word in sorted(words, key=words.__getitem__)]
    return []


def column_values(model: Any, columns: list[dict[str, Any]]) -> dict[str, Known]:
    """What is known about each described column, by its name."""
    known = {str(column["name"]): Known(categories=column.get("categories")) for column in columns}
    transformer, named = column_transformer(model), names(model)
    if transformer is None or named is None:
        return known
    fitted = {name: part for name, part, _ in transformer.transformers_}
    for part_name, indices in transformer._transformer_to_input_indices.items():
        part = fitted.get(part_name, "drop")
        if isinstance(part, str):
            continue
        for place, index in enumerate(indices):
            if named[index] in known:
                _learn(known[named[index]], part, place, len(indices))
    return known


def _learn(known: Known, part: Any, place: int, count: int) -> None:
    if takes_text(part):
        known.vocabulary = vocabulary(part)
    for estimator in first_estimators(part):
        categories = getattr(estimator, "categories_", None)
        if known.categories is None and isinstance(categories, list) and place < len(categories):
            known.categories = present(categories[place])
    spreads = spread(part, count)
    if spreads is not None:
        known.spread = spreads[place]


def present(categories: Any) -> list[Any]:
    """The categories that are values: without None and NaN, by which encoders know the missing one."""
    return [item for item in np.asarray(categories, dtype=object).tolist() if item is not None and item == item]


def column_transformer(model: Any) -> Any | None:
    """The ColumnTransformer that the input meets first, if it meets one before anything else."""
    for estimator in first_estimators(model):
        # Histogram boosting keeps one inside for the categorical columns of a table.
        for found in (estimator, getattr(estimator, "_preprocessor", None)):
            if hasattr(found, "transformers_") and hasattr(found, "_transformer_to_input_indices"):
                return found
        if not hasattr(estimator, "steps"):
            return None
    return None


def encoded_features(model: Any, named: list[str] | None) -> list[Feature] | None:
    """The columns of an encoder that the input meets first, where any of them holds texts; None elsewhere.

    Columns without names are called x0, x1 and so on, as scikit-learn calls them.
    """
    for estimator in first_estimators(model):
        categories = getattr(estimator, "categories_", None)
        if isinstance(categories, list):
            called = named or [f"x{place}" for place in range(len(categories))]
            found = [_category_feature(name, known) for name, known in zip(called, categories, strict=True)]
            return found if any(feature.dtype == "string" for feature in found) else None
        if not hasattr(estimator, "steps"):
            return None
    return None


def column_features(transformer: Any, named: list[str]) -> tuple[list[Feature], list[str]]:
    """The columns that a fitted ColumnTransformer uses, in order, and those that it drops."""
    used: dict[int, Feature] = {}
    fitted = {name: part for name, part, _ in transformer.transformers_}
    for part_name, indices in transformer._transformer_to_input_indices.items():
        part = fitted.get(part_name, "drop")
        if isinstance(part, str) and part == "drop":
            continue
        for place, index in enumerate(indices):
            feature = _feature(named[index], part, place)
            # A column in two parts is text if one of them says so.
            if index not in used or feature.dtype == "string":
                used[index] = feature
    dropped = [name for index, name in enumerate(named) if index not in used]
    return [used[index] for index in sorted(used)], dropped


def _feature(name: str, part: Any, place: int) -> Feature:
    for estimator in first_estimators(part):
        if takes_text(estimator):
            return Feature(name, "string", "text")
        categories = getattr(estimator, "categories_", None)
        if isinstance(categories, list) and place < len(categories):
            return _category_feature(name, categories[place])
        for attribute in _CENTRES:
            values = getattr(estimator, attribute, None)
            if not isinstance(values, np.ndarray) or place >= len(values):
                continue
            value = values[place]
            if isinstance(value, str):
                return Feature(name, "string", value)
            if isinstance(value, int | float | np.number) and np.isfinite(value):
                return Feature(name, "float64", float(f"{float(value):.6g}"))
    return Feature(name, "float64", 0.0)


def _category_feature(name: str, categories: Any) -> Feature:
    known = tuple(_python(item) for item in present(categories))
    first = known[0] if known else ""
    if isinstance(first, bool):
        return Feature(name, "bool", first)
    if isinstance(first, int):
        return Feature(name, "int64", first, known)
    if isinstance(first, float):
        return Feature(name, "float64", first, known)
    return Feature(name, "string", str(first), tuple(map(str, known)))


def _python(item: Any) -> Any:
    return item.item() if isinstance(item, np.generic) else item


def _numbers(values: Any) -> list[float] | None:
    if not isinstance(values, np.ndarray) or values.ndim != 1 or values.dtype.kind not in "fiu":
        return None
    return [float(value) for value in values] if bool(np.isfinite(values).all()) else None
