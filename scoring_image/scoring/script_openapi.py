"""What an entry script takes and gives, for the OpenAPI document: what it declares by inference-schema, or anything."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from scoring.calls import Schemas

_ANY: dict[str, Any] = {"*/*": {"schema": {}}}


def script_operations(methods: Iterable[str], schemas: Schemas | None, *, errors: dict[str, Any]) -> dict[str, Any]:
    """The operations of the scoring route by method; `errors` are the answers of the server itself."""
    responses = {
        "200": {
            "description": "What the script returned.",
            "content": _ANY if schemas is None else {"application/json": _media(schemas.output)},
        },
        "400": _said("The request is not what the script takes."),
        "415": _said("The content type is not JSON."),
        **errors,
        "500": _said("The script raised, or took too long; the function's log says more."),
    }
    return {
        method.lower(): {
            "operationId": f"score_{method.lower()}",
            "summary": "run() of the entry script",
            **_taken(method.upper(), schemas),
            "responses": responses,
        }
        for method in methods
    }


def _taken(method: str, schemas: Schemas | None) -> dict[str, Any]:
    """The parameters of run(): of a GET in the query, each as JSON, else as members of the body."""
    if method not in ("GET", "HEAD"):
        media = _ANY if schemas is None else {"application/json": _media(schemas.input)}
        return {"requestBody": {"required": True, "content": media}}
    if schemas is None:
        return {}
    named = schemas.input.get("properties", {})
    return {
        "parameters": [
            {"name": name, "in": "query", "content": {"application/json": {"schema": schema}}}
            for name, schema in named.items()
        ]
    }


def _media(schema: dict[str, Any]) -> dict[str, Any]:
    plain = {name: value for name, value in schema.items() if name != "example"}
    return {"schema": plain, **({"example": schema["example"]} if "example" in schema else {})}


def _said(what: str) -> dict[str, Any]:
    told = {"type": "object", "required": ["message"], "properties": {"message": {"type": "string"}}}
    return {"description": what, "content": {"application/json": {"schema": told}}}
