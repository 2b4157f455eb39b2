"""A deployment as a YAML file: its name and environment, and the fields of its Spec beside them."""

from dataclasses import dataclass
from typing import Any

import yaml
from django.utils.translation import gettext as _

from deployments.domain.errors import SpecInvalid
from deployments.domain.spec import Spec

MAX_BYTES = 256 * 1024
_OWN_FIELDS = ("name", "environment", "description", "note")
_NO_MODEL_YET = "0" * 64


class _PlainLoader(yaml.SafeLoader):
    """Plain data without aliases: a few nested ones grow to gigabytes when they are followed."""

    def compose_node(self, parent: Any, index: Any) -> Any:
        if self.check_event(yaml.AliasEvent):
            raise yaml.YAMLError(_("aliases (*name) are not allowed; write the value out"))
        return super().compose_node(parent, index)


@dataclass(frozen=True, slots=True)
class Wish:
    """What a file asks for; `has_model` is False where the model is still to be uploaded."""

    name: str
    environment: str
    description: str
    spec: Spec
    has_model: bool


def read(text: str) -> Wish:
    """Raises SpecInvalid with the path and a sentence for each fault."""
    try:
        data = yaml.load(text, Loader=_PlainLoader)  # noqa: S506 - a SafeLoader that allows less
    except yaml.YAMLError as error:
        raise SpecInvalid([("", _("This is not YAML: %(error)s") % {"error": error})]) from None
    if not isinstance(data, dict):
        raise SpecInvalid([("", _("A file begins with fields such as name, environment and model."))])
    own = {field: data.pop(field, "") for field in _OWN_FIELDS}
    if wrong := [field for field, value in own.items() if not isinstance(value, str)]:
        raise SpecInvalid([(wrong[0], _("this is a text"))])
    model = data.get("model") or {}
    has_model = not isinstance(model, dict) or bool(model.get("artifact") or model.get("registered"))
    if not has_model:
        data["model"] = {**model, "artifact": _NO_MODEL_YET}
    return Wish(own["name"], own["environment"], own["description"], Spec.load(data), has_model)


def write(*, name: str, environment: str, description: str, spec: Spec) -> str:
    """The file that `read` reads back; fields in the Spec's own order, those without a value left out."""
    head = {"name": name, "environment": environment, "description": description}
    data = {key: value for key, value in head.items() if value} | spec.model_dump(mode="json", exclude_none=True)
    return yaml.safe_dump(data, sort_keys=False, allow_unicode=True, width=100)
