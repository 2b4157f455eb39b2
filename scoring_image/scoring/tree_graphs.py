"""Parts of ONNX graphs for forests: nodes as they are added, trees as arrays, and those as attributes of operators.

Operators: ai.onnx.ml TreeEnsembleClassifier and TreeEnsembleRegressor version 3, TreeEnsemble version 5
(https://onnx.ai/onnx/operators/onnx_aionnxml_TreeEnsemble.html).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray

FLOAT, DOUBLE, INT64 = onnx.TensorProto.FLOAT, onnx.TensorProto.DOUBLE, onnx.TensorProto.INT64

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Nodes:
    """One tree: `left` is -1 at leaves; `missing_left` tells where missing values go; a number for each leaf."""

    feature: Integers
    threshold: Floats
    left: Integers
    right: Integers
    missing_left: Integers
    value: Floats


class Graph:
    """Adds nodes to the graph that is being made, each with one output."""

    def __init__(self, scope: Any, container: Any) -> None:
        self._scope = scope
        self._container = container

    def add(self, op: str, inputs: Sequence[str], output: str | None = None, *, version: int = 13, **rest: Any) -> str:
        """One operator with one output, whose name is returned."""
        name = output or self._scope.get_unique_variable_name(op.lower())
        self.put(op, inputs, [name], version=version, **rest)
        return name

    def put(self, op: str, inputs: Sequence[str], outputs: Sequence[str], *, version: int, **rest: Any) -> None:
        """One operator with these outputs; `version` is that of its domain."""
        name = self._scope.get_unique_operator_name(op)
        self._container.add_node(op, list(inputs), list(outputs), op_version=version, name=name, **rest)

    def constant(self, values: Any, kind: int) -> str:
        """An initializer of that TensorProto type; its name."""
        array = np.asarray(values)
        name: str = self._scope.get_unique_variable_name("constant")
        flat = [item.encode() for item in array.ravel()] if kind == onnx.TensorProto.STRING else array.ravel().tolist()
        self._container.add_initializer(name, kind, list(array.shape), flat)
        return name

    def compared(self, operator: Any, *, rounded: bool) -> str:
        """The input as float64, and rounded to float32 where the trees do that."""
        name = operator.inputs[0].full_name
        if rounded:
            name = self.add("Cast", [name], to=FLOAT)
        return self.add("Cast", [name], to=DOUBLE)


def tree_nodes(estimator: Any, value: Floats | None, features: Integers | None = None) -> Nodes:
    """A fitted tree of scikit-learn, with `value` for its nodes; `features` are the columns that it was shown."""
    inner = estimator.tree_
    left = np.asarray(inner.children_left, dtype=np.int64)
    feature = np.where(left >= 0, inner.feature, 0).astype(np.int64)
    missing = getattr(inner, "missing_go_to_left", None)
    return Nodes(
        feature=feature if features is None else features[feature],
        threshold=np.asarray(inner.threshold, dtype=np.float64),
        left=left,
        right=np.asarray(inner.children_right, dtype=np.int64),
        missing_left=np.zeros(len(left), np.int64) if missing is None else np.asarray(missing, dtype=np.int64),
        value=np.zeros(len(left)) if value is None else value,
    )


def _tensor(values: NDArray[Any], kind: int) -> Any:
    return onnx.helper.make_tensor("", kind, [len(values)], values.tolist())


def weight_attributes(trees: list[Nodes], shares: list[Floats], of: str) -> dict[str, Any]:
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
            np.where(leaf, 0.0, np.concatenate([tree.threshold for tree in trees])), DOUBLE
        ),
        "nodes_truenodeids": np.where(leaf, 0, left).tolist(),
        "nodes_falsenodeids": np.where(leaf, 0, np.concatenate([tree.right for tree in trees])).tolist(),
        "nodes_missing_value_tracks_true": np.where(
            leaf, 0, np.concatenate([tree.missing_left for tree in trees])
        ).tolist(),
        f"{of}_treeids": owners[node].tolist(),
        f"{of}_nodeids": numbers[node].tolist(),
        f"{of}_ids": of_class.tolist(),
        f"{of}_weights_as_tensor": _tensor(weights[node, of_class], DOUBLE),
        "post_transform": "NONE",
    }


def ensemble_attributes(trees: list[Nodes], targets: Sequence[int], count: int) -> dict[str, Any]:
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
        "nodes_splits": _tensor(split, DOUBLE),
        "nodes_modes": _tensor(np.zeros(len(feature), np.uint8), onnx.TensorProto.UINT8),
        "nodes_truenodeids": true.tolist(),
        "nodes_trueleafs": true_leaf.tolist(),
        "nodes_falsenodeids": false.tolist(),
        "nodes_falseleafs": false_leaf.tolist(),
        "nodes_missing_value_tracks_true": missing.tolist(),
        "leaf_targetids": np.concatenate(owners).tolist(),
        "leaf_weights": _tensor(np.concatenate(leaves), DOUBLE),
        "n_targets": count,
        "aggregate_function": 1,
        "post_transform": 0,
    }
