"""The Python environment a model runs in: the console's own where it fits exactly, else one made by uv.

Environments are cached by the digest of their lock and shared by all deployments; whoever makes one works in a
folder beside it and renames it, so that a half-made one is never used.
"""

import contextlib
import hashlib
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache, partial
from importlib import metadata
from pathlib import Path

import uv
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from ...domain.errors import ResourceFailed
from ...domain.resources import ArtifactFile
from ...domain.spec import Spec
from .conda import conda_requirements
from .failures import uv_failure, uv_too_slow
from .scratch import only_one, scratch_folder

_SECONDS = 900.0  # for one call of uv
_PIN = re.compile(r"([A-Za-z0-9][A-Za-z0-9._-]*)==")
_OWN = f"{sys.version_info.major}.{sys.version_info.minor}"


@dataclass(frozen=True)
class Wanted:
    """What an environment must hold. `requirements` are plain requirement lines; wheels are uploaded files.

    `constraints` are versions for packages that are there anyway: those of an environment that this one follows.
    """

    python: str
    requirements: tuple[str, ...]
    wheels: tuple[ArtifactFile, ...] = ()
    constraints: tuple[str, ...] = ()

    def names(self) -> frozenset[str]:
        """The packages that are asked for by name."""
        return frozenset(canonicalize_name(Requirement(line).name) for line in self.requirements)

    def following(self, lock: str, more: Sequence[str]) -> "Wanted":
        """The same with more packages, all others in the versions of the lock."""
        pins = tuple(line for line in lock.splitlines() if _PIN.match(line))
        return replace(self, requirements=(*self.requirements, *more), constraints=pins)


@dataclass(frozen=True)
class MadeEnvironment:
    """An environment ready to run: its interpreter, the lock it was made from, and whether it is the console's own."""

    python: Path
    lock: str
    own: bool = False

    def names(self) -> frozenset[str]:
        """The packages that the lock pins."""
        return frozenset(canonicalize_name(found[1]) for line in self.lock.splitlines() if (found := _PIN.match(line)))


def wanted_environment(
    spec: Spec,
    *,
    scoring_requirements: Sequence[str],
    found_version: str,
    numpy_2: bool,
    wheels: tuple[ArtifactFile, ...],
    with_scikit_learn: bool = True,
) -> tuple[Wanted, str]:
    """The requirements of a model's environment, and a sentence on where the scikit-learn version is from.

    `found_version` is the one in the model's bytes, "" where there is none. A model that was uploaded as ONNX is
    opened without scikit-learn.
    """
    asked = conda_requirements(spec.runtime.conda) if spec.runtime.conda else spec.runtime.requirements
    requirements = [*scoring_requirements, *asked]
    names = Wanted(spec.runtime.python, tuple(asked)).names()
    if "scikit-learn" in names:
        why = "scikit-learn as the spec says"
    elif not with_scikit_learn:
        why = "without scikit-learn, which an ONNX model does not need"
    elif found_version:
        why = f"scikit-learn {found_version}, with which the model was saved"
        requirements.append(f"scikit-learn=={found_version}")
    else:
        own = metadata.version("scikit-learn")
        why = f"scikit-learn {own}, the console's own, for the model does not say with which it was saved"
        requirements.append(f"scikit-learn=={own}")
    if numpy_2 and "numpy" not in names:
        requirements.append("numpy>=2")
    return Wanted(spec.runtime.python, tuple(requirements), wheels), why


def own_environment(wanted: Wanted) -> MadeEnvironment | None:
    """The console's environment where it satisfies every requirement; None where it does not."""
    if wanted.wheels or wanted.python != _OWN:
        return None
    pinned: dict[str, str] = {}
    queue = [Requirement(line) for line in wanted.requirements]
    seen: set[tuple[str, frozenset[str]]] = set()
    while queue:
        requirement = queue.pop()
        try:
            if requirement.marker and not requirement.marker.evaluate({"extra": ""}):
                continue
        except ValueError:
            return None  # it compares what cannot be compared here: uv says what is wrong with it
        name = canonicalize_name(requirement.name)
        try:
            distribution = metadata.distribution(name)
        except metadata.PackageNotFoundError:
            return None
        if not requirement.specifier.contains(distribution.version, prereleases=True):
            return None
        pinned[name] = distribution.version
        key = (name, frozenset(requirement.extras))
        if key not in seen:
            seen.add(key)
            queue += _needs(distribution, requirement.extras)
    lock = "".join(f"{name}=={version}\n" for name, version in sorted(pinned.items()))
    return MadeEnvironment(Path(sys.executable), lock, own=True)


def still_holds(lock: str) -> bool:
    """Whether the console's environment still has what it had when the lock was written."""
    pinned = (line.split("==") for line in lock.splitlines())
    try:
        return all(metadata.version(name) == version for name, version in pinned)
    except metadata.PackageNotFoundError:
        return False


def make_environment(
    wanted: Wanted,
    *,
    root: Path,
    env: Mapping[str, str],
    index_url: str,
    say: Callable[[str], None],
    seconds: float = _SECONDS,
) -> MadeEnvironment:
    """Lock the requirements and make the environment, or find the one that was made from the same lock.

    `seconds` bounds each call of uv. Raises ResourceFailed with the package at fault, where uv can tell.
    """
    python = find_python(wanted.python)
    if python is None:
        raise ResourceFailed(
            f"Python {wanted.python} is not installed on this machine.",
            code="no_python",
            cause="The spec's runtime.python names a version that cannot be found here.",
            action=f"Install Python {wanted.python}, or choose {_OWN}.",
            field="runtime.python",
        )
    root.mkdir(parents=True, exist_ok=True, mode=0o700)
    run = partial(_uv, env=env, index_url=index_url, seconds=seconds)
    with scratch_folder(root) as scratch:
        wheels = _place_wheels(wanted.wheels, root / "wheels")
        lock = _compile(wanted, wheels, scratch, python=python, run=run)
    digest = hashlib.sha256(f"{wanted.python}\n{lock}".encode()).hexdigest()
    target = root / digest[:32]
    with only_one(root / f"{digest[:32]}.lock"):
        if not target.exists():
            say(f"Making the environment: {lock.count('==') + len(wheels)} packages.")
            _install(lock, target, python=python, run=run)
    return MadeEnvironment(target / "bin" / "python", lock)


def find_python(version: str) -> Path | None:
    """An installed interpreter of that version, or None; nothing is downloaded."""
    if version == _OWN:
        return Path(sys.executable).resolve()
    try:
        return _installed_python(version)
    except LookupError:
        return None


@lru_cache(maxsize=8)
def _installed_python(version: str) -> Path:
    """Raises LookupError, which the cache does not keep: that Python may be installed while the console runs."""
    found = subprocess.run(
        [uv.find_uv_bin(), "python", "find", "--no-python-downloads", "--system", version],
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
        cwd="/",
    )
    path = Path(found.stdout.strip())
    if found.returncode or not path.is_absolute():
        raise LookupError(version)
    return path.resolve()


def _compile(wanted: Wanted, wheels: Sequence[str], scratch: Path, *, python: Path, run: partial[None]) -> str:
    source = scratch / "requirements.in"
    source.write_text("\n".join((*wanted.requirements, *wheels)) + "\n")
    output = scratch / "requirements.txt"
    constraints = scratch / "constraints.txt"
    constraints.write_text("".join(f"{line}\n" for line in wanted.constraints))
    # Wheels only: building from source would run a stranger's code outside any sandbox.
    run(
        ["pip", "compile", "--quiet", "--no-header", "--no-annotate", "--only-binary", ":all:",
         "--python", str(python), "--constraints", str(constraints), "--output-file", str(output), str(source)]
    )  # fmt: skip
    return output.read_text()


def _install(lock: str, target: Path, *, python: Path, run: partial[None]) -> None:
    with scratch_folder(target.parent) as scratch:
        place = scratch / "venv"
        run(["venv", "--quiet", "--relocatable", "--python", str(python), str(place)], index_url="")
        requirements = scratch / "requirements.txt"
        requirements.write_text(lock)
        run(
            ["pip", "install", "--quiet", "--only-binary", ":all:", "--no-deps", "--python",
             str(place / "bin" / "python"), "--requirements", str(requirements)]
        )  # fmt: skip
        # Compiled by the base interpreter without `site`: a .pth file of a wheel must not run here.
        with contextlib.suppress(subprocess.TimeoutExpired):  # what is not compiled is slower to start, no more
            subprocess.run(
                [str(python), "-I", "-S", "-m", "compileall", "-q", "-j", "2", str(place / "lib")],
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                timeout=_SECONDS,
                check=False,  # a package may hold a file for another Python version
            )
        place.rename(target)


def _uv(arguments: Sequence[str], *, env: Mapping[str, str], index_url: str, seconds: float) -> None:
    """Run uv; an index's credentials are in the environment, never in the arguments. Raises ResourceFailed."""
    index = ["--index", f"private={index_url}"] if index_url else []
    try:
        done = subprocess.run(
            [uv.find_uv_bin(), *arguments, *index],
            env={**env, "UV_NO_PROGRESS": "1", "NO_COLOR": "1", "UV_PYTHON_DOWNLOADS": "never"},
            capture_output=True,
            text=True,
            errors="replace",
            timeout=seconds,
            check=False,
            cwd="/",
        )
    except subprocess.TimeoutExpired as error:
        raise uv_too_slow(seconds) from error
    if done.returncode:
        raise uv_failure(done.stderr)


def _place_wheels(wheels: Sequence[ArtifactFile], folder: Path) -> list[str]:
    """Put uploaded wheels under their own names, which pip reads; by digest, so that equal names do not meet."""
    lines = []
    for wheel in wheels:
        place = folder / wheel.id / Path(wheel.name).name
        if not place.exists():
            place.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            with tempfile.NamedTemporaryFile(dir=place.parent, delete=False) as scratch:
                pass
            shutil.copyfile(wheel.path, scratch.name)
            Path(scratch.name).rename(place)
        lines.append(str(place))
    return lines


def _needs(distribution: metadata.Distribution, extras: set[str]) -> list[Requirement]:
    needed = []
    for line in distribution.requires or ():
        requirement = Requirement(line)
        marker = requirement.marker
        if marker is None or any(marker.evaluate({"extra": extra}) for extra in (*extras, "")):
            requirement.marker = None
            needed.append(requirement)
    return needed
