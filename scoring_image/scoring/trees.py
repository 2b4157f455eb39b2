"""The decision trees in a fitted model, and rows that stand on their thresholds."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from scoring.features import first_estimators

Floats = NDArray[np.float64]

_MOST_AT_ONCE = 8_192


@dataclass(frozen=True, slots=True)
class Tree:
    """One binary tree as arrays, a node each; `left` is -1 at a leaf. A row goes left where x <= threshold."""

    feature: NDArray[np.int64]
    threshold: Floats
    left: NDArray[np.int64]
    right: NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Forest:
    """Trees that read the same features, and the fitted steps that the input passes before them.

    `rounds` tells that the trees round their input to float32 before they compare it.
    """

    trees: list[Tree]
    before: list[Any]
    rounds: bool

    @property
    def nodes(self) -> int:
        """How many nodes all trees have together."""
        return sum(len(tree.left) for tree in self.trees)


def forest_of(model: Any) -> Forest | None:
    """The trees that a model's input meets, through searches and pipelines; None where there are none."""
    chain = [step for step in first_estimators(model) if not hasattr(step, "steps")]
    for place, step in enumerate(chain):
        trees = list(_trees(step, None))
        if trees:
            before = [one for one in chain[:place] if not hasattr(one, "best_estimator_")]
            return Forest(trees, before, rounds=not hasattr(step, "_predictors"))
    return None


def _trees(estimator: Any, mapping: NDArray[np.int64] | None) -> Iterator[Tree]:
    """All trees below an ensemble; `mapping` gives the features that a bagged estimator was shown."""
    inner = getattr(estimator, "tree_", None)
    if inner is not None and hasattr(inner, "children_left"):
        left = np.asarray(inner.children_left, dtype=np.int64)
        feature = np.where(left >= 0, inner.feature, 0).astype(np.int64)
        yield Tree(
            feature if mapping is None else mapping[feature],
            np.asarray(inner.threshold, dtype=np.float64),
            left,
            np.asarray(inner.children_right, dtype=np.int64),
        )
        return
    for stage in getattr(estimator, "_predictors", ()):
        for predictor in stage:
            yield _histogram_tree(predictor.nodes)
    shown = getattr(estimator, "estimators_features_", None)
    members = getattr(estimator, "estimators_", ())
    if isinstance(members, np.ndarray):
        members = members.ravel().tolist()
    for place, member in enumerate(members if isinstance(members, list | tuple) else ()):
        if hasattr(member, "get_params"):
            yield from _trees(member, None if shown is None else np.asarray(shown[place], dtype=np.int64))


def _histogram_tree(nodes: Any) -> Tree:
    inner = ~nodes["is_leaf"].astype(bool)
    # A split by category has no threshold; as a leaf it ends the walk there.
    split = inner & ~nodes["is_categorical"].astype(bool)
    return Tree(
        nodes["feature_idx"].astype(np.int64),
        nodes["num_threshold"].astype(np.float64),
        np.where(split, nodes["left"].astype(np.int64), -1),
        np.where(split, nodes["right"].astype(np.int64), -1),
    )


def ranges(forest: Forest, width: int) -> tuple[Floats, Floats]:
    """The least and the greatest threshold of each of `width` features; NaN for a feature never split on."""
    least, greatest = np.full(width, np.inf), np.full(width, -np.inf)
    for tree in forest.trees:
        inner = tree.left >= 0
        np.minimum.at(least, tree.feature[inner], tree.threshold[inner])
        np.maximum.at(greatest, tree.feature[inner], tree.threshold[inner])
    unused = least > greatest
    least[unused] = greatest[unused] = np.nan
    return least, greatest


def threshold_rows(forest: Forest, centre: Floats, most: int, random: np.random.Generator) -> Iterator[Floats]:
    """Rows whose every feature stands about one of its thresholds, and rows that reach a node and stand about its own.

    The former take every distinct threshold of every feature, as far as _MOST_AT_ONCE rows go. The latter are six
    for each of `most` nodes, drawn at random where there are more, nodes of other thresholds first.
    """
    yield from _all_at_once(forest, centre, random)
    chosen = _chosen_nodes(forest, most, random)
    for index, tree in enumerate(forest.trees):
        wanted = chosen.get(index)
        if wanted:
            yield from _walk(tree, centre, wanted)


def _all_at_once(forest: Forest, centre: Floats, random: np.random.Generator) -> Iterator[Floats]:
    lists: dict[int, Floats] = {}
    features = np.concatenate([tree.feature[tree.left >= 0] for tree in forest.trees])
    thresholds = np.concatenate([tree.threshold[tree.left >= 0] for tree in forest.trees])
    for feature in np.unique(features):
        distinct = np.unique(thresholds[features == feature])
        lists[int(feature)] = random.permutation(np.concatenate([around(value) for value in distinct]))
    rows = np.repeat(centre[None, :], min(_MOST_AT_ONCE, max((len(one) for one in lists.values()), default=0)), axis=0)
    for feature, values in lists.items():
        rows[:, feature] = np.resize(values, len(rows))
    for start in range(0, len(rows), 512):
        yield rows[start : start + 512]


def _chosen_nodes(forest: Forest, most: int, random: np.random.Generator) -> dict[int, set[int]]:
    places = [
        (index, node) for index, tree in enumerate(forest.trees) for node in np.flatnonzero(tree.left >= 0).tolist()
    ]
    random.shuffle(places)
    first: list[tuple[int, int]] = []
    more: list[tuple[int, int]] = []
    seen: set[tuple[int, float]] = set()
    for index, node in places:
        tree = forest.trees[index]
        threshold = (int(tree.feature[node]), float(tree.threshold[node]))
        (more if threshold in seen else first).append((index, node))
        seen.add(threshold)
    chosen: dict[int, set[int]] = {}
    for index, node in (first + more)[:most]:
        chosen.setdefault(index, set()).add(node)
    return chosen


def _walk(tree: Tree, centre: Floats, wanted: set[int]) -> Iterator[Floats]:
    """Go through the tree with a row that is bent, feature by feature, so that it gets to where the walk is."""
    waiting: list[tuple[int, Floats]] = [(0, centre)]
    while waiting:
        node, row = waiting.pop()
        if tree.left[node] < 0:
            continue
        feature, threshold = int(tree.feature[node]), float(tree.threshold[node])
        if node in wanted:
            values = around(threshold)
            rows = np.repeat(row[None, :], len(values), axis=0)
            rows[:, feature] = values
            yield rows
        # The branch that the row takes anyway keeps the row; the other gets one that is just over the line.
        below, above = row, row
        step = max(abs(threshold), 1.0) * 1e-3
        if row[feature] <= threshold:
            above = row.copy()
            above[feature] = threshold + step
        else:
            below = row.copy()
            below[feature] = threshold - step
        waiting += [(int(tree.left[node]), below), (int(tree.right[node]), above)]


def around(threshold: float) -> Floats:
    """The threshold, its neighbours as float64, and the float32 numbers about it; zeros unsigned."""
    near = np.float32(threshold)
    values = [
        threshold,
        np.nextafter(threshold, -np.inf),
        np.nextafter(threshold, np.inf),
        float(near),
        float(np.nextafter(near, np.float32(-np.inf))),
        float(np.nextafter(near, np.float32(np.inf))),
    ]
    return np.array(values, dtype=np.float64) + 0.0


def column_thresholds(forest: Forest, transformer: Any, named: list[str]) -> dict[str, list[float]]:
    """Where trees behind a ColumnTransformer split its columns, in the columns' own units; only for parts that
    change each column by itself and can be undone."""
    found: dict[str, list[float]] = {}
    fitted = {name: part for name, part, _ in transformer.transformers_}
    splits: dict[int, set[float]] = {}
    for tree in forest.trees:
        inner = tree.left >= 0
        for feature, threshold in zip(tree.feature[inner].tolist(), tree.threshold[inner].tolist(), strict=True):
            splits.setdefault(feature, set()).add(threshold)
    for name, inputs in transformer._transformer_to_input_indices.items():
        outputs = transformer.output_indices_.get(name, slice(0, 0))
        steps = _undone(fitted.get(name))
        if steps is None or outputs.stop - outputs.start != len(inputs):
            continue
        for place, index in enumerate(inputs):
            thresholds = sorted(splits.get(outputs.start + place, ()))
            if thresholds:
                found.setdefault(named[index], []).extend(_original_units(thresholds, place, len(inputs), steps))
    return found


def _undone(part: Any) -> list[Any] | None:
    """The steps to undo for a part that changes each column by itself; None for any other part."""
    if part == "passthrough":
        return []
    chain = [step for step in first_estimators(part) if not hasattr(step, "steps")] if part != "drop" else [None]
    kinds = [type(step).__name__ for step in chain]
    if not all(kind in _BY_COLUMN or kind in ("SimpleImputer", "FunctionTransformer") for kind in kinds):
        return None
    return [step for step, kind in zip(chain, kinds, strict=True) if kind in _BY_COLUMN][::-1]


_BY_COLUMN = ("StandardScaler", "MinMaxScaler", "MaxAbsScaler", "RobustScaler")


def _original_units(thresholds: list[float], place: int, width: int, steps: list[Any]) -> list[float]:
    rows = np.zeros((len(thresholds), width))
    rows[:, place] = thresholds
    for step in steps:
        rows = np.asarray(step.inverse_transform(rows))
    return [float(value) for value in rows[:, place]]
