"""Decides in which form a model executes: as it was uploaded, or as the ONNX form that was proved equal to it."""

import shutil
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from ...domain.errors import ResourceFailed
from ...domain.spec import digest_of
from ...packaging.digests import file_digest
from ...packaging.manifest import Executed
from .convert import Converted, convert
from .environments import MadeEnvironment
from .folders import read_json, write_json
from .opened import Opened
from .work import Work, say

# A retry may find these cured, so that they end a build instead of deciding how the model executes.
_PASSING = {"index_unreachable", "index_refused", "environment_slow", "disk_full"}


@dataclass(frozen=True)
class Form:
    """The form that executes, in which environment, and how many times faster it was found than the original.

    `file` is the ONNX form, where one was made and is used.
    """

    executed: Executed
    environment: MadeEnvironment
    file: Path | None = None
    gain: float | None = None

    @property
    def times(self) -> str:
        """The gain as a plain number for people, without digits that the next measurement would not repeat."""
        if not self.gain:
            return ""
        return f"{self.gain:.0f}" if self.gain >= 10 else f"{self.gain:.1f}"


def choose_form(work: Work, opened: Opened) -> Form:
    """The form as the spec asks for it. Raises ResourceFailed where ONNX is asked for and cannot be had."""
    asked = work.spec.execution
    if work.model_format == "onnx" and not work.entry_script:
        return _uploaded_as_onnx(work, opened)
    if work.entry_script:
        return _original(opened, "The entry script decides how its model runs.")
    if asked == "original":
        return _original(opened, "The spec or its environment asks for the original.")
    found, environment, file = _converted(work, opened)
    if not found.accepted or file is None or environment is None:
        if asked == "onnx":
            raise _refused(found)
        return _original(opened, found.reason)
    form = Form(
        Executed(executes="onnx", reason=found.reason, sha256=file_digest(file), outputs=found.outputs),
        environment,
        file,
        found.gain,
    )
    gained = f", {form.times} times faster" if form.times else ""
    print(f"Executes as ONNX: {_inside(found.reason)}{gained}.")
    return form


def _uploaded_as_onnx(work: Work, opened: Opened) -> Form:
    if work.spec.execution == "original":
        raise ResourceFailed(
            "An ONNX model has no original to execute.",
            code="no_original",
            cause=f"{work.model.name} was uploaded as ONNX, and execution is original, by the spec or its environment.",
            action="Set execution to auto, or upload the model as joblib, pickle or skops.",
            field="execution",
        )
    print("Executes as ONNX: it was uploaded as ONNX.")
    return Form(Executed(executes="onnx", reason="It was uploaded as ONNX."), opened.environment)


def _original(opened: Opened, reason: str) -> Form:
    print(f"Runs as uploaded: {_inside(reason)}.")
    return Form(Executed(reason=reason), opened.environment)


def _converted(work: Work, opened: Opened) -> tuple[Converted, MadeEnvironment | None, Path | None]:
    """What became of the conversion, and the environment that serves its form."""
    building = opened.wanted.following(opened.environment.lock, work.requirements("convert"))
    try:
        builder = work.environment(building)
    except ResourceFailed as error:
        if error.detail.code in _PASSING:
            raise
        told = f"There is no conversion to ONNX for these versions. {error.detail.message}"
        return Converted(False, told), None, None
    found, file = _stored_or_made(work, opened, builder)
    if not found.accepted:
        return found, None, None
    # What was proved is what serves: the versions of the environment that it was proved in.
    serving = opened.wanted.following(builder.lock, work.requirements("onnx"))
    return found, work.environment(serving), file


def _stored_or_made(work: Work, opened: Opened, builder: MadeEnvironment) -> tuple[Converted, Path]:
    """The conversion from the store, or from a child. What a child could not finish is not kept."""
    key = digest_of(
        {
            "model": work.model.id,
            "format": work.model_format,
            "code": dict(work.code_files),
            "python": work.spec.runtime.python,
            "lock": builder.lock,
            "method": work.spec.model.method,
            "scoring": work.scoring_digest,
            "description": dict(opened.description),
            "execution": work.spec.execution,
        }
    )
    store = work.root / "conversions"
    told, file = store / f"{key}.json", store / f"{key}.onnx"
    if (known := read_json(told)) and (file.exists() or not known["accepted"]):
        print("The conversion to ONNX was tried before.")
        return _from_data(known), file
    print("Trying the model as ONNX.")
    store.mkdir(parents=True, exist_ok=True, mode=0o700)
    with tempfile.TemporaryDirectory(dir=work.staging.parent) as scratch:
        made = Path(scratch) / "executed.onnx"
        found = convert(
            work.asker,
            python=builder.python,
            model=work.staged_model,
            model_format=work.model_format,
            method=work.spec.model.method,
            code=work.code,
            description=opened.description,
            execution=work.spec.execution,
            destination=made,
        )
        say(found.printed)
        if found.accepted:
            arriving = file.with_suffix(f".{work.staging.parent.name}")
            shutil.copyfile(made, arriving)
            arriving.rename(file)
    if found.lasting:
        write_json(told, _as_data(found))
    return found, file


def _as_data(found: Converted) -> dict[str, Any]:
    return {"accepted": found.accepted, "reason": found.reason, "gain": found.gain, "outputs": found.outputs}


def _from_data(data: Mapping[str, Any]) -> Converted:
    return replace(Converted(bool(data["accepted"]), str(data["reason"])), gain=data["gain"], outputs=data["outputs"])


def _refused(found: Converted) -> ResourceFailed:
    return ResourceFailed(
        "The model cannot execute as ONNX.",
        code="no_onnx",
        cause=found.reason,
        action="Set execution to auto, which then runs the model as it was uploaded and says so; or change the model.",
        field="execution",
        raw="\n".join(found.printed),
    )


def _inside(sentence: str) -> str:
    """A sentence as the second half of another; a name at its beginning stays as it is written."""
    first = sentence.partition(" ")[0]
    plain = first == "A" or first[1:].islower()
    return (sentence[:1].lower() + sentence[1:] if plain else sentence).rstrip(".")
