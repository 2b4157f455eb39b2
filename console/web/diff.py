"""What differs between two Specs, line by line, grouped by part."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from deployments.domain.spec import Spec
from deployments.models import Artifact


@dataclass(frozen=True, slots=True)
class Line:
    """One side of a difference; `sign` is + or −."""

    sign: str
    css: str
    text: str


@dataclass(frozen=True, slots=True)
class Part:
    """The differences below one path."""

    path: str
    lines: list[Line]


def spec_diff(old: Spec, new: Spec) -> list[Part]:
    """Every field that differs, under the part it belongs to; files are named, not only numbered."""
    before, after = _flat(old.dump()), _flat(new.dump())
    names = artifact_names(old, new)
    parts: dict[str, list[Line]] = {}
    for path in sorted(before.keys() | after.keys()):
        if before.get(path) == after.get(path):
            continue
        part, _dot, field = path.partition(".")
        lines = parts.setdefault(part, [])
        if path in before:
            lines.append(Line("−", "minus", _told(field or part, before[path], names)))
        if path in after:
            lines.append(Line("+", "plus", _told(field or part, after[path], names)))
    return [Part(path, lines) for path, lines in parts.items()]


def changed_paths(old: Spec, new: Spec) -> list[str]:
    """The paths that differ, for a line that says what a revision changed."""
    before, after = _flat(old.dump()), _flat(new.dump())
    return [path for path in sorted(before.keys() | after.keys()) if before.get(path) != after.get(path)]


def artifact_names(*specs: Spec) -> Mapping[str, str]:
    """File names of every upload that the Specs refer to, by id."""
    wanted = {found for spec in specs for found in spec.artifact_ids()}
    return dict(Artifact.objects.filter(pk__in=wanted).values_list("pk", "name"))


def _flat(data: Any, path: str = "") -> dict[str, Any]:
    if not isinstance(data, dict):
        return {path: data}
    found: dict[str, Any] = {}
    for key, value in data.items():
        found |= _flat(value, f"{path}.{key}" if path else key)
    return {key: value for key, value in found.items() if value is not None}


def _told(field: str, value: Any, names: Mapping[str, str]) -> str:
    if isinstance(value, str) and value in names:
        return f"{field}: {names[value]}  sha256 {value[:8]}…"
    if isinstance(value, list):
        return f"{field}: [{', '.join(names.get(str(item), str(item)) for item in value)}]"
    return f"{field}: {value}"
