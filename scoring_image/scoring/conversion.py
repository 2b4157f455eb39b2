"""skl2onnx put to work: the forms in which a model might run, each as a graph with the one output that is needed."""

from __future__ import annotations

import copy
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, Literal

import numpy as np
import onnx
from numpy.typing import NDArray
from skl2onnx import convert_sklearn
from skl2onnx.common.data_types import (
    DoubleTensorType,
    FloatTensorType,
    Int64TensorType,
    StringTensorType,
)
from sklearn.base import is_classifier
from sklearn.feature_extraction.text import CountVectorizer
from sklearn.model_selection._search import BaseSearchCV

from scoring import imputer_converter, tree_converters
from scoring.onnx_form import MISSING_TEXT
from scoring.trees import Forest

# Outputs in the order in which skl2onnx gives them: labels (or numbers) first, then scores.
_PLACES = {"predict": 0, "transform": 0, "predict_proba": 1, "decision_function": 1, "score_samples": 2}

# What skl2onnx says of a class that it does not know.
_NO_CONVERTER = re.compile(r"Unable to find a (?:shape calculator|converter) for type '<class '([^']+)'>'")

# scikit-learn's default token_pattern.
_USUAL_WORDS = r"(?u)\b\w\w+\b"

_DOUBLE = onnx.TensorProto.DOUBLE

Description = dict[str, Any]
Through = Literal["float32"] | None


class ConversionError(Exception):
    """No graph could be made; `str()` is what the converter said."""


@dataclass(frozen=True, slots=True)
class Candidate:
    """One graph: its output, the table's columns in the order of its inputs, and what is done to values first."""

    model: bytes
    output: str
    columns: list[str] | None
    through: Through
    lower: bool = False


Attempt = Callable[[], Candidate]


def attempts(model: Any, method: str, schema: Description, forest: Forest | None) -> list[Attempt]:
    """What to try, the likeliest first; each makes a candidate, or raises ConversionError.

    Trees round what they are given to float32 themselves, so that they are given that where nothing comes before
    them. Elsewhere float64 comes closest, and float32 is for operators that know nothing else.
    """
    tree_converters.register()
    imputer_converter.register()
    core = model.best_estimator_ if isinstance(model, BaseSearchCV) else model
    if schema["kind"] == "table":
        core = _with_plain_categories(core)
        return [
            partial(_converted, core, method, schema, numbers, None, whole=whole)
            for numbers in ("float64", "float32")
            for whole in (True, False)
        ]
    if schema["dtype"] == "string":
        core, lower = _in_small_letters(core)
        return [partial(_converted, core, method, schema, "float32", None, lower=lower)]
    rounds = forest is not None and forest.rounds and not forest.before
    single = partial(_converted, core, method, schema, "float32", "float32")
    double = partial(_converted, core, method, schema, "float64", "float32" if rounds else None)
    return [single, double] if rounds else [double, single]


def _with_plain_categories(model: Any) -> Any:
    """A copy whose encoders know a missing text, and true and false, by what stands for them in tensors."""
    copied = copy.deepcopy(model)
    for encoder in _parts(copied):
        categories = getattr(encoder, "categories_", None)
        if isinstance(categories, list):
            encoder.categories_ = [_plain(np.asarray(known)) for known in categories]
    return copied


def _in_small_letters(model: Any) -> tuple[Any, bool]:
    """A copy whose vectorizers are given small letters, and whether they are: Python's own, which need no locale."""
    copied = copy.deepcopy(model)
    lower = False
    for vectorizer in _parts(copied):
        if isinstance(vectorizer, CountVectorizer) and vectorizer.lowercase and vectorizer.preprocessor is None:
            vectorizer.lowercase, lower = False, True
            if vectorizer.ngram_range == (1, 1):
                # They are not in the vocabulary, so that it counts single words the same without them.
                vectorizer.stop_words = None
    return copied, lower


def _tokens(model: Any) -> dict[int, dict[str, Any]]:
    """The converter's option for scikit-learn's usual words, which RE2 knows under another name."""
    usual = {"tokenexp": r"[\p{L}\p{N}_]{2,}"}
    return {
        id(part): usual
        for part in _parts(model)
        if isinstance(part, CountVectorizer) and part.analyzer == "word" and part.token_pattern == _USUAL_WORDS
    }


def _parts(model: Any) -> Iterator[Any]:
    """The estimators in pipelines and column transformers, at any depth."""
    yield model
    held = [step for _, step in getattr(model, "steps", ())]
    held += [part for _, part, _ in getattr(model, "transformers_", ())]
    for part in held:
        if hasattr(part, "get_params"):
            yield from _parts(part)


def _plain(known: NDArray[Any]) -> NDArray[Any]:
    values = known.tolist()
    if values and all(isinstance(value, bool) for value in values):
        return known.astype(np.int64)
    if any(isinstance(value, str) for value in values):
        return np.array([value if isinstance(value, str) else MISSING_TEXT for value in values], dtype=object)
    return known


def _converted(
    model: Any,
    method: str,
    schema: Description,
    numbers: str,
    through: Through,
    *,
    whole: bool = True,
    lower: bool = False,
) -> Candidate:
    """`whole` numbers of a table are int64, as they come, or else floats like the others."""
    failure: Exception | None = None
    tokens = _tokens(model)
    for options in _options(model, method):
        try:
            graph = convert_sklearn(
                model, initial_types=_inputs(schema, numbers, whole=whole), options={**(options or {}), **tokens}
            )
        # The converters of many people raise whatever they like.
        except Exception as error:
            failure = failure or error
            continue
        return replace(_pruned(graph, method, schema, through), lower=lower)
    raise ConversionError(_said(failure)) from failure


def _inputs(schema: Description, numbers: str, *, whole: bool) -> list[tuple[str, Any]]:
    """skl2onnx's declaration of what the reader of requests will hand over."""
    floats = FloatTensorType if numbers == "float32" else DoubleTensorType
    if schema["kind"] == "table":
        integers = Int64TensorType if whole else floats
        types = {"string": StringTensorType, "int64": integers, "bool": integers}
        return [(column["name"], types.get(column["dtype"], floats)([None, 1])) for column in schema["columns"]]
    if schema["dtype"] == "string":
        return [("texts", StringTensorType([None, 1]))]
    return [("rows", floats([None, schema["features"]]))]


def _options(model: Any, method: str) -> Sequence[dict[int, dict[str, Any]] | None]:
    """Sets of converter options, the best first: an option that a converter does not know is an error to it."""
    if is_classifier(model):
        if method == "decision_function":
            last = model.steps[-1][1] if hasattr(model, "steps") else model
            raw = {id(last): {"zipmap": False, "raw_scores": True}}
            return (raw, {id(last): {"zipmap": False}})
        return ({id(model): {"zipmap": False}}, None)
    if method == "score_samples":
        return ({id(model): {"score_samples": True}},)
    return (None,)


def _pruned(graph: Any, method: str, schema: Description, through: Through) -> Candidate:
    """Only what leads to the one output stays: ORT computes all outputs of a graph, asked for or not."""
    names = [output.name for output in graph.graph.output]
    place = _PLACES[method]
    if place >= len(names):
        raise ConversionError(f"the converter gives {', '.join(names)} and nothing for {method}")
    declared = [tensor.name for tensor in graph.graph.input]
    pruned = onnx.utils.Extractor(graph).extract_model(declared, [names[place]])
    used = {name for node in pruned.graph.node for name in node.input}
    kept = [tensor for tensor in pruned.graph.input if tensor.name in used]
    del pruned.graph.input[:]
    pruned.graph.input.extend(kept)
    # Made anew each time by default, and equal models shall have equal bytes.
    pruned.graph.name = "model"
    _declare_floats(pruned)
    _declare_ensembles(pruned)
    columns = None
    if schema["kind"] == "table":
        # skl2onnx makes identifiers of the names and keeps their order.
        given = dict(zip(declared, (column["name"] for column in schema["columns"]), strict=True))
        columns = [given[tensor.name] for tensor in kept]
    return Candidate(pruned.SerializeToString(deterministic=True), names[place], columns, through)


def _declare_floats(pruned: Any) -> None:
    """Ensembles of trees give float32 whatever they take (ai.onnx.ml); skl2onnx declares float64 for float64."""
    (output,) = pruned.graph.output
    producers = {name: node for node in pruned.graph.node for name in node.output}
    node = producers.get(output.name)
    while node is not None and node.op_type == "Identity":
        node = producers.get(node.input[0])
    if node is not None and node.op_type.startswith("TreeEnsemble") and output.type.tensor_type.elem_type == _DOUBLE:
        output.type.tensor_type.elem_type = onnx.TensorProto.FLOAT


def _declare_ensembles(pruned: Any) -> None:
    """TreeEnsemble came with version 5 of its domain, which skl2onnx does not know yet."""
    if any(node.op_type == "TreeEnsemble" for node in pruned.graph.node):
        for domain in pruned.opset_import:
            if domain.domain == "ai.onnx.ml":
                domain.version = max(domain.version, 5)


def _said(error: Exception | None) -> str:
    text = " ".join(str(error).split())
    missing = _NO_CONVERTER.search(text)
    if missing:
        return f"there is no converter for {missing.group(1).rpartition('.')[2]}"
    return f"{type(error).__name__}: {text[:200]}"
