"""Makes the virtual environment that requirements.txt describes, then becomes its Python.

The arguments are that Python's: bin/up is `python bin/environment.py -m console.boot`. Standard library
only, for this runs on a bare Python 3.11.
"""

import ast
import fcntl
import hashlib
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import NoReturn

ROOT = Path(__file__).resolve().parent.parent
VENV = ROOT / ".venv"
PYTHON = VENV / "bin" / "python"
LOCK = ROOT / "requirements.txt"
STAMP = VENV / ".made-from"
STARTED = float(os.environ.setdefault("CONSOLE_STARTED_AT", str(time.time())))


def main(arguments: list[str]) -> NoReturn:
    signal.signal(signal.SIGTERM, _leave)
    if os.environ.get("CONSOLE_HOME"):
        os.environ["CONSOLE_HOME"] = str(Path(os.environ["CONSOLE_HOME"]).expanduser().absolute())
    os.chdir(ROOT)
    with (ROOT / ".venv.lock").open("w") as guard:
        fcntl.flock(guard, fcntl.LOCK_EX)
        if not is_made():
            make()
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    os.execv(PYTHON, [str(PYTHON), *arguments])  # noqa: S606


def is_made() -> bool:
    return PYTHON.exists() and STAMP.exists() and STAMP.read_text() == fingerprint()


def fingerprint() -> str:
    """Changes with the lock, with the Python below the environment, and when the checkout is moved."""
    return f"{hashlib.sha256(LOCK.read_bytes()).hexdigest()} {sys.version_info[:3]} {VENV}\n"


def make() -> None:
    if not _runs([PYTHON, "-c", ""]) or (STAMP.exists() and not STAMP.read_text().endswith(f" {VENV}\n")):
        say("Making the virtual environment .venv")
        _create()
    say("Installing the packages of requirements.txt")
    if not _install_with_uv():
        say("uv could not do it; trying pip, which takes longer")
        try:
            _run([PYTHON, "-m", "pip", "install", "--quiet", "-r", LOCK])
        except subprocess.CalledProcessError as error:
            sys.exit(
                f"The packages could not be installed (pip ended with {error.returncode}), see above."
                " Behind a proxy or with an index of your own, set HTTPS_PROXY, PIP_INDEX_URL and"
                " SSL_CERT_FILE, or pip's own configuration, and start again."
            )
    STAMP.write_text(fingerprint())


def uv_settings(pip: Mapping[str, str], environment: Mapping[str, str]) -> tuple[dict[str, str], list[str]]:
    """What uv must be told to treat indexes, proxies and certificates as pip does: variables and arguments.

    `pip` is pip's own effective configuration. What the environment says to uv itself is never overruled.
    """
    told = {"UV_SYSTEM_CERTS": "1"}
    if "index-url" in pip and "UV_INDEX_URL" not in environment:
        told["UV_DEFAULT_INDEX"] = pip["index-url"]
    if "extra-index-url" in pip and "UV_EXTRA_INDEX_URL" not in environment:
        told["UV_INDEX"] = " ".join(pip["extra-index-url"].split())
        # pip takes the best match of all indexes; uv by itself stops at the first that knows the name.
        told["UV_INDEX_STRATEGY"] = "unsafe-best-match"
    if "find-links" in pip:
        told["UV_FIND_LINKS"] = ",".join(pip["find-links"].split())
    if "trusted-host" in pip:
        told["UV_INSECURE_HOST"] = " ".join(pip["trusted-host"].split())
    if "default-timeout" in pip or "timeout" in pip:
        told["UV_HTTP_TIMEOUT"] = pip.get("timeout") or pip["default-timeout"]
    certificates = pip.get("cert") or environment.get("REQUESTS_CA_BUNDLE") or environment.get("CURL_CA_BUNDLE")
    if certificates:
        told["SSL_CERT_FILE"] = certificates
    if "proxy" in pip:
        for name in ("HTTPS_PROXY", "HTTP_PROXY"):
            if name.lower() not in environment:
                told[name] = pip["proxy"]
    no_index = pip.get("no-index", "").lower() in {"1", "true", "yes", "on"}
    return {k: v for k, v in told.items() if k not in environment}, ["--no-index"] if no_index else []


def parse_pip_config(listing: str) -> dict[str, str]:
    """The effective settings from `pip config list`: the install section over global, variables over both."""
    sections: dict[str, dict[str, str]] = {"global": {}, "install": {}, ":env:": {}}
    for line in listing.splitlines():
        name, _, value = line.partition("=")
        section, _, key = name.rpartition(".")
        if section in sections and value.startswith(("'", '"')):
            sections[section][key] = str(ast.literal_eval(value))
    return {**sections["global"], **sections["install"], **sections[":env:"]}


def pinned(lock: str, name: str) -> str:
    """The lines of the lock that pin one package with its hashes."""
    lines = iter(lock.splitlines())
    for line in lines:
        if line.startswith(f"{name}=="):
            block = [line]
            while block[-1].endswith("\\"):
                block.append(next(lines))
            return "\n".join(block) + "\n"
    raise LookupError(f"{LOCK.name} does not pin {name}")


def say(message: str) -> None:
    # The standard output belongs to the program that this process becomes, and may be somebody's pipe.
    print(f"[{time.time() - STARTED:6.1f} s] {message}", file=sys.stderr, flush=True)


def _create() -> None:
    if _runs([sys.executable, "-c", "import ensurepip, venv"]):
        _run([sys.executable, "-m", "venv", "--clear", VENV])
    elif shutil.which("uv"):
        _run(["uv", "venv", "--quiet", "--clear", "--seed", "--python", sys.executable, VENV])
    else:
        sys.exit(
            f"{sys.executable} has no ensurepip, so it cannot make a virtual environment."
            " On Debian and Ubuntu: apt-get install python3.11-venv; or install uv. Then start again."
        )


def _install_with_uv() -> bool:
    uv = VENV / "bin" / "uv"
    try:
        if not uv.exists():
            pin = VENV / "uv.txt"
            pin.write_text(pinned(LOCK.read_text(), "uv"))
            _run([PYTHON, "-m", "pip", "install", "--quiet", "--no-deps", "-r", pin])
        variables, arguments = uv_settings(_pip_config(), os.environ)
        # On a terminal uv draws a progress bar; in a log its list of every package would only be in the way.
        quiet = [] if sys.stderr.isatty() else ["--quiet"]
        command = [uv, "pip", "install", *quiet, "--python", PYTHON, *arguments, "-r", LOCK]
        _run(command, {**os.environ, **variables})
    except (subprocess.CalledProcessError, OSError):
        return False
    return True


def _pip_config() -> dict[str, str]:
    for python in (PYTHON, sys.executable):
        found = subprocess.run([python, "-m", "pip", "config", "list"], capture_output=True, text=True, check=False)
        if found.returncode == 0:
            return parse_pip_config(found.stdout)
    return {}


def _run(command: list[str | Path], environment: Mapping[str, str] | None = None) -> None:
    subprocess.run(command, env=environment, stdout=sys.stderr, check=True)


def _runs(command: list[str | Path]) -> bool:
    try:
        return subprocess.run(command, capture_output=True, check=False).returncode == 0
    except OSError:
        return False


def _leave(signum: int, frame: object) -> NoReturn:
    # subprocess.run ends its child while this exception passes through.
    raise SystemExit(128 + signum)


if __name__ == "__main__":
    try:
        main(sys.argv[1:])
    except KeyboardInterrupt:
        sys.exit(130)
