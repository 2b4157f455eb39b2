"""The packages that a conda.yaml names, as requirements for pip."""

import contextlib

import yaml
from packaging.utils import canonicalize_name

from ...domain.errors import ResourceFailed
from ...domain.spec import plain_requirement


def conda_requirements(text: str) -> tuple[str, ...]:
    """The pip part of a conda.yaml, and its plain dependencies read as pip's.

    Raises ResourceFailed where it is not a conda environment.
    """
    try:
        # Aliases within aliases make a small text grow without end; no conda environment needs them.
        if any(isinstance(event, yaml.AliasEvent) for event in yaml.parse(text, Loader=yaml.SafeLoader)):
            raise TypeError("it holds aliases (*name)")
        data = yaml.safe_load(text)
        entries = data["dependencies"]
        lines = [line for entry in entries if isinstance(entry, dict) for line in entry.get("pip", [])]
        lines = [line for line in lines if isinstance(line, str)]
        lines += [_from_conda(entry) for entry in entries if isinstance(entry, str)]
    except (yaml.YAMLError, KeyError, TypeError, ValueError, AttributeError, RecursionError) as error:
        raise ResourceFailed(
            "The conda.yaml has no list of dependencies.",
            code="conda",
            cause="It is not a conda environment file, or is damaged.",
            action="Correct runtime.conda, or list the packages in runtime.requirements.",
            field="runtime.conda",
            raw=str(error),
        ) from error
    wanted = []
    for line in lines:
        with contextlib.suppress(ValueError):
            requirement = plain_requirement(line)
            if canonicalize_name(requirement.name) not in ("python", "pip"):
                wanted.append(line.strip())
    return tuple(wanted)


def _from_conda(line: str) -> str:
    """`xgboost=2.1=py311` and `conda-forge::numpy>=2` in pip's spelling."""
    name = line.rpartition("::")[2].strip()
    if "==" not in name and not any(sign in name for sign in "<>!~") and "=" in name:
        package, version, *_ = name.split("=")
        return f"{package}=={version}.*" if version.count(".") < 2 else f"{package}=={version}"
    return name
