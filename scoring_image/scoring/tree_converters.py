"""skl2onnx's converters for forests, replaced by ones that answer as scikit-learn does to the last threshold.

What differs from skl2onnx 1.20: thresholds stay float64, and what the trees compare is rounded to float32 inside the
graph where scikit-learn rounds it; sums are in float64 and in scikit-learn's order; missing values go the way that the
tree learnt for them; attributes are made from arrays, so that a large forest takes seconds and little memory; and
histogram gradient boosting converts at all beside onnx 1.23.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
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

from scoring.tree_graphs import DOUBLE, INT64, Graph, Nodes, ensemble_attributes, tree_nodes, weight_attributes

_ML = "ai.onnx.ml"
Convert = Callable[[Any, Any, Any], None]


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


def _members(model: Any) -> list[Any]:
    return list(model.estimators_) if hasattr(model, "estimators_") else [model]


def _sum(graph: Graph, rows: str, trees: list[Nodes], targets: Sequence[int] | None = None, count: int = 1) -> str:
    """TreeEnsemble of version 5, which skl2onnx does not let pass; conversion declares it once the graph is made."""
    attributes = ensemble_attributes(trees, targets or [0] * len(trees), count)
    return graph.add("TreeEnsemble", [rows], version=3, op_domain=_ML, **attributes)


def _forest_classifier(scope: Any, operator: Any, container: Any) -> None:
    model, graph = operator.raw_operator, Graph(scope, container)
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
        leads = [tree_nodes(member, share[:, 1] - share[:, 0]) for member, share in zip(members, shares, strict=True)]
        lead = _sum(graph, graph.compared(operator, rounded=True), leads)
        half = graph.add("Div", [lead, graph.constant([2.0 * len(members)], DOUBLE)])
        middle = graph.constant([0.5], DOUBLE)
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
        **weight_attributes([tree_nodes(member, None) for member in members], shares, "class"),
    )
    summed = graph.add("Cast", [summed], to=DOUBLE)
    graph.add("Div", [summed, graph.constant([float(len(members))], DOUBLE)], scores)


def _label_attributes(classes: NDArray[Any]) -> dict[str, Any]:
    names = classes.tolist()
    if all(isinstance(name, str) for name in names):
        return {"classlabels_strings": names}
    if all(float(name).is_integer() for name in names):
        return {"classlabels_int64s": [int(name) for name in names]}
    raise NotImplementedError("labels that are neither text nor whole numbers")


def _forest_regressor(scope: Any, operator: Any, container: Any) -> None:
    model, graph = operator.raw_operator, Graph(scope, container)
    members = _members(model)
    values = [np.asarray(member.tree_.value, dtype=np.float64)[:, :, 0] for member in members]
    rows = graph.compared(operator, rounded=True)
    if model.n_outputs_ == 1:
        summed = _sum(
            graph, rows, [tree_nodes(member, value[:, 0]) for member, value in zip(members, values, strict=True)]
        )
    else:
        trees = [tree_nodes(member, None) for member in members]
        attributes = {**weight_attributes(trees, values, "target"), "n_targets": int(model.n_outputs_)}
        summed = graph.add("TreeEnsembleRegressor", [rows], version=3, op_domain=_ML, **attributes)
        summed = graph.add("Cast", [summed], to=DOUBLE)
    count = graph.constant([float(len(members))], DOUBLE)
    _finish(graph, operator, graph.add("Div", [summed, count]))


def _histogram_trees(model: Any) -> tuple[list[Nodes], list[int]]:
    trees, targets = [], []
    for stage in model._predictors:
        for target, predictor in enumerate(stage):
            nodes = predictor.nodes
            inner = ~nodes["is_leaf"].astype(bool)
            if (nodes["is_categorical"].astype(bool) & inner).any():
                raise NotImplementedError("trees that split by category")
            trees.append(
                Nodes(
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


def _histogram_sum(graph: Graph, operator: Any) -> str:
    model = operator.raw_operator
    trees, targets = _histogram_trees(model)
    width = int(model.n_trees_per_iteration_)
    summed = _sum(graph, graph.compared(operator, rounded=False), trees, targets, width)
    return graph.add("Add", [summed, graph.constant(np.ravel(model._baseline_prediction), DOUBLE)], version=14)


def _histogram_regressor(scope: Any, operator: Any, container: Any) -> None:
    graph = Graph(scope, container)
    link = type(operator.raw_operator._loss.link).__name__
    raw = _histogram_sum(graph, operator)
    if link == "LogLink":
        raw = graph.add("Exp", [raw])
    elif link != "IdentityLink":
        raise NotImplementedError(f"the link {link}")
    _finish(graph, operator, raw)


def _histogram_classifier(scope: Any, operator: Any, container: Any) -> None:
    graph = Graph(scope, container)
    raw = _histogram_sum(graph, operator)
    _boosted_classifier(graph, operator, container, raw, width=int(operator.raw_operator.n_trees_per_iteration_))


def _boosted_classifier(graph: Graph, operator: Any, container: Any, raw: str, *, width: int) -> None:
    """Labels, and probabilities or the raw scores themselves, from the sums of one tree or more a stage."""
    model = operator.raw_operator
    label, scores = (output.full_name for output in operator.outputs)
    as_scores = container.get_options(model, {"raw_scores": False})["raw_scores"]
    if width == 1:
        chosen = _positive(graph, raw)
        second = raw if as_scores else graph.add("Sigmoid", [raw])
        one = graph.constant([1.0], DOUBLE)
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


def _boosted_sum(graph: Graph, operator: Any) -> str:
    model = operator.raw_operator
    trees, targets = [], []
    for stage in model.estimators_:
        for target, member in enumerate(stage):
            value = np.asarray(member.tree_.value, dtype=np.float64)[:, 0, 0]
            trees.append(tree_nodes(member, value * model.learning_rate))
            targets.append(target)
    summed = _sum(graph, graph.compared(operator, rounded=True), trees, targets, model.estimators_.shape[1])
    start = model._raw_predict_init(np.zeros((1, model.n_features_in_), dtype=np.float32))
    return graph.add("Add", [summed, graph.constant(np.ravel(start), DOUBLE)], version=14)


def _boosted_regressor(scope: Any, operator: Any, container: Any) -> None:
    graph = Graph(scope, container)
    _finish(graph, operator, _boosted_sum(graph, operator))


def _gradient_classifier(scope: Any, operator: Any, container: Any) -> None:
    graph = Graph(scope, container)
    raw = _boosted_sum(graph, operator)
    _boosted_classifier(graph, operator, container, raw, width=operator.raw_operator.estimators_.shape[1])


def _positive(graph: Graph, score: str) -> str:
    """1 where the score is above zero, else 0."""
    return graph.add("Cast", [graph.add("Greater", [score, graph.constant([0.0], DOUBLE)])], to=INT64)


def _name(graph: Graph, model: Any, chosen: str, label: str) -> None:
    """The labels of the classes chosen by number."""
    labels = _label_attributes(model.classes_)
    kind = onnx.TensorProto.STRING if "classlabels_strings" in labels else INT64
    flat = graph.add("Reshape", [chosen, graph.constant([-1], INT64)])
    graph.add("Gather", [graph.constant(next(iter(labels.values())), kind), flat], label, axis=0)


def _isolation_forest(scope: Any, operator: Any, container: Any) -> None:
    """sklearn.ensemble.IsolationForest: a row is an outlier where its depth in the trees is small."""
    model, graph = operator.raw_operator, Graph(scope, container)
    trees = []
    members = zip(model.estimators_, model.estimators_features_, strict=True)
    for (member, shown), lengths, averages in zip(
        members, model._decision_path_lengths, model._average_path_length_per_tree, strict=True
    ):
        trees.append(tree_nodes(member, np.asarray(lengths + averages - 1.0), np.asarray(shown, dtype=np.int64)))
    depths = _sum(graph, graph.compared(operator, rounded=True), trees)
    average = _expected_length(model._max_samples)
    scale = graph.constant([-len(trees) * average], DOUBLE)
    score = graph.add("Pow", [graph.constant([2.0], DOUBLE), graph.add("Div", [depths, scale])])
    samples = graph.add("Neg", [score])
    outputs = [output.full_name for output in operator.outputs]
    decision = graph.add("Sub", [samples, graph.constant([float(model.offset_)], DOUBLE)], outputs[1], version=14)
    outside = graph.add("Less", [decision, graph.constant([0.0], DOUBLE)])
    graph.add("Where", [outside, graph.constant([-1], INT64), graph.constant([1], INT64)], outputs[0], version=9)
    if len(outputs) > 2:
        graph.add("Identity", [samples], outputs[2])


def _expected_length(samples: int) -> float:
    """The average depth of a leaf in a tree of that many samples (Liu et al., Isolation Forest, equation 1)."""
    if samples <= 2:
        return float(max(samples - 1, 0))
    return float(2.0 * (np.log(samples - 1.0) + np.euler_gamma) - 2.0 * (samples - 1.0) / samples)


def _finish(graph: Graph, operator: Any, name: str) -> None:
    graph.add("Identity", [name], operator.outputs[0].full_name)
