"""skl2onnx's converters for forests, replaced by ones that answer as scikit-learn does to the last threshold.

What differs from skl2onnx 1.20: thresholds stay float64, and what the trees compare is rounded to float32 inside the
graph where scikit-learn rounds it; sums are in float64 and in scikit-learn's order; missing values go the way that the
tree learnt for them; attributes are made from arrays, so that a large forest takes seconds and little memory; and
histogram gradient boosting converts at all beside onnx 1.23. Operators: ai.onnx.ml TreeEnsembleClassifier version 3
and, where a leaf has one number, TreeEnsemble version 5, which gives float64 as well
(https://onnx.ai/onnx/operators/onnx_aionnxml_TreeEnsemble.html).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from skl2onnx import update_registered_converter
from skl2onnx._supported_operators import sklearn_operator_name_map
from skl2onnx.common._registration import get_converter, get_shape_calculator
from skl2onnx.common.data_types import DoubleTensorType, FloatTensorType
from sklearn.ensemble import (
    ExtraTreesClassifier,
    ExtraTreesRegressor,
    GradientBoostingClassifier,
    GradientBoostingRegressor,
    HistGradientBoostingClassifier,
    HistGradientBoostingRegressor,
    IsolationForest,
    RandomForestClassifier,
    RandomForestRegressor,
)
from sklearn.tree import DecisionTreeClassifier, DecisionTreeRegressor, ExtraTreeClassifier, ExtraTreeRegressor

_ML = "ai.onnx.ml"
_FLOAT, _DOUBLE, _INT64 = onnx.TensorProto.FLOAT, onnx.TensorProto.DOUBLE, onnx.TensorProto.INT64

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]
Convert = Callable[[Any, Any, Any], None]


@dataclass(frozen=True, slots=True)
class _Nodes:
    """One tree: `left` is -1 at leaves; `missing_left` tells where missing values go; a number for each leaf."""

    feature: Integers
    threshold: Floats
    left: Integers
    right: Integers
    missing_left: Integers
    value: Floats


def register() -> None:
    """Put these converters into skl2onnx's place; they hand what they do not do to the ones they replace."""
    for kind in (RandomForestClassifier, ExtraTreesClassifier, DecisionTreeClassifier, ExtraTreeClassifier):
        _replace(kind, _forest_classifier, lambda model: model.n_outputs_ == 1)
    for kind in (RandomForestRegressor, ExtraTreesRegressor, DecisionTreeRegressor, ExtraTreeRegressor):
        _replace(kind, _forest_regressor, lambda _: True)
    _replace(HistGradientBoostingClassifier, _histogram_classifier, lambda _: True)
    _replace(HistGradientBoostingRegressor, _histogram_regressor, lambda _: True)
    _replace(GradientBoostingClassifier, _gradient_classifier, _plain_start)
    _replace(GradientBoostingRegressor, _boosted_regressor, _plain_start)
    _replace(IsolationForest, _isolation_forest, lambda _: True)


def _replace(kind: type, convert: Convert, does: Callable[[Any], bool]) -> None:
    alias = sklearn_operator_name_map[kind]
    theirs, shapes = get_converter(alias), get_shape_calculator(alias)

    def ours(scope: Any, operator: Any, container: Any) -> None:
        (convert if does(operator.raw_operator) else theirs)(scope, operator, container)

    def declared(operator: Any) -> None:
        shapes(operator)
        if does(operator.raw_operator):
            for output in operator.outputs:
                if isinstance(output.type, FloatTensorType):
                    output.type = DoubleTensorType(output.type.shape)

    options = theirs.get_allowed_options()
    update_registered_converter(kind, alias, declared, ours, overwrite=True, options=options)


class _Graph:
    """Adds nodes to the graph that is being made, each with one output."""

    def __init__(self, scope: Any, container: Any) -> None:
        self._scope = scope
        self._container = container

    def add(self, op: str, inputs: Sequence[str], output: str | None = None, *, version: int = 13, **rest: Any) -> str:
        name = output or self._scope.get_unique_variable_name(op.lower())
        self.put(op, inputs, [name], version=version, **rest)
        return name

    def put(self, op: str, inputs: Sequence[str], outputs: Sequence[str], *, version: int, **rest: Any) -> None:
        name = self._scope.get_unique_operator_name(op)
        self._container.add_node(op, list(inputs), list(outputs), op_version=version, name=name, **rest)

    def constant(self, values: Any, kind: int) -> str:
        array = np.asarray(values)
        name: str = self._scope.get_unique_variable_name("constant")
        flat = [item.encode() for item in array.ravel()] if kind == onnx.TensorProto.STRING else array.ravel().tolist()
        self._container.add_initializer(name, kind, list(array.shape), flat)
        return name

    def compared(self, operator: Any, *, rounded: bool) -> str:
        """The input as float64, and rounded to float32 where the trees do that."""
        name = operator.inputs[0].full_name
        if rounded:
            name = self.add("Cast", [name], to=_FLOAT)
        return self.add("Cast", [name], to=_DOUBLE)


def _tree(estimator: Any, value: Floats | None, features: Integers | None = None) -> _Nodes:
    inner = estimator.tree_
    left = np.asarray(inner.children_left, dtype=np.int64)
    feature = np.where(left >= 0, inner.feature, 0).astype(np.int64)
    missing = getattr(inner, "missing_go_to_left", None)
    return _Nodes(
        feature=feature if features is None else features[feature],
        threshold=np.asarray(inner.threshold, dtype=np.float64),
        left=left,
        right=np.asarray(inner.children_right, dtype=np.int64),
        missing_left=np.zeros(len(left), np.int64) if missing is None else np.asarray(missing, dtype=np.int64),
        value=np.zeros(len(left)) if value is None else value,
    )


def _members(model: Any) -> list[Any]:
    return list(model.estimators_) if hasattr(model, "estimators_") else [model]


def _tensor(values: NDArray[Any], kind: int) -> Any:
    return onnx.helper.make_tensor("", kind, [len(values)], values.tolist())


def _weight_attributes(trees: list[_Nodes], shares: list[Floats], of: str) -> dict[str, Any]:
    """Attributes of TreeEnsembleClassifier (`of` class) or TreeEnsembleRegressor (target), version 3.

    Every node of every tree, and a weight for each class or target of which a leaf has any.
    """
    sizes = [len(tree.left) for tree in trees]
    numbers = np.concatenate([np.arange(size) for size in sizes])
    owners = np.repeat(np.arange(len(trees)), sizes)
    left = np.concatenate([tree.left for tree in trees])
    leaf = left < 0
    weights = np.concatenate(shares)
    held = leaf[:, None] & (weights != 0)
    # A leaf of nothing but zeros still has to be one.
    held[leaf & ~held.any(axis=1), 0] = True
    node, of_class = np.nonzero(held)
    return {
        "nodes_treeids": owners.tolist(),
        "nodes_nodeids": numbers.tolist(),
        "nodes_featureids": np.concatenate([tree.feature for tree in trees]).tolist(),
        "nodes_modes": np.where(leaf, "LEAF", "BRANCH_LEQ").tolist(),
        "nodes_values_as_tensor": _tensor(
            np.where(leaf, 0.0, np.concatenate([tree.threshold for tree in trees])), _DOUBLE
        ),
        "nodes_truenodeids": np.where(leaf, 0, left).tolist(),
        "nodes_falsenodeids": np.where(leaf, 0, np.concatenate([tree.right for tree in trees])).tolist(),
        "nodes_missing_value_tracks_true": np.where(
            leaf, 0, np.concatenate([tree.missing_left for tree in trees])
        ).tolist(),
        f"{of}_treeids": owners[node].tolist(),
        f"{of}_nodeids": numbers[node].tolist(),
        f"{of}_ids": of_class.tolist(),
        f"{of}_weights_as_tensor": _tensor(weights[node, of_class], _DOUBLE),
        "post_transform": "NONE",
    }


def _ensemble_attributes(trees: list[_Nodes], targets: Sequence[int], count: int) -> dict[str, Any]:
    """Attributes of TreeEnsemble: inner nodes and leaves apart, each numbered through all trees."""
    roots, columns, first_node, first_leaf = [], [], 0, 0
    leaves: list[Floats] = []
    owners: list[Integers] = []
    for tree, target in zip(trees, targets, strict=True):
        inner = tree.left >= 0
        value = tree.value[~inner]
        if not inner.any():
            # A tree of one leaf is a node whose both ways lead to it.
            one = np.array([first_leaf]), np.ones(1, np.int64)
            columns.append((np.zeros(1, np.int64), np.zeros(1), *one, *one, np.zeros(1, np.int64)))
            added = 1
        else:
            place = np.where(inner, first_node + np.cumsum(inner) - 1, first_leaf + np.cumsum(~inner) - 1)
            left, right = tree.left[inner], tree.right[inner]
            columns.append(
                (
                    tree.feature[inner],
                    tree.threshold[inner],
                    place[left],
                    (~inner[left]).astype(np.int64),
                    place[right],
                    (~inner[right]).astype(np.int64),
                    tree.missing_left[inner],
                )
            )
            added = int(inner.sum())
        roots.append(first_node)
        leaves.append(value)
        owners.append(np.full(len(value), target))
        first_node, first_leaf = first_node + added, first_leaf + len(value)
    feature, split, true, true_leaf, false, false_leaf, missing = (
        np.concatenate(part) for part in zip(*columns, strict=True)
    )
    return {
        "tree_roots": roots,
        "nodes_featureids": feature.tolist(),
        "nodes_splits": _tensor(split, _DOUBLE),
        "nodes_modes": _tensor(np.zeros(len(feature), np.uint8), onnx.TensorProto.UINT8),
        "nodes_truenodeids": true.tolist(),
        "nodes_trueleafs": true_leaf.tolist(),
        "nodes_falsenodeids": false.tolist(),
        "nodes_falseleafs": false_leaf.tolist(),
        "nodes_missing_value_tracks_true": missing.tolist(),
        "leaf_targetids": np.concatenate(owners).tolist(),
        "leaf_weights": _tensor(np.concatenate(leaves), _DOUBLE),
        "n_targets": count,
        "aggregate_function": 1,
        "post_transform": 0,
    }


def _sum(graph: _Graph, rows: str, trees: list[_Nodes], targets: Sequence[int] | None = None, count: int = 1) -> str:
    """TreeEnsemble of version 5, which skl2onnx does not let pass; conversion declares it once the graph is made."""
    attributes = _ensemble_attributes(trees, targets or [0] * len(trees), count)
    return graph.add("TreeEnsemble", [rows], version=3, op_domain=_ML, **attributes)


def _forest_classifier(scope: Any, operator: Any, container: Any) -> None:
    model, graph = operator.raw_operator, _Graph(scope, container)
    members = _members(model)
    shares = []
    for member in members:
        share = np.asarray(member.tree_.value, dtype=np.float64)[:, 0, : len(model.classes_)]
        total = share.sum(axis=1, keepdims=True)
        # Before scikit-learn 1.3 leaves held counts.
        shares.append(share if np.allclose(total, 1.0) else share / total)
    label, scores = (output.full_name for output in operator.outputs)
    if len(model.classes_) == 2:
        # For two classes ONNX Runtime's classifier goes by rules of its own; a leaf's lead of the second is one number.
        leads = [_tree(member, share[:, 1] - share[:, 0]) for member, share in zip(members, shares, strict=True)]
        lead = _sum(graph, graph.compared(operator, rounded=True), leads)
        half = graph.add("Div", [lead, graph.constant([2.0 * len(members)], _DOUBLE)])
        middle = graph.constant([0.5], _DOUBLE)
        first = graph.add("Sub", [middle, half], version=14)
        graph.add("Concat", [first, graph.add("Add", [middle, half], version=14)], scores, axis=1)
        _name(graph, model, _positive(graph, lead), label)
        return
    summed = scope.get_unique_variable_name("summed")
    graph.put(
        "TreeEnsembleClassifier",
        [graph.compared(operator, rounded=True)],
        [label, summed],
        version=3,
        op_domain=_ML,
        **_label_attributes(model.classes_),
        **_weight_attributes([_tree(member, None) for member in members], shares, "class"),
    )
    summed = graph.add("Cast", [summed], to=_DOUBLE)
    graph.add("Div", [summed, graph.constant([float(len(members))], _DOUBLE)], scores)


def _label_attributes(classes: NDArray[Any]) -> dict[str, Any]:
    names = classes.tolist()
    if all(isinstance(name, str) for name in names):
        return {"classlabels_strings": names}
    if all(float(name).is_integer() for name in names):
        return {"classlabels_int64s": [int(name) for name in names]}
    raise NotImplementedError("labels that are neither text nor whole numbers")


def _forest_regressor(scope: Any, operator: Any, container: Any) -> None:
    model, graph = operator.raw_operator, _Graph(scope, container)
    members = _members(model)
    values = [np.asarray(member.tree_.value, dtype=np.float64)[:, :, 0] for member in members]
    rows = graph.compared(operator, rounded=True)
    if model.n_outputs_ == 1:
        summed = _sum(graph, rows, [_tree(member, value[:, 0]) for member, value in zip(members, values, strict=True)])
    else:
        trees = [_tree(member, None) for member in members]
        attributes = {**_weight_attributes(trees, values, "target"), "n_targets": int(model.n_outputs_)}
        summed = graph.add("TreeEnsembleRegressor", [rows], version=3, op_domain=_ML, **attributes)
        summed = graph.add("Cast", [summed], to=_DOUBLE)
    count = graph.constant([float(len(members))], _DOUBLE)
    _finish(graph, operator, graph.add("Div", [summed, count]))


def _histogram_trees(model: Any) -> tuple[list[_Nodes], list[int]]:
    trees, targets = [], []
    for stage in model._predictors:
        for target, predictor in enumerate(stage):
            nodes = predictor.nodes
            inner = ~nodes["is_leaf"].astype(bool)
            if (nodes["is_categorical"].astype(bool) & inner).any():
                raise NotImplementedError("trees that split by category")
            trees.append(
                _Nodes(
                    feature=nodes["feature_idx"].astype(np.int64),
                    threshold=nodes["num_threshold"].astype(np.float64),
                    left=np.where(inner, nodes["left"].astype(np.int64), -1),
                    right=np.where(inner, nodes["right"].astype(np.int64), -1),
                    missing_left=nodes["missing_go_to_left"].astype(np.int64),
                    value=nodes["value"].astype(np.float64),
                )
            )
            targets.append(target)
    return trees, targets


def _histogram_sum(graph: _Graph, operator: Any) -> str:
    model = operator.raw_operator
    trees, targets = _histogram_trees(model)
    width = int(model.n_trees_per_iteration_)
    summed = _sum(graph, graph.compared(operator, rounded=False), trees, targets, width)
    return graph.add("Add", [summed, graph.constant(np.ravel(model._baseline_prediction), _DOUBLE)], version=14)


def _histogram_regressor(scope: Any, operator: Any, container: Any) -> None:
    graph = _Graph(scope, container)
    link = type(operator.raw_operator._loss.link).__name__
    raw = _histogram_sum(graph, operator)
    if link == "LogLink":
        raw = graph.add("Exp", [raw])
    elif link != "IdentityLink":
        raise NotImplementedError(f"the link {link}")
    _finish(graph, operator, raw)


def _histogram_classifier(scope: Any, operator: Any, container: Any) -> None:
    graph = _Graph(scope, container)
    raw = _histogram_sum(graph, operator)
    _boosted_classifier(graph, operator, container, raw, width=int(operator.raw_operator.n_trees_per_iteration_))


def _boosted_classifier(graph: _Graph, operator: Any, container: Any, raw: str, *, width: int) -> None:
    """Labels, and probabilities or the raw scores themselves, from the sums of one tree or more a stage."""
    model = operator.raw_operator
    label, scores = (output.full_name for output in operator.outputs)
    as_scores = container.get_options(model, {"raw_scores": False})["raw_scores"]
    if width == 1:
        chosen = _positive(graph, raw)
        second = raw if as_scores else graph.add("Sigmoid", [raw])
        one = graph.constant([1.0], _DOUBLE)
        first = graph.add("Neg", [raw]) if as_scores else graph.add("Sub", [one, second], version=14)
        graph.add("Concat", [first, second], scores, axis=1)
    else:
        chosen = graph.add("ArgMax", [raw], axis=1, keepdims=0)
        graph.add("Identity" if as_scores else "Softmax", [raw], scores, **({} if as_scores else {"axis": 1}))
    _name(graph, model, chosen, label)


def _plain_start(model: Any) -> bool:
    """Whether gradient boosting begins with constants, and turns its sums into probabilities in the usual way."""
    usual = type(model._loss).__name__ != "ExponentialLoss"
    return usual and (model.init is None or (isinstance(model.init, str) and model.init == "zero"))


def _boosted_sum(graph: _Graph, operator: Any) -> str:
    model = operator.raw_operator
    trees, targets = [], []
    for stage in model.estimators_:
        for target, member in enumerate(stage):
            value = np.asarray(member.tree_.value, dtype=np.float64)[:, 0, 0]
            trees.append(_tree(member, value * model.learning_rate))
            targets.append(target)
    summed = _sum(graph, graph.compared(operator, rounded=True), trees, targets, model.estimators_.shape[1])
    start = model._raw_predict_init(np.zeros((1, model.n_features_in_), dtype=np.float32))
    return graph.add("Add", [summed, graph.constant(np.ravel(start), _DOUBLE)], version=14)


def _boosted_regressor(scope: Any, operator: Any, container: Any) -> None:
    graph = _Graph(scope, container)
    _finish(graph, operator, _boosted_sum(graph, operator))


def _gradient_classifier(scope: Any, operator: Any, container: Any) -> None:
    graph = _Graph(scope, container)
    raw = _boosted_sum(graph, operator)
    _boosted_classifier(graph, operator, container, raw, width=operator.raw_operator.estimators_.shape[1])


def _positive(graph: _Graph, score: str) -> str:
    """1 where the score is above zero, else 0."""
    return graph.add("Cast", [graph.add("Greater", [score, graph.constant([0.0], _DOUBLE)])], to=_INT64)


def _name(graph: _Graph, model: Any, chosen: str, label: str) -> None:
    """The labels of the classes chosen by number."""
    labels = _label_attributes(model.classes_)
    kind = onnx.TensorProto.STRING if "classlabels_strings" in labels else _INT64
    flat = graph.add("Reshape", [chosen, graph.constant([-1], _INT64)])
    graph.add("Gather", [graph.constant(next(iter(labels.values())), kind), flat], label, axis=0)


def _isolation_forest(scope: Any, operator: Any, container: Any) -> None:
    """sklearn.ensemble.IsolationForest: a row is an outlier where its depth in the trees is small."""
    model, graph = operator.raw_operator, _Graph(scope, container)
    trees = []
    members = zip(model.estimators_, model.estimators_features_, strict=True)
    for (member, shown), lengths, averages in zip(
        members, model._decision_path_lengths, model._average_path_length_per_tree, strict=True
    ):
        trees.append(_tree(member, np.asarray(lengths + averages - 1.0), np.asarray(shown, dtype=np.int64)))
    depths = _sum(graph, graph.compared(operator, rounded=True), trees)
    average = _expected_length(model._max_samples)
    scale = graph.constant([-len(trees) * average], _DOUBLE)
    score = graph.add("Pow", [graph.constant([2.0], _DOUBLE), graph.add("Div", [depths, scale])])
    samples = graph.add("Neg", [score])
    outputs = [output.full_name for output in operator.outputs]
    decision = graph.add("Sub", [samples, graph.constant([float(model.offset_)], _DOUBLE)], outputs[1], version=14)
    outside = graph.add("Less", [decision, graph.constant([0.0], _DOUBLE)])
    graph.add("Where", [outside, graph.constant([-1], _INT64), graph.constant([1], _INT64)], outputs[0], version=9)
    if len(outputs) > 2:
        graph.add("Identity", [samples], outputs[2])


def _expected_length(samples: int) -> float:
    """The average depth of a leaf in a tree of that many samples (Liu et al., Isolation Forest, equation 1)."""
    if samples <= 2:
        return float(max(samples - 1, 0))
    return float(2.0 * (np.log(samples - 1.0) + np.euler_gamma) - 2.0 * (samples - 1.0) / samples)


def _finish(graph: _Graph, operator: Any, name: str) -> None:
    graph.add("Identity", [name], operator.outputs[0].full_name)
