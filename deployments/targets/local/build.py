"""The child that makes a package: `python -m deployments.targets.local.build FOLDER`.

Reads job.json, prints what it does, and leaves result.json with the package's digest or the error. It opens no
model: that is done by a shut-in child of its own.
"""

import os
import re
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from types import FrameType
from typing import Any, NoReturn

from ...domain.errors import ConsoleError, ResourceFailed
from ...domain.resources import ArtifactFile
from ...domain.spec import Spec
from ...packaging.archives import unpack_code
from ...packaging.context import Sources, assemble, wheel_line
from ...packaging.digests import file_digest
from ...packaging.manifest import Parts, build_manifest, safe_model_name
from ...packaging.scoring import scoring_version
from .executed import Form, choose_form
from .failures import system_failure, unforeseen
from .folders import Folder, read_json, write_json
from .opened import open_described
from .work import Work


def main(arguments: list[str]) -> int:
    os.umask(0o022)  # environments and packages are read by another user
    signal.signal(signal.SIGTERM, _stop)
    folder = Folder(Path(arguments[0]))
    job = read_json(folder.job)
    started = time.monotonic()
    outcome: dict[str, Any]
    try:
        outcome = _build(folder, job)
        print(f"Packaged in {time.monotonic() - started:.1f} s.")
    except ConsoleError as error:
        outcome = {"error": error.detail.as_dict()}
    except OSError as error:
        outcome = {"error": system_failure(error).detail.as_dict()}
    except Exception as error:  # without a result it would look as if the system had ended this process
        outcome = {"error": unforeseen(error).detail.as_dict()}
    if "error" in outcome:
        print(outcome["error"]["message"])
    write_json(folder.result, {"job": job["id"], "fingerprint": job["fingerprint"], **outcome})
    return 0


def _stop(number: int, frame: FrameType | None) -> NoReturn:
    """End with all that is under way here: what leaves a block ends its child and removes its folder."""
    signal.signal(number, signal.SIG_IGN)  # once: a second signal must not cut the cleaning short
    sys.exit(128 + number)


def _build(folder: Folder, job: dict[str, Any]) -> dict[str, Any]:
    spec = Spec.load(job["spec"])
    artifacts = {key: ArtifactFile(**{**value, "path": Path(value["path"])}) for key, value in job["artifacts"].items()}
    model = artifacts[str(spec.model.artifact)]
    print(f"Model {model.name}, {model.size / 1024:,.0f} KB, sha256 {model.id[:12]}…")
    for leftover in folder.path.glob(".work-*"):
        shutil.rmtree(leftover, ignore_errors=True)
    with tempfile.TemporaryDirectory(dir=folder.path, prefix=".work-") as scratch:
        staging = Path(scratch) / "staging"
        staging.mkdir(mode=0o755)
        work = Work(
            name=job["name"],
            spec=spec,
            artifacts=artifacts,
            scoring_root=Path(job["scoring_root"]),
            root=Path(job["root"]),
            index_env=job["index_env"],
            sandbox=job["sandbox"],
            staging=staging,
            code=_unpack_code(spec, artifacts, staging),
        )
        if file_digest(model.path) != model.id:
            raise _changed(model)
        opened = open_described(work)
        form = choose_form(work, opened)
        parts = _parts(work, opened.description, form)
        context = Path(scratch) / "context"
        context.mkdir()
        digest = assemble(destination=context, sources=_sources(work, form), spec=spec, parts=parts)
        target = folder.path / digest
        if not target.exists():
            context.rename(target)
    kept = {digest, *_in_use(Folder(Path(job["function"])))}
    for other in folder.path.iterdir():
        if re.fullmatch(r"[0-9a-f]{64}", other.name) and other.name not in kept:
            shutil.rmtree(other, ignore_errors=True)
    manifest = build_manifest(spec, parts)
    outputs = {
        "digest": digest,
        "package": str(target),
        "python": str(form.environment.python),
        "model_version": str(manifest["model_version"]),
        "estimator": str(manifest["estimator"]),
        "executes": form.executed.executes,
        "reason": form.executed.reason,
        "gain": form.times,
    }
    return {"outputs": outputs, "own_lock": form.environment.lock if form.environment.own else ""}


def _in_use(function: Folder) -> set[str]:
    """The packages that the function serves or opens; read in the order in which a job moves."""
    return {Path(str(read_json(path).get("package", ""))).name for path in (function.next, function.job)}


def _parts(work: Work, description: Mapping[str, Any], form: Form) -> Parts:
    return Parts(
        model_name=safe_model_name(work.model.name),
        model_sha256=work.model.id,
        code_files=work.code_files,
        lock=portable(form.environment.lock),
        scoring_version=scoring_version(work.scoring_root),
        description=description,
        executed=form.executed,
        wheels={Path(wheel.name).name: wheel.id for wheel in work.wheels},
    )


def _sources(work: Work, form: Form) -> Sources:
    return Sources(
        scoring_root=work.scoring_root,
        model=work.model.path,
        code=work.code,
        executed=form.file,
        wheels={Path(wheel.name).name: wheel.path for wheel in work.wheels},
    )


def portable(lock: str) -> str:
    """The lock with each uploaded wheel at its place in the package: no path of this machine leaves it."""
    lines = lock.splitlines()
    return "".join(f"{wheel_line(Path(line).name) if Path(line).is_absolute() else line}\n" for line in lines)


def _unpack_code(spec: Spec, artifacts: dict[str, ArtifactFile], staging: Path) -> Path | None:
    if spec.code is None:
        return None
    code = staging / "code"
    names = unpack_code(artifacts[spec.code.artifact], code)
    print(f"Code: {len(names)} files.")
    entry = spec.code.entry_script
    if entry and entry not in names:
        raise ResourceFailed(
            f"There is no {entry} in the code.",
            code="no_entry_script",
            cause="The archive holds the script in another folder or under another name.",
            action=f"Set code.entry_script to one of: {', '.join(n for n in names if n.endswith('.py'))[:300]}.",
            field="code.entry_script",
        )
    return code


def _changed(model: ArtifactFile) -> ResourceFailed:
    return ResourceFailed(
        f"The stored file of {model.name} is not the one that was uploaded.",
        code="artifact_changed",
        cause="The file was changed or damaged on the console's disk.",
        action="Upload the model again, then retry.",
    )


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
