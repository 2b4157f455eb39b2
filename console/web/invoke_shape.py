"""What a function takes, as its own OpenAPI document says: the form is made from it."""

from dataclasses import dataclass
from typing import Any

from django.utils.translation import gettext as _

from console.web.pictures import SIDE, first_row, is_picture
from deployments.domain.spec import HttpTrigger, Spec

MOST_FIELDS = 200
MOST_CHOICES = 500
_KINDS = ("number", "integer", "boolean", "string")
_PLAIN = (str, int, float, bool)


@dataclass(frozen=True, slots=True)
class Field:
    """One feature of a row. `name` is empty where features are told by their place alone.

    `choices` are the only values that it takes, where the model knows no others.
    """

    name: str
    kind: str
    nullable: bool
    choices: tuple[str | int | float | bool, ...] = ()

    @property
    def options(self) -> list[tuple[str, str]]:
        """What a list of the choices offers: the value as it is typed into a field, and its words."""
        nothing = [("", _("missing"))] if self.nullable else []
        return [*nothing, *((cell_text(choice), cell_text(choice)) for choice in self.choices)]

    @property
    def is_number(self) -> bool:
        return self.kind in ("number", "integer")


@dataclass(frozen=True, slots=True)
class Shape:
    """A request's body: an object that holds rows under `parameter`, or any JSON where that is empty.

    `example` are rows, or a whole body where there is no parameter; None where the function gives none.
    """

    parameter: str
    methods: tuple[str, ...]
    fields: tuple[Field, ...] = ()
    texts: bool = False
    example: Any = None
    max_rows: int = 0

    @property
    def by_name(self) -> bool:
        return bool(self.fields) and bool(self.fields[0].name)

    @property
    def has_fields(self) -> bool:
        return 0 < len(self.fields) <= MOST_FIELDS

    @property
    def draws(self) -> bool:
        """Whether a row is an 8 by 8 picture: 64 numbers, and an example within the range of one."""
        if len(self.fields) != SIDE * SIDE or self.by_name or not all(field.is_number for field in self.fields):
            return False
        return self.example is None or is_picture(first_row(self.example))

    def wrap(self, rows: Any) -> Any:
        """The body that carries these rows."""
        return {self.parameter: rows} if self.parameter and not self._is_body(rows) else rows

    def unwrap(self, body: Any) -> Any:
        """The rows of a body, or all of it where it holds more."""
        if self.parameter and isinstance(body, dict) and set(body) == {self.parameter}:
            return body[self.parameter]
        return body

    def _is_body(self, given: Any) -> bool:
        return isinstance(given, dict) and self.parameter in given


def plain_shape(spec: Spec) -> Shape:
    """What the Spec alone tells."""
    methods = spec.trigger.methods if isinstance(spec.trigger, HttpTrigger) else ("POST",)
    script = spec.code is not None and spec.code.entry_script is not None
    return Shape(parameter="" if script else spec.input.parameter, methods=tuple(methods))


def shape_of(document: dict[str, Any], spec: Spec) -> Shape:
    """What the function's document adds to it; what it does not tell as expected is left out."""
    plain = plain_shape(spec)
    body = _at(document, "paths", f"/api/{getattr(spec.trigger, 'route', 'score')}", plain.methods[0].lower())
    content = _at(body, "requestBody", "content", "application/json")
    example = _at(content, "example")
    if not plain.parameter:
        return Shape(parameter="", methods=plain.methods, example=example or None)
    rows = _at(content, "schema", "properties", plain.parameter)
    row = _at(rows, "items")
    texts = _at(row, "type") == "string"
    return Shape(
        parameter=plain.parameter,
        methods=plain.methods,
        fields=(_field("", row),) if texts else _fields(row),
        texts=texts,
        example=_at(example, plain.parameter) or None,
        max_rows=rows.get("maxItems", 0) if isinstance(rows, dict) else 0,
    )


def _fields(row: Any) -> tuple[Field, ...]:
    """The columns by name, else so many numbers as a row has."""
    choices = _at(row, "anyOf")
    for choice in choices if isinstance(choices, list) else [row]:
        properties, needed = _at(choice, "properties"), _at(choice, "required")
        if properties and needed:
            return tuple(_field(str(name), properties.get(name)) for name in needed)
    width = _at(row, "maxItems")
    if isinstance(width, int) and width == _at(row, "minItems"):
        return tuple(_field("", _at(row, "items")) for _ in range(min(width, MOST_FIELDS + 1)))
    return ()


def _field(name: str, schema: Any) -> Field:
    told = _at(schema, "type")
    types = told if isinstance(told, list) else [told]
    kind = next((kind for kind in types if kind in _KINDS), "number")
    listed = _at(schema, "enum")
    choices = [value for value in listed if type(value) in _PLAIN] if isinstance(listed, list) else []
    nullable = "null" in types or (isinstance(listed, list) and None in listed)
    return Field(name, kind, nullable, tuple(choices) if len(choices) <= MOST_CHOICES else ())


def cell_text(value: Any) -> str:
    """A value as it is typed into a field; empty for a missing one."""
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    return "" if value is None else str(value).lower() if isinstance(value, bool) else str(value)


def _at(value: Any, *path: str) -> Any:
    """What lies at a path in decoded JSON; an empty object where there is nothing."""
    for name in path:
        value = value.get(name, {}) if isinstance(value, dict) else {}
    return value
