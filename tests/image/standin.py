"""Builds images without a container engine: buildah with chroot isolation, on a stand-in for the Functions base.

The stand-in is Debian with a Python, made by mmdebstrap. It has no Functions host, and is not Azure's image.
"""

import configparser
import json
import os
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

RELEASE = "bookworm"  # Debian's, with Python 3.11
BASE = "localhost/stand-in"
SECONDS = 600
# As the Functions base has them: what the package's Dockerfile has to set otherwise.
_BASE_DOCKERFILE = """
FROM scratch
ADD base.tar /
RUN python3 -m venv /usr/local
ENV PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
ENV HOME=/home FUNCTIONS_WORKER_RUNTIME=python AzureWebJobsScriptRoot=/elsewhere
"""
_PIP_FILES = ("/etc/pip.conf", "~/.pip/pip.conf", "~/.config/pip/pip.conf")
_PLACE = "/run/index"  # where a build finds what reaches the package index


@dataclass(frozen=True)
class Builder:
    """buildah with a store of its own below `root`, which is all that it leaves.

    `driver` keeps the layers: overlay where the machine can mount it, else vfs, which copies the whole file system
    for each of them.
    """

    root: Path
    driver: str

    def run(self, *arguments: str, **more: Any) -> str:
        """What buildah prints; what it complains of is in the error."""
        done = subprocess.run(self.command(*arguments), capture_output=True, text=True, timeout=SECONDS, **more)
        assert done.returncode == 0, f"buildah {arguments[0]}: {done.stdout[-2_000:]} {done.stderr[-4_000:]}"
        return done.stdout

    def command(self, *arguments: str) -> list[str]:
        return [*_buildah(self.root, self.driver), *arguments]

    def make_base(self) -> None:
        """Make the stand-in: the least of Debian, with a Python whose pip installs as in Azure's base."""
        folder = self.root / "base"
        folder.mkdir(parents=True)
        subprocess.run(
            ["mmdebstrap", "--quiet", "--variant=minbase", "--include=python3,python3-venv", RELEASE, "base.tar"],
            cwd=folder, check=True, timeout=SECONDS, capture_output=True,
        )  # fmt: skip
        (folder / "Dockerfile").write_text(_BASE_DOCKERFILE)
        self.run("build", "--isolation", "chroot", "--tag", BASE, str(folder))
        (folder / "base.tar").unlink()

    def build(self, context: Path, tag: str, **arguments_of_image: str) -> None:
        """Build a package's context on the stand-in, with these arguments of its Dockerfile."""
        index = IndexAccess(self.root / "index")
        arguments = ["build", "--isolation", "chroot", "--layers", "--pull-never", "--tag", tag]
        for name, value in {"BASE_IMAGE": BASE, **arguments_of_image}.items():
            arguments += ["--build-arg", f"{name}={value}"]
        self.run(*arguments, *index.volumes(), str(context))

    def inspect(self, tag: str) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(self.run("inspect", "--type", "image", tag))
        return found


def storage_driver(root: Path) -> str:
    """overlay where this machine can mount one in the folder, else vfs; asked of buildah itself."""
    for driver in ("overlay", "vfs"):
        tried = root / f"try-{driver}"
        command = _buildah(tried, driver)
        made = subprocess.run([*command, "from", "scratch"], capture_output=True, text=True, timeout=SECONDS)
        if made.returncode == 0 and _can(*command, "mount", made.stdout.strip()):
            _can(*command, "rm", "--all")
            return driver
    raise AssertionError(made.stderr)


def _can(*command: str) -> bool:
    return subprocess.run(command, capture_output=True, timeout=SECONDS).returncode == 0


def _buildah(root: Path, driver: str) -> list[str]:
    return ["buildah", "--root", str(root / "store"), "--runroot", str(root / "run"), "--storage-driver", driver]


class IndexAccess:
    """This machine's way to packages, lent to a build as mounted files: nothing of it stays in the image."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(exist_ok=True)
        self._config = folder / "pip.conf"
        self._options = _pip_options(os.environ)
        self._certificates = self._options.pop("cert", "") or os.environ.get("SSL_CERT_FILE", "")
        if self._certificates:
            self._options["cert"] = f"{_PLACE}/authorities.pem"
        parser = configparser.RawConfigParser()
        parser["global"] = self._options
        with self._config.open("w") as file:
            parser.write(file)

    def volumes(self) -> list[str]:
        """buildah's arguments: pip's configuration, the authorities, and folders that hold packages."""
        mounted = {self._config: "/etc/pip.conf"}
        if self._certificates:
            mounted[Path(self._certificates)] = f"{_PLACE}/authorities.pem"
        words = " ".join(self._options.values()).split()
        for path in (Path(unquote(urlsplit(word).path)) for word in words if word.startswith(("file:", "/"))):
            # An index refers to its files beside it.
            folder = path.parent if len(path.parts) > 2 and path.name == "simple" else path
            if folder.is_dir():
                mounted[folder] = str(folder)
        return [argument for source, place in mounted.items() for argument in ("--volume", f"{source}:{place}:ro")]


def _pip_options(environment: Mapping[str, str]) -> dict[str, str]:
    """pip's own settings of this machine, and uv's where pip has none."""
    options: dict[str, str] = {}
    parser = configparser.RawConfigParser()
    parser.read([Path(name).expanduser() for name in (*_PIP_FILES, environment.get("PIP_CONFIG_FILE", ""))])
    for section in ("global", "install"):
        if parser.has_section(section):
            options.update(parser.items(section))
    for name, value in environment.items():
        if name.startswith("PIP_") and name != "PIP_CONFIG_FILE":
            options[name.removeprefix("PIP_").lower().replace("_", "-")] = value
    for name, option in {"UV_DEFAULT_INDEX": "index-url", "UV_INDEX_URL": "index-url", "UV_INDEX": "extra-index-url",
                         "UV_EXTRA_INDEX_URL": "extra-index-url", "UV_FIND_LINKS": "find-links"}.items():  # fmt: skip
        if name in environment:
            options.setdefault(option, environment[name])
    return options
