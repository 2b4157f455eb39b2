"""The environment that a model is served in, and what the model takes and gives: found out by opening it there."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from ...domain.errors import ErrorDetail, ResourceFailed
from ...domain.spec import digest_of
from . import versions
from .describe import Described, describe
from .environments import MadeEnvironment, Wanted, wanted_environment
from .failures import description_failure
from .folders import read_json, write_json
from .work import Work, say

_TABLES = "pandas"
_FORMATS = ("skops", "onnx")  # that need more than joblib does


@dataclass(frozen=True)
class Opened:
    """A model that could be opened: what its environment was to hold, what it is, and the model's description."""

    wanted: Wanted
    environment: MadeEnvironment
    description: Mapping[str, Any]


def open_described(work: Work) -> Opened:
    """Make the model's environment and have it described there; packages that it turns out to need are added.

    An entry script's model is not described: the script alone knows what it takes. Raises ResourceFailed.
    """
    wanted = _wanted(work)
    environment = work.environment(wanted)
    if environment.own:
        print("The console's own environment has exactly these versions.")
    if work.entry_script:
        return Opened(wanted, environment, {})
    found = _described(work, environment)
    if not _lacks_tables(found, environment):
        return Opened(wanted, environment, _checked(found))
    print("The model takes tables: pandas is added to its environment.")
    wanted = replace(wanted, requirements=(*wanted.requirements, *work.requirements("tables")))
    with_tables = work.environment(wanted)
    if found.description is None or with_tables.python != environment.python:
        found = _described(work, with_tables)
    return Opened(wanted, with_tables, _checked(found))


def _wanted(work: Work) -> Wanted:
    more = [name for name in _FORMATS if work.model_format == name]
    if work.entry_script:
        more.append("scripts")
    needed = work.requirements() + (work.requirements(*more) if more else [])
    wanted, why = wanted_environment(
        work.spec,
        scoring_requirements=needed,
        found_version=versions.scikit_learn_version(work.model.path),
        numpy_2=versions.needs_numpy_2(work.model.path),
        wheels=work.wheels,
        with_scikit_learn=work.model_format != "onnx" or work.entry_script is not None,
    )
    print(f"Environment: Python {wanted.python}, {why}.")
    return wanted


def _lacks_tables(found: Described, environment: MadeEnvironment) -> bool:
    """Whether pandas is what is missing: the model's own import of it, or the tables that requests become."""
    if _TABLES in environment.names():
        return False
    if found.description is not None:
        return bool(found.description.get("input", {}).get("kind") == "table")
    error = found.error or {}
    return error.get("code") == "missing_module" and str(error.get("module")).partition(".")[0] == _TABLES


def _described(work: Work, environment: MadeEnvironment) -> Described:
    """What the store of descriptions has, or what a child says that opens the model."""
    key = digest_of(
        {
            "model": work.model.id,
            "format": work.model_format,
            "code": dict(work.code_files),
            "python": work.spec.runtime.python,
            "lock": environment.lock,
            "method": work.spec.model.method,
            "scoring": work.scoring_digest,
        }
    )
    stored = work.root / "descriptions" / f"{key}.json"
    if known := read_json(stored):
        print(f"{known.get('estimator') or 'The model'}: described before.")
        return Described(known, None, ())
    found = describe(
        work.asker,
        python=environment.python,
        model=work.staged_model,
        model_format=work.model_format,
        method=work.spec.model.method,
        code=work.code,
    )
    say(found.printed)
    if found.description is not None:
        print(f"{found.description.get('estimator') or 'The model'}: described.")
        write_json(stored, dict(found.description))
    return found


def _checked(found: Described) -> Mapping[str, Any]:
    if found.description is None:
        raise _failed(description_failure(found.error or {}))
    for warning in found.description.get("warnings") or ():
        print(f"Warning: {warning.get('message', '')} {warning.get('hint', '')}".rstrip())
    return found.description


def _failed(detail: ErrorDetail) -> ResourceFailed:
    return ResourceFailed(
        detail.message,
        code=detail.code,
        cause=detail.cause,
        action=detail.action,
        raw=detail.raw,
        fix=dict(detail.fix),
    )
