"""The OpenAPI document, and a page that shows it without any script or asset from elsewhere."""

import json
from dataclasses import dataclass
from functools import cache
from typing import Any

from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import render
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString
from django.utils.translation import gettext as _
from django.views.decorators.http import require_safe

from console.api.api import api
from console.api.auth import BearerToken, BrowserSession
from console.api.problems import unauthenticated

DEEPEST = 4  # levels of an example: deeper parts of a schema have a table of their own


@require_safe
def openapi(request: HttpRequest) -> HttpResponse:
    """OpenAPI 3.1, for whoever may use the API at all."""
    if not (BearerToken()(request) or BrowserSession()(request)):
        return unauthenticated()
    return JsonResponse(document(), json_dumps_params={"indent": 2})


@require_safe
@login_required
def reference(request: HttpRequest) -> HttpResponse:
    """Every operation with its parameters, bodies, answers and a call to copy."""
    found = document()
    context = {
        "title": _("REST API"),
        "about": [_prose(paragraph) for paragraph in found["info"]["description"].split("\n\n")],
        "groups": groups(found, base=request.build_absolute_uri("/").rstrip("/")),
        "models": [
            {"name": name, "about": schema.get("description", ""), "kind": _kind(schema), "fields": _fields(schema)}
            for name, schema in sorted(found["components"]["schemas"].items())
        ],
        "crumbs": [],
    }
    return render(request, "api/reference.html", context)


@cache
def document() -> dict[str, Any]:
    """The document as plain data; it is the same for the life of the process."""
    plain: dict[str, Any] = json.loads(json.dumps(api.get_openapi_schema(), default=str))
    return plain


@dataclass(frozen=True, slots=True)
class Field:
    """A parameter or a field of a model as its row in a table."""

    name: str
    kind: str
    target: str  # the model that it refers to, if it does
    needed: bool
    about: str


@dataclass(frozen=True, slots=True)
class Reply:
    """One answer of an operation."""

    status: str
    about: str
    kind: str
    target: str


@dataclass(frozen=True, slots=True)
class Operation:
    """One method of one address."""

    id: str
    method: str
    path: str
    summary: str
    about: str
    open: bool
    parameters: list[Field]
    body: str
    body_target: str
    replies: list[Reply]
    call: str


@dataclass(frozen=True, slots=True)
class Group:
    """The operations of one tag."""

    name: str
    about: str
    operations: list[Operation]


def groups(found: dict[str, Any], *, base: str) -> list[Group]:
    """The document's operations by tag, in the order of its tags."""
    by_tag: dict[str, list[Operation]] = {tag["name"]: [] for tag in found["tags"]}
    for path, methods in found["paths"].items():
        for method, told in methods.items():
            by_tag[told["tags"][0]].append(_operation(found, base, path, method.upper(), told))
    return [Group(tag["name"], tag["description"], by_tag[tag["name"]]) for tag in found["tags"]]


def _operation(found: dict[str, Any], base: str, path: str, method: str, told: dict[str, Any]) -> Operation:
    content = told.get("requestBody", {}).get("content", {})
    media, body = next(iter(content.items())) if content else ("", {})
    schema = body.get("schema", {})
    example = json.dumps(_example(found, schema), indent=2) if media == "application/json" else ""
    return Operation(
        id=told["operationId"],
        method=method,
        path=path,
        summary=told["summary"],
        about=_prose(told.get("description", "")),
        open="security" not in told,
        parameters=[
            Field(
                item["name"], _kind(item["schema"]), "", item["required"], _prose(item["schema"].get("description", ""))
            )
            for item in told.get("parameters", [])
        ],
        body=example or media,
        body_target=_target(schema),
        replies=[
            Reply(str(status), reply["description"], *_reply_type(reply))
            for status, reply in sorted(told["responses"].items())
        ],
        call=_call(base, path, method, media, json.dumps(_example(found, schema)) if example else ""),
    )


def _prose(text: str) -> SafeString:
    """Text with what stands between backticks as code."""
    parts = text.split("`")
    marked = (format_html("<code>{}</code>", part) if index % 2 else part for index, part in enumerate(parts))
    return format_html_join("", "{}", ((part,) for part in marked))


def _call(base: str, path: str, method: str, media: str, example: str) -> str:
    parts = [f"curl -X {method} {base}{path}", '-H "Authorization: Bearer $TOKEN"']
    if media == "multipart/form-data":
        parts.append("-F file=@model.joblib")
    elif example:
        parts += ['-H "Content-Type: application/json"', f"-d '{example}'"]
    return " \\\n  ".join(parts)


def _reply_type(reply: dict[str, Any]) -> tuple[str, str]:
    content = reply.get("content", {})
    schema = next(iter(content.values()))["schema"] if content else {}
    return (_kind(schema) if schema else "", _target(schema))


def _fields(schema: dict[str, Any]) -> list[Field]:
    needed = schema.get("required", [])
    return [
        Field(name, _kind(part), _target(part), name in needed, _prose(part.get("description", "")))
        for name, part in schema.get("properties", {}).items()
    ]


def _kind(schema: dict[str, Any]) -> str:
    """A type in a few words."""
    if "$ref" in schema:
        return str(schema["$ref"]).rsplit("/", 1)[1]
    for word in ("anyOf", "oneOf", "allOf"):
        if word in schema:
            return " | ".join(dict.fromkeys(_kind(part) for part in schema[word]))
    if "const" in schema:
        return json.dumps(schema["const"])
    if "enum" in schema:
        return " | ".join(json.dumps(value) for value in schema["enum"])
    if schema.get("type") == "array":
        items = schema.get("items") or {}
        return f"[{_kind(items)}]"
    if schema.get("type") == "object" and isinstance(schema.get("additionalProperties"), dict):
        return f"{{name: {_kind(schema['additionalProperties'])}}}"
    return str(schema.get("format") or schema.get("type") or _("any"))


def _target(schema: dict[str, Any]) -> str:
    """The one model that a schema refers to, so that it can be linked; empty where there is none."""
    parts = [schema, *schema.get("anyOf", []), *schema.get("allOf", [])]
    parts += [part["items"] for part in parts if isinstance(part.get("items"), dict)]
    names = {str(part["$ref"]).rsplit("/", 1)[1] for part in parts if "$ref" in part}
    return names.pop() if len(names) == 1 else ""


def _example(found: dict[str, Any], schema: dict[str, Any], depth: int = 0) -> Any:
    """A value that fits: the schema's own example, or its required fields and those that have examples."""
    if "$ref" in schema:
        return _example(found, found["components"]["schemas"][str(schema["$ref"]).rsplit("/", 1)[1]], depth)
    if schema.get("examples"):
        return schema["examples"][0]
    if "enum" in schema:
        return schema["enum"][0]
    if schema.get("properties") and depth < DEEPEST:
        needed = schema.get("required", [])
        return {
            name: _example(found, part, depth + 1)
            for name, part in schema["properties"].items()
            if name in needed or part.get("examples")
        }
    if schema.get("anyOf"):
        return _example(found, schema["anyOf"][0], depth)
    return {"string": "", "integer": 1, "number": 1.0, "boolean": True, "array": [], "object": {}}.get(
        str(schema.get("type"))
    )
