"""A hostile model, opened by the describing child and by the function, gets none of what it is after."""

import os
import secrets
import socket
import subprocess
import sys
import textwrap
import threading
from collections.abc import Iterator
from pathlib import Path

import httpx
import psutil
import pytest

from deployments.domain.spec import Spec
from deployments.targets.local import sandbox
from deployments.targets.local.children import holder
from deployments.targets.local.config import SandboxChoice
from deployments.targets.local.servers import confinement_of, within_reach
from tests.targets.driving import text_of

from .conftest import Files, LocalHarness, local_harness

MEMORY_MB = 768

# A module that the model needs, so that its class is found when the pickle is opened: opening it runs the attacks.
HOSTILE = """
    import glob, os, socket, sys, threading

    def read(path):
        with open(path, "rb") as file:
            return b"MARKER" in file.read(100_000)

    def environments():
        found = [path for path in glob.glob("/proc/*/environ") if "self" not in path]
        return any(b"MARKER" in open(path, "rb").read() for path in found if readable(path))

    def readable(path):
        try:
            open(path, "rb").close()
            return True
        except OSError:
            return False

    def connect(family, kind, address):
        with socket.socket(family, kind) as client:
            client.settimeout(2)
            client.connect(address)
            client.send(b"x")
            return True

    def fork():
        for count in range(200):
            if os.fork() == 0:
                os._exit(0)
        return True

    def threads():
        stop = threading.Event()
        made = 0
        try:
            while made < 3000:
                threading.Thread(target=stop.wait, daemon=True).start()
                made += 1
            return True
        except RuntimeError:
            return False
        finally:
            stop.set()

    def memory():
        kept = []
        try:
            while len(kept) < 4096:
                kept.append(bytearray(1024 * 1024))
            return True
        except MemoryError:
            return False

    def shared_memory():
        import mmap
        kept = []
        while len(kept) < 4096:
            kept.append(mmap.mmap(-1, 1024 * 1024))
            kept[-1].write(b"x" * 1024 * 1024)
        return True

    def fill(path):
        with open(path, "wb") as file:
            for _ in range(300):
                file.write(b"x" * 1024 * 1024)
        return True

    def kill(pid):
        os.kill(pid, 9)
        return True

    def limit(pid):
        import resource
        resource.prlimit(pid, resource.RLIMIT_NOFILE, (8, 8))
        return True

    def stay():
        import ctypes
        return ctypes.CDLL(None).prctl(1, 0, 0, 0, 0) == 0

    ATTACKS = @ATTACKS@

    class Model:
        classes_ = [0, 1]
        n_features_in_ = 2

        def __setstate__(self, state):
            for name, call in ATTACKS.items():
                try:
                    got = call()
                except BaseException as error:
                    got = False
                    print(f"{name}: {type(error).__name__}", file=sys.stderr)
                print(f"{name}: {'TAKEN' if got else 'refused'}", file=sys.stderr, flush=True)

        def __getstate__(self):
            return {"hostile": True}

        def fit(self, X, y=None):
            return self

        def predict(self, X):
            import numpy
            return numpy.zeros(len(X), dtype="int64")
"""

_SAVE = """
    import sys, pickle
    sys.path.insert(0, sys.argv[2])
    sys.modules.setdefault("hostile", __import__("hostile"))
    import hostile
    with open(sys.argv[1], "wb") as file:
        pickle.dump(hostile.Model(), file)
"""


class Prey:
    """Things on this machine that a model must not reach: files, an environment, servers, processes."""

    def __init__(self, folder: Path) -> None:
        self.secret_file = folder / "up.json"
        self.secret_file.write_text('{"password": "MARKER"}')
        self.database = folder / "db.sqlite3"
        self.database.write_bytes(b"SQLite format 3\0MARKER")
        self.bystander = subprocess.Popen(
            [sys.executable, "-c", "import time; time.sleep(600)"], env={"SECRET": "MARKER"}
        )
        self.tcp = socket.create_server(("127.0.0.1", 0))
        self.unix_path = folder / "broker.sock"
        self.unix = socket.socket(socket.AF_UNIX)
        self.unix.bind(str(self.unix_path))
        self.abstract_name = f"\0broker-{secrets.token_hex(4)}"
        self.abstract = socket.socket(socket.AF_UNIX)
        self.abstract.bind(self.abstract_name)
        self.udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.udp.bind(("127.0.0.1", 0))
        self.udp.settimeout(0.2)
        self.visits = 0
        for listener in (self.tcp, self.unix, self.abstract):
            listener.listen(8)
            threading.Thread(target=self._accept, args=(listener,), daemon=True).start()

    def attacks(self) -> str:
        """Python source of the table of attacks."""
        pid = self.bystander.pid
        inet, unix = "socket.AF_INET", "socket.AF_UNIX"
        stream, datagram = "socket.SOCK_STREAM", "socket.SOCK_DGRAM"
        tcp, udp = self.tcp.getsockname(), self.udp.getsockname()
        calls = {
            "read up.json": f"read({str(self.secret_file)!r})",
            "read the database": f"read({str(self.database)!r})",
            "read environments": "environments()",
            "connect by TCP": f"connect({inet}, {stream}, {tcp!r})",
            "send by UDP": f"connect({inet}, {datagram}, {udp!r})",
            "connect to a unix socket": f"connect({unix}, {stream}, {str(self.unix_path)!r})",
            "connect to an abstract socket": f"connect({unix}, {stream}, {self.abstract_name!r})",
            "fork": "fork()",
            "start threads": "threads()",
            "fill memory": "memory()",
            "fill shared memory": "shared_memory()",
            "fill /tmp": "fill('/tmp/filled')",
            "fill /dev/shm": "fill('/dev/shm/filled')",
            "write into its package": "fill(os.path.join(os.path.dirname(__file__), 'filled'))",
            "kill a process": f"kill({pid})",
            "limit a process": f"limit({pid})",
            "outlive its supervisor": "stay()",
        }
        return "{" + ", ".join(f"{name!r}: lambda: {call}" for name, call in calls.items()) + "}"

    def close(self) -> None:
        self.bystander.kill()
        self.bystander.wait()
        for listener in (self.tcp, self.unix, self.abstract, self.udp):
            listener.close()

    def _accept(self, listener: socket.socket) -> None:
        while True:
            try:
                listener.accept()[0].close()
            except OSError:
                return
            self.visits += 1


@pytest.fixture
def prey(tmp_path: Path) -> Iterator[Prey]:
    made = Prey(tmp_path)
    yield made
    made.close()


def missing(mode: SandboxChoice) -> str:
    """Why a sandbox cannot be tried here; empty where it can."""
    if mode == "bubblewrap" and not sandbox.bubblewrap_works():
        return "bubblewrap does not work on this machine"
    if mode == "landlock" and sandbox.landlock_abi() < 6:
        return "this kernel has no Landlock, or an older one"
    return ""


@pytest.mark.parametrize("mode", ["bubblewrap", "landlock"])
def test_a_hostile_model_gets_nothing(
    mode: SandboxChoice, prey: Prey, files: Files, local_root: Path, tmp_path: Path
) -> None:
    if why := missing(mode):
        pytest.skip(why)
    attacks = prey.attacks()
    source = textwrap.dedent(HOSTILE).replace("@ATTACKS@", attacks)
    (tmp_path / "hostile.py").write_text(source)
    code = files.add("hostile.py", source.encode())
    model = files.run("hostile.pkl", _SAVE, str(tmp_path))
    harness = local_harness(files, local_root, mode)
    driven = harness.driven("hostile")
    spec = Spec.load(
        {
            "model": {"artifact": model},
            "code": {"artifact": code},
            "execution": "original",  # another child would be refused the same
            "hosting": {"memory_mb": MEMORY_MB, "processes": 1},
        }
    )
    outputs = driven.deploy(spec)
    names = [line.split(":")[0].strip(" '\"") for line in attacks.split("lambda")]
    for key in ("image", "function"):
        log = text_of(driven, driven.resource(spec, key))
        assert "TAKEN" not in log, log
        assert log.count(": refused") == len(names) - 1, log
    assert prey.visits == 0
    with pytest.raises(TimeoutError):
        prey.udp.recv(1)
    assert prey.bystander.poll() is None
    # Shut in as it is, it answers, and its answers are cached.
    headers = {"x-functions-key": driven.resource(spec, "function").secrets(driven.context())["key"]}
    answers = [
        httpx.post(str(outputs["function"]["url"]), json={"data": [[1.0, 2.0]]}, headers=headers) for _ in range(2)
    ]
    assert [answer.json() for answer in answers] == [[0], [0]]
    assert [answer.headers["x-cache"] for answer in answers] == ["MISS", "HIT"]
    driven.destroy()


@pytest.mark.parametrize(
    ("mode", "abi", "reached"),
    [
        ("bubblewrap", 0, True),
        ("bubblewrap", 3, True),
        ("landlock", 3, False),
        ("landlock", 4, True),
        ("none", 0, True),
    ],
)
def test_a_cache_is_given_up_where_all_connections_would_have_to_be_allowed(
    mode: sandbox.Mode, abi: int, reached: bool
) -> None:
    job = {"id": "1", "cache_socket": "/run/redis.sock", "cache_port": 6379}
    served = within_reach(job, mode, abi)
    assert served == (job if reached else {"id": "1", "cache_socket": "", "cache_port": 0})
    assert ("without their cache" in sandbox.explain(mode, abi)) is not reached


def test_a_function_does_not_outlive_its_supervisor(harness: LocalHarness) -> None:
    driven = harness.driven()
    driven.deploy(harness.spec(cache={"policy": "off"}))
    process = holder(harness.folder(driven, "function"))
    assert process is not None
    servers = [child for child in process.children(recursive=True) if "scoring" in command_of(child)]
    assert servers
    process.kill()
    for server in servers:
        server.wait(5)
    driven.destroy()


def test_processes_of_one_function_have_threads_enough_together(tmp_path: Path) -> None:
    """As many processes as a function has at a hand-over, each with as many threads as libraries may start."""
    program = textwrap.dedent("""
        import sys, threading
        threading.stack_size(256 * 1024)
        for _ in range(100):
            threading.Thread(target=sys.stdin.read, daemon=True).start()
        print("started", flush=True)
        sys.stdin.buffer.raw.read()
    """)
    job = {"package": str(tmp_path), "python": sys.executable, "memory_mb": 1024, "processes": 1, "owner": "threads"}
    mode = sandbox.choose("auto")
    argv = sandbox.command(mode, confinement_of(job), [sys.executable, "-c", program], cwd=Path("/"))
    started = [
        subprocess.Popen(
            argv, env=sandbox.scrubbed_environment(mode, {}), stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        for _ in range(4)
    ]
    try:
        assert [process.stdout.readline() for process in started if process.stdout] == ["started\n"] * 4
    finally:
        for process in started:
            process.kill()
            process.communicate()


def command_of(process: psutil.Process) -> list[str]:
    """Its command line; nothing of one that has ended."""
    try:
        return process.cmdline()
    except psutil.Error:
        return []


def test_nothing_of_the_workers_environment_reaches_a_child(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SCORING_SECRET_OF_ANOTHER_TEAM", "MARKER")
    environment = sandbox.scrubbed_environment("landlock", {"SCORING_ROOT": "/package"})
    assert "MARKER" not in environment.values()
    assert set(environment) & set(os.environ) <= {
        "PATH", "LANG", "HOME", "PYTHONUNBUFFERED", "PYTHONDONTWRITEBYTECODE", "PYTHONNOUSERSITE",
        "MALLOC_ARENA_MAX", "OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "JOBLIB_MULTIPROCESSING",
    }  # fmt: skip
