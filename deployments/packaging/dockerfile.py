"""The Dockerfile of one package: the scoring image's own, with the package's arguments and only the folders it has."""

import re
from collections.abc import Collection

_ARGUMENT = re.compile(r"^ARG (\w+)=.*$")
_OPTIONAL = re.compile(r"^COPY (wheels|code) ")


def dockerfile(template: str, *, python: str, function: str, folders: Collection[str]) -> str:
    """The template with these defaults of its arguments; a COPY of a folder that is not there would fail the build.

    `python` is the version of the base image and `function` the function's folder; `folders` are those of wheels
    and code that the package has.
    """
    defaults = {"PYTHON_VERSION": python, "FUNCTION": function}
    lines = []
    for line in template.splitlines():
        optional = _OPTIONAL.match(line)
        if optional and optional[1] not in folders:
            continue
        argument = _ARGUMENT.match(line)
        lines.append(f"ARG {argument[1]}={defaults[argument[1]]}" if argument and argument[1] in defaults else line)
    return "".join(f"{line}\n" for line in lines)
