"""The OpenAPI document says what a request may hold and what an answer holds, as the description has it."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from scoring.manifest import Manifest
from scoring.openapi import openapi

MANIFEST = {
    "manifest_version": 1,
    "model_version": "ab" * 32,
    "model": {"file": "model/m.joblib", "name": "m.joblib", "sha256": "", "format": "joblib", "method": "predict"},
    "input": {"kind": "array", "features": 3, "example": [[1, 2, 3]]},
    "output": {"kind": "array", "dtype": "int64", "classes": [0, 1], "outputs": 1, "shape": [None]},
}


def operation(method: str = "predict", **changes: Any) -> dict[str, Any]:
    """The scoring route's operation for a manifest with these parts."""
    content = {**MANIFEST, "model": {**MANIFEST["model"], "method": method}, **changes}  # type: ignore[dict-item]
    found: dict[str, Any] = openapi(msgspec.convert(content, Manifest))["paths"]["/api/score"]["post"]
    return found


def answered(operation: dict[str, Any]) -> Any:
    return operation["responses"]["200"]["content"]["application/json"]["schema"]


def row(operation: dict[str, Any]) -> Any:
    body = operation["requestBody"]["content"]["application/json"]["schema"]
    return body["properties"]["data"]["items"]


def test_labels_are_an_enumeration() -> None:
    assert answered(operation()) == {"type": "array", "items": {"enum": [0, 1]}}


@pytest.mark.parametrize(
    ("method", "output", "schema"),
    [
        (
            "predict_proba",
            {"kind": "array", "dtype": "float64", "classes": ["n", "y"], "outputs": 2, "shape": [None, 2]},
            {
                "type": "array",
                "items": {
                    "type": "array",
                    "items": {"type": ["number", "null"]},
                    "minItems": 2,
                    "maxItems": 2,
                    "description": "In the order of the classes n, y.",
                },
            },
        ),
        (
            "transform",
            {"kind": "array", "dtype": "float32", "outputs": 1, "shape": [None]},
            {"type": "array", "items": {"type": ["number", "null"]}},
        ),
        ("predict", {"kind": "records", "dtype": "float64"}, {"type": "array", "items": {"type": "object"}}),
        ("predict", {"kind": "array", "dtype": "object"}, {}),
    ],
)
def test_answers_have_the_shape_that_was_seen(method: str, output: dict[str, Any], schema: dict[str, Any]) -> None:
    assert answered(operation(method, output=output)) == schema


def test_several_outputs_have_their_own_classes() -> None:
    output = {"kind": "list", "dtype": "float64", "classes": [["a", "b"], [0, 1, 2]], "outputs": 2}
    schema = answered(operation("predict_proba", output=output))
    assert [part["items"]["maxItems"] for part in schema["prefixItems"]] == [2, 3]
    assert (schema["minItems"], schema["maxItems"]) == (2, 2)


def test_categories_missing_values_and_the_example_are_shown() -> None:
    columns = [
        {"name": "town", "dtype": "string", "categories": ["Faro", "Porto"]},
        {"name": "level", "dtype": "int64", "known": [1, 2], "missing": "refuse"},
    ]
    example = [{"town": "Faro", "level": 1}]
    found = operation(input={"kind": "table", "columns": columns, "missing": "allow", "example": example})
    by_name, by_place = row(found)["anyOf"]
    assert by_name["properties"]["town"] == {"type": ["string", "null"], "enum": ["Faro", "Porto", None]}
    assert by_place["prefixItems"][1] == {"type": "integer", "examples": [1, 2]}
    assert found["requestBody"]["content"]["application/json"]["example"] == {"data": example}


def test_every_way_to_fail_and_every_wish_is_listed() -> None:
    found = operation()
    assert set(found["responses"]) == {"200", "400", "401", "413", "500", "503", "504"}
    assert "Retry-After" in found["responses"]["503"]["headers"]
    assert found["parameters"][0]["schema"]["enum"] == ["no-cache", "no-store", "only-if-cached"]
    assert {"X-Cache", "X-Cache-Key", "X-Model-Version", "Server-Timing"} <= set(found["responses"]["200"]["headers"])
