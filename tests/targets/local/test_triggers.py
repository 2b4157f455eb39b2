"""Blobs and messages for real: what arrives is scored, what fails is tried again, and nothing is lost."""

import json
import os
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from deployments.domain.arrivals import Arrival, Fate, FateState, Tally
from deployments.domain.blob_paths import POISON
from deployments.domain.errors import ConsoleError, NotFound
from deployments.domain.spec import Spec
from deployments.targets.local.bus import MOST_DELIVERIES, Message, Queue
from deployments.targets.local.children import holder
from deployments.targets.local.redis_child import connect
from deployments.targets.local.trigger import LocalTrigger
from tests.targets.driving import Driven, text_of

from .conftest import Files, LocalHarness

_ARRAY = """
    import numpy, sys
    with open(sys.argv[1], "wb") as file:
        numpy.save(file, [[1.0, 2, 3, 4], [5, 6, 7, 8]])
"""


def eventually(condition: Callable[[], Any], *, seconds: float = 60.0) -> Any:
    end = time.monotonic() + seconds
    while not (found := condition()):
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.05)
    return found


def kill(harness: LocalHarness, driven: Driven, key: str) -> None:
    process = holder(harness.folder(driven, key))
    assert process is not None
    os.kill(process.pid, signal.SIGKILL)
    process.wait()


class Fed:
    """A deployment with a trigger."""

    driven: Driven
    spec: Spec

    @property
    def trigger(self) -> LocalTrigger:
        found = self.driven.resource(self.spec, "trigger")
        assert isinstance(found, LocalTrigger)
        return found

    def put(self, content: bytes, **more: Any) -> Fate:
        """What becomes of it when it is put there by the console."""
        ctx = self.driven.context()
        ticket = self.trigger.put(ctx, Arrival(content, **more))
        return eventually(lambda: fate if (fate := self.trigger.fate(ctx, ticket)).state != FateState.WAITING else None)

    def log(self) -> str:
        return text_of(self.driven, self.driven.resource(self.spec, "trigger"))


class Blobs(Fed):
    """A deployment fed by files."""

    def __init__(self, harness: LocalHarness) -> None:
        trigger = {"kind": "blob", "path_in": "rows/{name}.{form}", "path_out": "sums/{name}.{form}.json"}
        self.harness = harness
        self.spec = harness.spec(trigger=trigger, input={"max_body_bytes": 20_000})
        self.driven = harness.driven("blobs")
        self.outputs = self.driven.deploy(self.spec)["trigger"]
        self.rows, self.sums = Path(str(self.outputs["folder_in"])), Path(str(self.outputs["folder_out"]))

    def drop(self, name: str, content: bytes) -> None:
        path = self.rows / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)

    def answers(self) -> dict[str, Any]:
        files = [path for path in self.sums.rglob("*") if path.is_file()]
        return {str(path.relative_to(self.sums)): json.loads(path.read_bytes()) for path in files}

    def poisoned(self) -> dict[str, str]:
        told = [json.loads(path.read_bytes()) for path in (self.rows.parent / POISON).glob("*.json")]
        return {record["BlobName"]: record["Reason"] for record in told}


class Messages(Fed):
    """A deployment fed by a queue."""

    def __init__(self, harness: LocalHarness) -> None:
        self.harness = harness
        self.spec = harness.spec(trigger={"kind": "service_bus", "queue_in": "rows", "queue_out": "sums"})
        self.driven = harness.driven("messages")
        self.outputs = self.driven.deploy(self.spec)

    def queue(self, name: str) -> Queue:
        return Queue(connect(self.harness.folder(self.driven, "queue"), texts=False, seconds=10), name)

    def send(self, rows: Any, **more: Any) -> None:
        self.queue("rows").send(Message(rows if isinstance(rows, bytes) else json.dumps(rows).encode(), **more))


@pytest.fixture(scope="module")
def blobs(harness: LocalHarness) -> Iterator[Blobs]:
    made = Blobs(harness)
    yield made
    made.driven.destroy()


@pytest.fixture(scope="module")
def messages(harness: LocalHarness) -> Iterator[Messages]:
    made = Messages(harness)
    yield made
    made.driven.destroy()


def test_files_of_every_form_are_scored_and_broken_ones_put_aside(blobs: Blobs, files: Files, tmp_path: Path) -> None:
    array = files.get(files.run("rows.npy", _ARRAY)).path.read_bytes()
    outside = tmp_path / "outside.csv"
    outside.write_bytes(b"9,9,9,9\n")
    (blobs.rows / "link.csv").symlink_to(outside)
    (blobs.rows / ".hidden.csv").write_bytes(b"9,9,9,9\n")
    blobs.drop("no-form", b"9,9,9,9\n")  # matches no path
    blobs.drop("broken.json", b'{"data": [[1, 2')
    blobs.drop("huge.csv", b"1,2,3,4\n" * 5_000)
    blobs.drop("plain.json", b'{"data": [[1, 2, 3, 4], [5, 6, 7, 8]]}')
    blobs.drop("deep/er/rows.csv", b"1,2,3,4\n5,6,7,8\n")
    blobs.drop("array.npy", array)
    wanted = {"plain.json.json": [10, 26], "deep/er/rows.csv.json": [10, 26], "array.npy.json": [10, 26]}
    eventually(lambda: blobs.answers() == wanted)
    eventually(lambda: blobs.poisoned().keys() == {"broken.json", "huge.csv"})
    assert blobs.poisoned()["broken.json"].startswith("400 bad_json")
    assert "up to 20000" in blobs.poisoned()["huge.csv"]
    eventually(lambda: blobs.trigger.tally(blobs.driven.context()) == Tally(waiting=0, done=3, poisoned=2))
    log = blobs.log()
    assert log.count("broken.json") == 5
    assert all("; X-Cache: " in line for line in log.splitlines() if " scored in " in line)
    assert (blobs.rows / "broken.json").exists()  # it stays where it is
    blobs.drop("broken.json", b"[[1, 2, 3, 4]]")  # a new version is a new chance
    eventually(lambda: blobs.answers().get("broken.json.json") == [10])


def test_a_file_that_is_being_written_is_left_until_it_is_whole(blobs: Blobs) -> None:
    path = blobs.rows / "slow.csv"
    with path.open("wb") as file:
        for number in range(12):
            file.write(b"%d,0,0,0\n" % number)
            file.flush()
            time.sleep(0.1)
    assert eventually(lambda: blobs.answers().get("slow.csv.json")) == list(range(12))
    assert blobs.log().count("slow.csv") == 1


def test_an_answer_does_not_follow_a_link_out_of_its_container(blobs: Blobs, tmp_path: Path) -> None:
    (tmp_path / "target").mkdir()
    (blobs.sums / "led").symlink_to(tmp_path / "target")
    blobs.drop("led/away.csv", b"1,2,3,4\n")
    eventually(lambda: "led/away.csv" in blobs.poisoned())
    assert list((tmp_path / "target").iterdir()) == []


def test_a_killed_trigger_loses_no_file_and_scores_none_of_the_old_again(blobs: Blobs) -> None:
    resource = blobs.driven.resource(blobs.spec, "trigger")
    before = blobs.log().count("plain.json")
    for number in range(40):
        blobs.drop(f"many/{number}.csv", b"%d,0,0,0\n" % number)
    eventually(lambda: len(blobs.answers()) > 8)
    kill(blobs.harness, blobs.driven, "trigger")
    assert blobs.driven.bring(resource) == blobs.outputs
    eventually(lambda: all(f"many/{number}.csv.json" in blobs.answers() for number in range(40)))
    assert {name: blobs.answers()[name] for name in ("many/7.csv.json", "many/39.csv.json")} == {
        "many/7.csv.json": [7],
        "many/39.csv.json": [39],
    }
    assert blobs.log().count("plain.json") == before
    blobs.drop("many/7.csv", b"100,0,0,0\n")
    eventually(lambda: blobs.answers()["many/7.csv.json"] == [100])


def test_a_function_that_is_away_uses_up_no_tries(blobs: Blobs) -> None:
    kill(blobs.harness, blobs.driven, "function")
    blobs.drop("patient.csv", b"1,1,1,1\n")
    eventually(lambda: "Waiting: the function" in blobs.log())
    time.sleep(1.5)
    assert "patient.csv" not in blobs.poisoned()
    blobs.driven.bring(blobs.driven.resource(blobs.spec, "function"))
    assert eventually(lambda: blobs.answers().get("patient.csv.json")) == [4]
    assert '"rows/patient.csv" failed' not in blobs.log()


def test_fifty_messages_with_a_poisoned_one_and_kills_in_between(messages: Messages) -> None:
    rows, sums = messages.queue("rows"), messages.queue("sums")
    for number in range(50):
        body = b"not rows" if number == 20 else [[number, 0, 0, 0]]
        messages.send(body, message_id=f"m{number}", content_type="application/json")
    eventually(lambda: len(sums.messages()) > 4)
    kill(messages.harness, messages.driven, "trigger")
    kill(messages.harness, messages.driven, "queue")
    for key in ("queue", "trigger"):
        assert messages.driven.bring(messages.driven.resource(messages.spec, key)) == messages.outputs[key]
    eventually(lambda: rows.tally().poisoned == 1 and rows.tally().waiting == 0)
    answers = {answer.correlation_id: json.loads(answer.body) for answer in sums.messages()}
    assert answers == {f"m{number}": [number] for number in range(50) if number != 20}
    (dead,) = rows.dead_letters()
    assert (dead.message.message_id, dead.message.body) == ("m20", b"not rows")
    assert (dead.reason, dead.message.deliveries) == ("MaxDeliveryCountExceeded", MOST_DELIVERIES)
    assert dead.description.startswith("400 bad_json")
    assert rows.tally().done == 49


def test_a_message_tells_its_form_and_steers_the_cache(messages: Messages) -> None:
    messages.send(b"1,2,3,4", message_id="plain", content_type="text/csv")
    messages.send(b"1,2,3,4", message_id="apart", properties={"Cache-Control": "no-store"})
    eventually(lambda: all(f'"{name}" scored' in messages.log() for name in ("plain", "apart")))
    lines = {name: line for line in messages.log().splitlines() for name in ("plain", "apart") if f'"{name}"' in line}
    assert "X-Cache: MISS" in lines["plain"]
    assert "X-Cache: BYPASS" in lines["apart"]


def test_what_is_under_way_is_finished_when_the_trigger_is_stopped(messages: Messages) -> None:
    for number in range(20):
        messages.send([[number, 1, 0, 0]], message_id=f"stop{number}")
    process = holder(messages.harness.folder(messages.driven, "trigger"))
    assert process is not None
    process.terminate()
    process.wait(10)
    pending = messages.queue("rows")._client.xpending("queue:rows", "host")
    assert pending["pending"] == 0
    messages.driven.bring(messages.driven.resource(messages.spec, "trigger"))
    eventually(lambda: messages.queue("rows").tally().waiting == 0)


def test_what_the_console_puts_there_is_followed_to_its_end(blobs: Blobs, messages: Messages) -> None:
    assert blobs.put(b"1,2,3,4", name="put/by-hand.csv") == Fate(FateState.DONE, b"[10.0]")
    assert blobs.put(b"[[1, 2, 3, 5]]").output == b"[11.0]"
    again = blobs.put(b"nothing", name="put/by-hand.csv")
    assert (again.state, again.output) == (FateState.POISONED, None)
    assert again.reason.startswith("400")
    for name in ("../x.csv", ".x.csv", "a/../b.csv", "a\0b.csv", "nothing", "a//b.csv"):
        with pytest.raises(ConsoleError, match="is no name"):
            blobs.put(b"1,2,3,4", name=name)
    with pytest.raises(ConsoleError, match="longer"):
        blobs.put(b"1" * 20_001)
    for ticket in ("", "0x1-2-3:../../job.csv", "no ticket", "x:" + "a" * 5_000):
        with pytest.raises(NotFound):
            blobs.trigger.fate(blobs.driven.context(), ticket)
    assert messages.put(b"1,2,3,4", content_type="text/csv") == Fate(FateState.DONE, b"[10.0]")
    dead = messages.put(b"{")
    assert (dead.state, dead.reason.partition(":")[0]) == (FateState.POISONED, "MaxDeliveryCountExceeded")
    with pytest.raises(NotFound):
        messages.trigger.fate(messages.driven.context(), "unknown")
