"""Builds the command line for a child that may be hostile: bubblewrap where it works, else Landlock, else limits.

What each gives the child: bubblewrap - its own view of files, processes and network; Landlock - no file but those
named and no TCP connection but to the ports named, or none at all where its version knows no ports. With both (on
Linux) a system call filter refuses new processes and other sockets, and limits bound memory, threads, files and CPU
time. Elsewhere the limits alone hold.
"""

import hashlib
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Literal

from .config import SandboxChoice

Mode = Literal["bubblewrap", "landlock", "none"]

CONFINE = Path(__file__).with_name("confine.py")
SOCKET_FOLDER = "/run/cache"  # where a bubblewrapped child finds the folder with its one socket
_INSIDE_CONFINE = "/run/confine.py"
_MEGABYTE = 1024 * 1024
# Reserved and never touched, so no use of memory: stacks and buffers of threads; for the whole address space
# also the mapped libraries.
_DATA_OVERHEAD_MB = 256
_ADDRESS_SPACE_OVERHEAD_MB = 1_024
_FIRST_UID, _UIDS = 1_000_000_000, 500_000_000  # for children of a worker that is root
_SYSTEM_READ = ("/usr", "/bin", "/lib", "/lib64", "/lib32", "/sbin")
_SYSTEM_FILES = ("/etc/ld.so.cache", "/etc/alternatives", "/etc/localtime")
_LANDLOCK_READ = (*_SYSTEM_READ, *_SYSTEM_FILES, "/dev/urandom", "/dev/random", "/proc/cpuinfo", "/proc/meminfo")
_LANDLOCK_PORTS = 4  # the first version that can allow one port: Linux 6.7
_PROBE_SECONDS = 10


@dataclass(frozen=True)
class Confinement:
    """What a child may see and use. `socket_folder` holds the socket, and `tcp_port` the port, of its cache."""

    owner: str  # whose child it is: children of different owners do not share a user
    interpreter: Path
    read: tuple[Path, ...]
    memory_mb: int
    threads: int = 256
    open_files: int = 1_024
    file_mb: int = 64
    cpu_seconds: int | None = None
    socket_folder: Path | None = None
    tcp_port: int = 0
    environment: Mapping[str, str] = field(default_factory=dict, repr=False)


def choose(choice: SandboxChoice) -> Mode:
    """The sandbox that works on this machine; the one that was asked for where that is not `auto`."""
    if choice != "auto":
        return choice
    if bubblewrap_works():
        return "bubblewrap"
    return "landlock" if landlock_abi() else "none"


def reaches_cache(mode: Mode, abi: int) -> bool:
    """Whether a child can be let to its cache and to nothing else; `abi` is Landlock's version.

    Without ports the system call filter alone would decide, which sees no addresses: all of TCP, or every socket
    in the file system that the child's user may use, a desktop's message bus among them.
    """
    return mode != "landlock" or abi >= _LANDLOCK_PORTS


def explain(mode: Mode, abi: int) -> str:
    """One line for a run's log; `abi` is Landlock's version."""
    line = {
        "bubblewrap": "The model is opened inside bubblewrap: no network, no files of the console, no new processes.",
        "landlock": "The model is opened under Landlock: no files of the console, no connections, no new processes.",
        "none": "No sandbox was found on this machine (bubblewrap or Landlock): the model is opened with limits "
        "on memory and time only, and can read what the console's user can read.",
    }[mode]
    if not reaches_cache(mode, abi):
        line += (
            " Landlock of this kernel cannot allow a single port: functions answer without their cache. "
            "For the cache install bubblewrap, or Linux 6.7 or later."
        )
    return line


def command(mode: Mode, confinement: Confinement, argv: Sequence[str], *, cwd: Path, info_fd: int = -1) -> list[str]:
    """The command line that runs `argv` shut in, in the folder `cwd`.

    `info_fd`: where bubblewrap writes `{"child-pid": n}`, the init of the child's processes: when it ends they all
    do. The environment is the caller's to give to Popen, so that no secret is in a command line.
    """
    settings = _settings(mode, confinement)
    base = [str(base_interpreter(confinement.interpreter)), "-I", "-S"]
    if mode != "bubblewrap":
        return [*base, str(CONFINE), settings, *argv]
    return [
        *_bubblewrap(confinement, cwd=cwd, info_fd=info_fd),
        "--",
        *base,
        _INSIDE_CONFINE,
        settings,
        *argv,
    ]


def scrubbed_environment(mode: Mode, more: Mapping[str, str]) -> dict[str, str]:
    """The whole environment of a shut-in child: nothing of the worker's own."""
    threads = str(min(4, os.cpu_count() or 1))
    return {
        "PATH": "/usr/bin:/bin",
        "LANG": "C.UTF-8",
        "HOME": "/tmp" if mode == "bubblewrap" else "/nonexistent",  # noqa: S108 - the sandbox's own
        "PYTHONUNBUFFERED": "1",
        "PYTHONDONTWRITEBYTECODE": "1",
        "PYTHONNOUSERSITE": "1",
        "MALLOC_ARENA_MAX": "2",
        "OMP_NUM_THREADS": threads,
        "OPENBLAS_NUM_THREADS": threads,
        "MKL_NUM_THREADS": threads,
        "JOBLIB_MULTIPROCESSING": "0",  # joblib works in one process instead of failing to start others
        **more,
    }


def base_interpreter(python: Path) -> Path:
    """The interpreter behind a virtual environment's link."""
    return python.resolve()


def interpreter_folders(python: Path) -> tuple[Path, ...]:
    """What must be readable for the interpreter to run: its virtual environment and its installation."""
    environment = python.parent.parent
    return tuple(dict.fromkeys((environment, base_interpreter(python).parent.parent)))


@lru_cache(maxsize=1)
def landlock_abi() -> int:
    """The version of Landlock that the kernel offers; asked in a child, for it takes a raw system call."""
    if sys.platform != "linux":
        return 0
    asked = subprocess.run(
        [sys.executable, "-I", "-c", f"import runpy; print(runpy.run_path({str(CONFINE)!r})['landlock_abi']())"],
        capture_output=True,
        text=True,
        timeout=_PROBE_SECONDS,
        check=False,
    )
    return int(asked.stdout.strip() or 0) if asked.returncode == 0 else 0


@lru_cache(maxsize=1)
def bubblewrap_works() -> bool:
    """Whether bubblewrap is there and may make its namespaces; tried once for each process."""
    if shutil.which("bwrap") is None:
        return False
    probe = Confinement(owner="probe", interpreter=Path(sys.executable), read=(), memory_mb=512)
    argv = [str(base_interpreter(Path(sys.executable))), "-I", "-S", "-c", "pass"]
    try:
        tried = subprocess.run(
            command("bubblewrap", probe, argv, cwd=Path("/")),
            env=scrubbed_environment("bubblewrap", {}),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=_PROBE_SECONDS,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired):
        return False
    return tried.returncode == 0


def _settings(mode: Mode, confinement: Confinement) -> str:
    """The argument of confine.py; it holds no secret."""
    limits = {
        "RLIMIT_AS": (confinement.memory_mb + _ADDRESS_SPACE_OVERHEAD_MB) * _MEGABYTE,
        "RLIMIT_DATA": (confinement.memory_mb + _DATA_OVERHEAD_MB) * _MEGABYTE,
        "RLIMIT_FSIZE": confinement.file_mb * _MEGABYTE,
        "RLIMIT_NOFILE": confinement.open_files,
        "RLIMIT_CORE": 0,
    }
    if confinement.cpu_seconds:
        limits["RLIMIT_CPU"] = confinement.cpu_seconds
    landlock: dict[str, list[str] | list[int]] | None = None
    if mode == "landlock":
        read = [*_LANDLOCK_READ, *map(str, _readable(confinement)), str(CONFINE)]
        landlock = {
            "read": read,
            "write": ["/dev/null"],
            "tcp": [confinement.tcp_port] if confinement.tcp_port else [],
        }
    return json.dumps(
        {
            "limits": limits if sys.platform == "linux" else {"RLIMIT_CORE": 0},
            "uid": _user(mode, confinement),
            "landlock": landlock,
            "sockets": _sockets(mode, confinement),
            "threads": confinement.threads,
        },
        sort_keys=True,
    )


def _sockets(mode: Mode, confinement: Confinement) -> str:
    if not (confinement.socket_folder or confinement.tcp_port):
        return "none"
    return "unix" if mode == "bubblewrap" else "tcp"


def _user(mode: Mode, confinement: Confinement) -> int:
    """The user to become where the worker is root; 0 where that user could not even reach the interpreter."""
    if os.getuid() != 0:
        return 0
    if mode != "bubblewrap" and not all(map(_reachable_by_all, _readable(confinement))):
        return 0
    digest = hashlib.sha256(confinement.owner.encode()).digest()
    return _FIRST_UID + int.from_bytes(digest[:4], "big") % _UIDS


def _reachable_by_all(path: Path) -> bool:
    try:
        return all(folder.stat().st_mode & 0o001 for folder in (*path.resolve().parents,))
    except OSError:
        return False


def _readable(confinement: Confinement) -> tuple[Path, ...]:
    return (*interpreter_folders(confinement.interpreter), *confinement.read)


def _bubblewrap(confinement: Confinement, *, cwd: Path, info_fd: int) -> list[str]:
    arguments = [
        shutil.which("bwrap") or "bwrap",
        *("--unshare-pid", "--unshare-ipc", "--unshare-net", "--unshare-uts", "--unshare-cgroup-try"),
        *("--die-with-parent", "--hostname", "model"),
        *("--cap-drop", "ALL"),
    ]
    if os.getuid() == 0:  # confine.py becomes another user with these, which ends them
        arguments += ["--cap-add", "CAP_SETUID", "--cap-add", "CAP_SETGID"]
    for name in _SYSTEM_READ:
        path = Path(name)
        if path.is_symlink():
            arguments += ["--symlink", str(path.readlink()), name]
        elif path.is_dir():
            arguments += ["--ro-bind", name, name]
    for name in _SYSTEM_FILES:
        arguments += ["--ro-bind-try", name, name]
    arguments += ["--proc", "/proc", "--dev", "/dev", "--remount-ro", "/dev"]
    arguments += ["--size", str(confinement.file_mb * _MEGABYTE), "--perms", "1777", "--tmpfs", "/tmp"]  # noqa: S108
    arguments += ["--perms", "0755", "--dir", "/run", "--ro-bind", str(CONFINE), _INSIDE_CONFINE]
    bound = [path for path in dict.fromkeys(_readable(confinement)) if not path.is_relative_to("/usr")]
    # Folders on the way that bubblewrap makes by itself would be closed to the child's user.
    for folder in sorted({parent for path in bound for parent in path.parents if parent != Path("/")}):
        arguments += ["--perms", "0755", "--dir", str(folder)]
    for path in bound:
        arguments += ["--ro-bind", str(path), str(path)]
    if confinement.socket_folder:
        arguments += ["--ro-bind", str(confinement.socket_folder), SOCKET_FOLDER]
    arguments += ["--chdir", str(cwd)]
    if info_fd >= 0:
        arguments += ["--info-fd", str(info_fd)]
    return arguments
