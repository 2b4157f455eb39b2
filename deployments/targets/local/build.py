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
from dataclasses import replace
from pathlib import Path
from types import FrameType
from typing import Any, NoReturn

from ...domain.errors import ConsoleError, ErrorDetail, ResourceFailed
from ...domain.resources import ArtifactFile
from ...domain.spec import Spec, digest_of
from ...packaging.archives import unpack_code
from ...packaging.context import assemble
from ...packaging.digests import file_digest, package_files, source_files, tree_digest
from ...packaging.manifest import Parts, build_manifest, model_format, safe_model_name
from . import sandbox, versions
from .describe import Described, describe
from .environments import MadeEnvironment, make_environment, own_environment, wanted_environment
from .failures import description_failure, system_failure, unforeseen
from .folders import Folder, read_json, write_json

CREDENTIALS = "SCORING_INDEX_CREDENTIALS"
EXECUTES = "original"
_SCORING_VERSION = re.compile(r'^SCORING_VERSION = "([^"]+)"', re.MULTILINE)


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


def scoring_version(scoring_root: Path) -> str:
    """The version that the scoring server's source states, read without importing it."""
    found = _SCORING_VERSION.search((scoring_root / "scoring" / "__init__.py").read_text())
    return found[1] if found else "0"


def scoring_digest(scoring_root: Path) -> str:
    """Digest of all that ships of the scoring image."""
    return tree_digest(scoring_root, source_files(scoring_root))


def _build(folder: Folder, job: dict[str, Any]) -> dict[str, Any]:
    spec = Spec.load(job["spec"])
    artifacts = {key: ArtifactFile(**{**value, "path": Path(value["path"])}) for key, value in job["artifacts"].items()}
    scoring_root = Path(job["scoring_root"])
    model = artifacts[str(spec.model.artifact)]
    print(f"Model {model.name}, {model.size / 1024:,.0f} KB, sha256 {model.id[:12]}…")
    for leftover in folder.path.glob(".work-*"):
        shutil.rmtree(leftover, ignore_errors=True)
    with tempfile.TemporaryDirectory(dir=folder.path, prefix=".work-") as work:
        # The model's own folder is what the describing child sees: its name and the server's code, no more.
        staging = Path(work) / "staging"
        staging.mkdir(mode=0o755)
        code = _unpack_code(spec, artifacts, staging)
        environment = _environment(spec, artifacts, model.path, job)
        parts = Parts(
            model_name=safe_model_name(model.name),
            model_sha256=file_digest(model.path),
            code_files={path.as_posix(): file_digest(code / path) for path in package_files(code)} if code else {},
            lock=environment.lock,
            scoring_version=scoring_version(scoring_root),
            description={},
        )
        if parts.model_sha256 != model.id:
            raise _changed(model)
        description = _description(spec, job, staging, model.path, code, parts, environment)
        parts = replace(parts, description=description)
        context = Path(work) / "context"
        context.mkdir()
        digest = assemble(
            destination=context, scoring_root=scoring_root, model=model.path, code=code, spec=spec, parts=parts
        )
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
        "python": str(environment.python),
        "model_version": str(manifest["model_version"]),
        "estimator": str(manifest["estimator"]),
        "executes": EXECUTES,
    }
    return {"outputs": outputs, "own_lock": environment.lock if environment.own else ""}


def _in_use(function: Folder) -> set[str]:
    """The packages that the function serves or opens; read in the order in which a job moves."""
    return {Path(str(read_json(path).get("package", ""))).name for path in (function.next, function.job)}


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


def _environment(spec: Spec, artifacts: dict[str, ArtifactFile], model: Path, job: dict[str, Any]) -> MadeEnvironment:
    lines = (Path(job["scoring_root"]) / "requirements.txt").read_text().splitlines()
    scoring = [line.split("#")[0].strip() for line in lines if line.split("#")[0].strip()]
    wanted, why = wanted_environment(
        spec,
        scoring_requirements=scoring,
        found_version=versions.scikit_learn_version(model),
        numpy_2=versions.needs_numpy_2(model),
        wheels=tuple(artifacts[wheel] for wheel in spec.runtime.wheels),
    )
    print(f"Environment: Python {wanted.python}, {why}.")
    if found := own_environment(wanted):
        print("The console's own environment has exactly these versions.")
        return found
    index = spec.runtime.index
    return make_environment(
        wanted,
        root=Path(job["root"]) / "venvs",
        env={**job["index_env"], **credentials(os.environ.get(CREDENTIALS, ""))},
        index_url=index.url if index else "",
        say=print,
    )


def credentials(secret: str) -> dict[str, str]:
    """uv's variables for the index called private, from `user:password` or a token; none for ""."""
    if not secret:
        return {}
    user, colon, password = secret.partition(":")
    return {
        "UV_INDEX_PRIVATE_USERNAME": user if colon else "__token__",
        "UV_INDEX_PRIVATE_PASSWORD": password if colon else secret,
    }


def _description(
    spec: Spec,
    job: dict[str, Any],
    staging: Path,
    model: Path,
    code: Path | None,
    parts: Parts,
    environment: MadeEnvironment,
) -> dict[str, Any]:
    """What the model takes and gives, from the store of descriptions or from a child that opens it."""
    scoring_root = Path(job["scoring_root"])
    key = digest_of(
        {
            "model": parts.model_sha256,
            "code": dict(parts.code_files),
            "lock": parts.lock,
            "method": spec.model.method,
            "scoring": scoring_digest(scoring_root),
        }
    )
    stored = Path(job["root"]) / "descriptions" / f"{key}.json"
    if known := read_json(stored):
        print(f"{known.get('estimator') or 'The model'}: described before.")
        return known
    if spec.code and spec.code.entry_script:
        return {}
    mode = sandbox.choose(job["sandbox"])
    print(sandbox.explain(mode, sandbox.landlock_abi()))
    for relative in source_files(scoring_root):
        target = staging / relative
        target.parent.mkdir(parents=True, exist_ok=True, mode=0o755)
        shutil.copyfile(scoring_root / relative, target)
    staged = staging / "model" / parts.model_name
    staged.parent.mkdir(mode=0o755)
    shutil.copyfile(model, staged)
    found = describe(
        mode=mode,
        python=environment.python,
        staging=staging,
        model=staged,
        model_format=model_format(parts.model_name),
        method=spec.model.method,
        code=code,
        memory_mb=spec.hosting.memory_mb,
        owner=f"{job['name']}/image",
    )
    return _checked(found, stored)


def _checked(found: Described, stored: Path) -> dict[str, Any]:
    for line in found.printed:
        print(f"model: {line}")
    if found.description is None:
        detail = description_failure(found.error or {})
        raise _failed(detail)
    description = dict(found.description)
    for warning in description.get("warnings") or ():
        print(f"Warning: {warning.get('message', '')} {warning.get('hint', '')}".rstrip())
    print(f"{description.get('estimator') or 'The model'}: described.")
    write_json(stored, description)
    return description


def _failed(detail: ErrorDetail) -> ResourceFailed:
    return ResourceFailed(
        detail.message,
        code=detail.code,
        cause=detail.cause,
        action=detail.action,
        raw=detail.raw,
        fix=dict(detail.fix),
    )


def _changed(model: ArtifactFile) -> ResourceFailed:
    return ResourceFailed(
        f"The stored file of {model.name} is not the one that was uploaded.",
        code="artifact_changed",
        cause="The file was changed or damaged on the console's disk.",
        action="Upload the model again, then retry.",
    )


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
