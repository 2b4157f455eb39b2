"""The OpenAPI 3.1 document of one function, made from its manifest."""

from __future__ import annotations

from typing import Any

from scoring import SCORING_VERSION
from scoring.answer_schema import answer_schema
from scoring.calls import Schemas
from scoring.manifest import Column, Input, Manifest
from scoring.script_openapi import script_operations

_JSON_TYPES = {"float64": "number", "int64": "integer", "bool": "boolean", "string": "string"}


def openapi(manifest: Manifest, schemas: Schemas | None = None) -> dict[str, Any]:
    """Describe the scoring route: its body with the example, its answer, errors and headers.

    `schemas` are those that an entry script declares.
    """
    trigger = manifest.trigger
    if manifest.code.entry_script is None:
        operations = {method.lower(): _operation(manifest) for method in trigger.methods}
    else:
        errors = {status: {"$ref": "#/components/responses/Error"} for status in ("401", "413", "503")}
        operations = script_operations(trigger.methods, schemas, errors=errors)
    document: dict[str, Any] = {
        "openapi": "3.1.0",
        "info": {
            "title": manifest.model.name,
            "version": manifest.model_version[:16],
            "description": f"Scoring server {SCORING_VERSION}, model version {manifest.model_version}.",
        },
        "paths": {f"/api/{trigger.route}": operations},
        "components": {"responses": {"Error": _ERROR}},
    }
    if trigger.auth_level != "anonymous":
        document["components"]["securitySchemes"] = {
            "header": {"type": "apiKey", "in": "header", "name": "x-functions-key"},
            "query": {"type": "apiKey", "in": "query", "name": "code"},
        }
        document["security"] = [{"header": []}, {"query": []}]
    return document


def _operation(manifest: Manifest) -> dict[str, Any]:
    return {
        "operationId": "score",
        "summary": f"{manifest.model.method} of {manifest.estimator or manifest.model.name}",
        "parameters": [
            {
                "name": "Cache-Control",
                "in": "header",
                "schema": {"type": "string", "enum": ["no-cache", "no-store", "only-if-cached"]},
                "description": "no-cache scores afresh and stores; no-store does not touch the cache; "
                "only-if-cached never scores, and answers 504 where nothing is cached.",
            }
        ],
        "requestBody": {
            "required": True,
            "content": {"application/json": _body(manifest.input, manifest.limits.max_rows)},
        },
        "responses": {
            "200": {
                "description": "What the model returned; NaN and the infinities as null.",
                "headers": {
                    name: {"schema": {"type": "string"}, "description": text} for name, text in _HEADERS.items()
                },
                "content": {"application/json": {"schema": answer_schema(manifest.output, manifest.model.method)}},
            },
            **{
                status: {**_ERROR, "description": text, **({"headers": _RETRY} if status == "503" else {})}
                for status, text in _FAILURES.items()
            },
        },
    }


def _body(schema: Input, max_rows: int) -> dict[str, Any]:
    rows = {"type": "array", "minItems": 1, "maxItems": max_rows, "items": _row(schema)}
    body: dict[str, Any] = {
        "schema": {"type": "object", "required": [schema.parameter], "properties": {schema.parameter: rows}}
    }
    if schema.example is not None:
        body["example"] = {schema.parameter: schema.example}
    return body


def _row(schema: Input) -> dict[str, Any]:
    if schema.kind == "array" and schema.dtype == "string":
        return {"type": "string"}
    width = len(schema.columns or ()) or schema.features
    as_list: dict[str, Any] = {"type": "array"}
    if schema.columns:
        as_list["prefixItems"] = [_cell(column, schema) for column in schema.columns]
    else:
        as_list["items"] = _cell(Column("", "float64"), schema)
    if width:
        as_list.update(minItems=width, maxItems=width)
    if not schema.columns:
        return as_list
    by_name = {
        "type": "object",
        "required": [column.name for column in schema.columns],
        "properties": {
            **{column.name: _cell(column, schema) for column in schema.columns},
            **{name: {} for name in schema.ignored},
        },
        "additionalProperties": False,
    }
    return {"anyOf": [by_name, as_list]}


def _cell(column: Column, schema: Input) -> dict[str, Any]:
    kind = _JSON_TYPES[column.dtype]
    missing = column.may_be_missing(schema)
    cell: dict[str, Any] = {"type": [kind, "null"] if missing else kind}
    if column.known is not None:
        cell["examples"] = column.known
    if column.categories is not None:
        cell["enum"] = [*column.categories, *([None] if missing else [])]
    return cell


_HEADERS = {
    "X-Cache": "HIT: from the cache. MISS: from the model, and stored. BYPASS: from the model only.",
    "X-Cache-Key": "The key of the entry in Redis.",
    "X-Model-Version": "The digest of everything that can change an answer.",
    "Server-Timing": "Milliseconds of the parts: parse, get, predict, set, total.",
}

_FAILURES = {
    "400": "The body does not fit what the model takes; the error says where, as in data[1].age.",
    "401": "The function key is missing or wrong.",
    "413": "The body, or the number of rows, is larger than this function takes.",
    "500": "The model raised, or returned what has no JSON form.",
    "503": "The model is still being opened or could not be, or too many requests are under way.",
    "504": "The prediction took too long; or nothing is cached, where only-if-cached was asked for.",
}

_RETRY = {"Retry-After": {"schema": {"type": "integer"}, "description": "Seconds to wait, where waiting helps."}}

_ERROR = {
    "description": "What is wrong, where, and what to do.",
    "content": {
        "application/json": {
            "schema": {
                "type": "object",
                "required": ["error"],
                "properties": {
                    "error": {
                        "type": "object",
                        "required": ["code", "message", "hint"],
                        "properties": {name: {"type": "string"} for name in ("code", "message", "hint", "at")},
                    }
                },
            }
        }
    },
}
