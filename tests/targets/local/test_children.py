"""Children that outlive the worker: one of each, whatever is killed when, and all of them ended in the end."""

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from deployments.targets.local import children
from deployments.targets.local.children import Phase, holder, look, spawn, stop_all
from deployments.targets.local.folders import Folder, read_json, write_json
from deployments.targets.local.redis_child import connect
from tests.targets.contract import assert_nothing_left

from .conftest import Files, LocalHarness, local_harness

SLEEP = [sys.executable, "-c", "import time; print('up', flush=True); time.sleep(600)"]
STUBBORN = [
    sys.executable,
    "-c",
    "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('up', flush=True); time.sleep(600)",
]


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Folder]:
    yield Folder(tmp_path / "thing-abcdefgh" / "part")
    stop_all(tmp_path)


def until(folder: Folder, phase: Phase, seconds: float = 30) -> None:
    deadline = time.monotonic() + seconds
    while look(folder).phase != phase:
        assert time.monotonic() < deadline, f"{look(folder).phase}, not {phase}"
        time.sleep(0.02)


def start(folder: Folder, argv: list[str] = SLEEP) -> None:
    spawn(folder, argv=argv, job={"fingerprint": "f"}, env=children.plain_environment())


def pids_of(folder: Folder) -> list[int]:
    """Every process whose working folder it is: the children of the folder."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                target = (entry / "cwd").readlink()
            except OSError:
                continue
            if target == folder.path:
                found.append(int(entry.name))
    return found


def test_a_child_is_found_again_by_another_process(folder: Folder) -> None:
    start(folder)
    until(folder, Phase.RUNNING)
    program = (
        "import sys; from pathlib import Path; from deployments.targets.local.children import look;"
        "from deployments.targets.local.folders import Folder; print(look(Folder(Path(sys.argv[1]))).phase)"
    )
    seen = subprocess.run(
        [sys.executable, "-c", program, str(folder.path)], capture_output=True, text=True, check=True,
        env={"PYTHONPATH": str(children.CHECKOUT)},
    )  # fmt: skip
    assert seen.stdout.strip() == "running"


def test_a_second_start_of_the_same_job_makes_no_second_child(folder: Folder) -> None:
    start(folder)
    job = read_json(folder.job)["id"]
    launcher = [sys.executable, "-m", "deployments.targets.local.launch", "start", str(folder.path), job]
    for _ in range(3):
        subprocess.run(launcher, check=True, env={"PYTHONPATH": str(children.CHECKOUT)}, stdin=subprocess.DEVNULL)
    until(folder, Phase.RUNNING)
    time.sleep(1)
    assert len(pids_of(folder)) == 1


def test_a_new_job_replaces_the_child_even_a_stubborn_one(folder: Folder) -> None:
    start(folder, STUBBORN)
    until(folder, Phase.RUNNING)
    first = holder(folder)
    assert first is not None
    start(folder)
    until(folder, Phase.STARTING)
    until(folder, Phase.RUNNING)
    second = holder(folder)
    assert second is not None
    assert second.pid != first.pid
    assert pids_of(folder) == [second.pid]


def test_a_worker_killed_before_it_started_the_launcher_leaves_nothing(folder: Folder) -> None:
    folder.make()
    write_json(folder.job, {"id": "never", "argv": SLEEP, "spawned_at": time.time()})
    assert look(folder).phase == Phase.STARTING
    until(folder, Phase.ABSENT, seconds=children.CRASH_WINDOW + 2)
    start(folder)
    until(folder, Phase.RUNNING)
    assert len(pids_of(folder)) == 1


def test_a_child_killed_from_outside_has_ended(folder: Folder) -> None:
    start(folder)
    until(folder, Phase.RUNNING)
    process = holder(folder)
    assert process is not None
    os.kill(process.pid, signal.SIGKILL)
    until(folder, Phase.ENDED)
    start(folder)
    until(folder, Phase.RUNNING)


def test_a_reused_pid_is_not_taken_for_the_child(folder: Folder) -> None:
    start(folder)
    until(folder, Phase.RUNNING)
    child = read_json(folder.child)
    write_json(folder.child, {**child, "started": child["started"] - 1_000})
    assert holder(folder) is None
    write_json(folder.child, child)
    assert holder(folder) is not None


def test_end_takes_child_and_folder_away(folder: Folder) -> None:
    start(folder, STUBBORN)
    until(folder, Phase.RUNNING)
    before = time.monotonic()
    children.end(folder)
    assert time.monotonic() - before < 1
    until(folder, Phase.ABSENT)
    assert pids_of(folder) == []
    assert not folder.path.exists()


def test_stop_all_ends_even_the_stubborn_and_keeps_the_folders(folder: Folder, tmp_path: Path) -> None:
    start(folder, STUBBORN)
    until(folder, Phase.RUNNING)
    before = time.monotonic()
    assert stop_all(tmp_path) == 1
    assert time.monotonic() - before < 12
    assert look(folder).phase == Phase.ENDED
    assert pids_of(folder) == []


def test_what_was_stopped_comes_back_with_its_port_key_and_data(harness: LocalHarness) -> None:
    driven = harness.driven("back")
    outputs = dict(driven.deploy(harness.spec()))
    cache = driven.resource(harness.spec(), "cache")
    function = driven.resource(harness.spec(), "function")
    known = (dict(cache.secrets(driven.context())), dict(function.secrets(driven.context())))
    with connect(harness.folder(driven, "cache")) as client:
        client.set("kept", "yes")
    stop_all(harness.target.config.root)
    driven.deploy(harness.spec())
    assert driven.outputs == outputs
    assert (dict(cache.secrets(driven.context())), dict(function.secrets(driven.context()))) == known
    with connect(harness.folder(driven, "cache")) as client:
        assert client.get("kept") == "yes"
    driven.destroy()
    assert_nothing_left(harness, driven)


def test_more_memory_for_a_cache_is_given_in_place(harness: LocalHarness) -> None:
    driven = harness.driven("grow")
    driven.bring(driven.resource(harness.spec(), "cache"))
    process = holder(harness.folder(driven, "cache"))
    with connect(harness.folder(driven, "cache")) as client:
        client.set("kept", "yes")
    driven.bring(driven.resource(harness.spec(cache={"max_memory_mb": 40}), "cache"))
    assert holder(harness.folder(driven, "cache")) == process
    with connect(harness.folder(driven, "cache")) as client:
        assert client.get("kept") == "yes"
        assert client.config_get("maxmemory")["maxmemory"] == str(40 * 1024 * 1024)
        assert client.config_get("maxmemory-policy")["maxmemory-policy"] == "allkeys-lfu"
    driven.destroy()


def test_supervisor_and_trigger_end_when_their_folders_are_deleted(files: Files, tmp_path: Path) -> None:
    harness = local_harness(files, tmp_path)
    trigger = {"kind": "blob", "path_in": "rows/{name}", "path_out": "sums/{name}"}
    driven = harness.driven("deleted")
    driven.deploy(harness.spec(trigger=trigger, cache={"policy": "off"}))
    held = [holder(harness.folder(driven, key)) for key in ("function", "trigger")]
    family = [process for found in held if found for process in (found, *found.children(recursive=True))]
    assert all(held)
    shutil.rmtree(harness.folder(driven, "function").path.parent)
    _, left = psutil.wait_procs(family, timeout=20)
    assert not left
    assert harness.leftovers(driven) == []
