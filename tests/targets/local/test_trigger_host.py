"""The trigger host by itself, with a function that answers as each test wants and a queue of its own."""

import json
import subprocess
import threading
import time
from base64 import b64decode, b64encode
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
import redis

from deployments.targets.local.bus import Message, Queue
from deployments.targets.local.children import module_command, plain_environment
from deployments.targets.local.folders import Folder, read_json, write_atomic, write_json
from deployments.targets.local.logs import tail
from deployments.targets.local.redis_child import connect
from deployments.targets.local.trigger_host import STATUS
from tests.scoring.processes import Redis

from .test_triggers import eventually

CHECKOUT = Path(__file__).resolve().parents[3]
BLOB = {"kind": "blob", "path_in": "rows/{name}.csv", "path_out": "sums/{name}.json"}
QUEUE = {"kind": "service_bus", "queue_in": "rows", "queue_out": "sums"}
SECRET = "4711-secret"
NOT_NOW = 503, {"error": {"code": "overloaded", "message": "Too many.", "hint": "Later."}}


class Stub:
    """A function: `answer` says for each content what to answer, None to break off as a crash does."""

    def __init__(self) -> None:
        self.seen: list[bytes] = []
        self.at_once = 0
        self.together: list[tuple[bytes, int]] = []
        self.lock = threading.Lock()
        self.answer: Callable[[bytes], tuple[int, Any] | None] = lambda content: (200, output(content))
        stub = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                self.give(200, {})

            def do_POST(self) -> None:
                body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                content = b64decode(body["Data"]["input"])
                with stub.lock:
                    stub.at_once += 1
                    stub.seen.append(content)
                time.sleep(0.05)
                found = stub.answer(content)
                with stub.lock:
                    stub.together.append((content, stub.at_once))
                    stub.at_once -= 1
                if found is not None:
                    self.give(*found)

            def give(self, status: int, told: Any) -> None:
                body = json.dumps(told).encode()
                self.send_response(status)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: Any) -> None:
                """Nothing: the test says what it wants to know."""

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=self.server.serve_forever, daemon=True).start()


def output(content: bytes) -> Any:
    return {"Outputs": {"output": b64encode(content).decode()}, "Logs": []}


class Hosted:
    """A host process, its folders, and what it talks to."""

    def __init__(self, root: Path, trigger: dict[str, Any]) -> None:
        self.trigger, self.function, self.queue = (Folder(root / key) for key in ("trigger", "function", "queue"))
        for folder in (self.trigger, self.function, self.queue):
            folder.make()
        self.stub = Stub()
        write_json(self.function.state, {"port": self.stub.server.server_address[1]})
        write_atomic(self.function.path / "key", "k")
        self.job = {
            "id": "1",
            "trigger": trigger,
            "function": "score",
            "function_folder": str(self.function.path),
            "queue_folder": str(self.queue.path),
            "most_bytes": 1000,
        }
        write_json(self.trigger.job, self.job)

    def start(self) -> None:
        self.process = subprocess.Popen(
            module_command("trigger_host", str(self.trigger.path)),
            env={**plain_environment(), "PYTHONPATH": str(CHECKOUT)},
            cwd=self.trigger.path,
        )
        eventually(lambda: "Listening." in self.log())

    def stop(self) -> None:
        self.process.terminate()
        self.process.wait(10)
        self.stub.server.shutdown()
        self.stub.server.server_close()

    def log(self) -> str:
        return "\n".join(tail(self.trigger.logs, 1_000))

    def status(self) -> dict[str, Any]:
        return read_json(self.trigger.path / STATUS)

    @property
    def rows(self) -> Queue:
        return Queue(self.client, "rows")

    @property
    def sums(self) -> Queue:
        return Queue(self.client, "sums")

    @property
    def client(self) -> redis.Redis:
        return connect(self.queue, texts=False, seconds=10)


@pytest.fixture
def blobs(short_path: Path) -> Iterator[Hosted]:
    hosted = Hosted(short_path, BLOB)
    hosted.start()
    yield hosted
    hosted.stop()


@pytest.fixture
def messages(short_path: Path) -> Iterator[Hosted]:
    hosted = Hosted(short_path, QUEUE)
    hosted.queue.sockets.mkdir()
    server = Redis(short_path, f"unixsocket {hosted.queue.sockets / 'redis.sock'}", "maxmemory-policy noeviction")
    hosted.start()
    yield hosted
    hosted.stop()
    server.kill()


def test_what_a_script_refuses_holds_up_nobody(messages: Hosted) -> None:
    """As packages from before answer, whose scripts' statuses reach the host."""
    no = {"message": "no"}
    messages.stub.answer = lambda content: (int(content), no) if content.isdigit() else (200, output(b"ok"))
    for status in (401, 404, 503, 401, 404):
        messages.rows.send(Message(str(status).encode(), message_id=f"m{status}"))
    messages.rows.send(Message(b"good"))
    eventually(lambda: messages.rows.tally().done == 1)
    eventually(lambda: messages.rows.tally().poisoned == 4, seconds=30)
    assert {letter.message.message_id for letter in messages.rows.dead_letters()} == {"m401", "m404"}
    assert "m503" in messages.log()


def test_a_function_that_is_overloaded_is_not_asked_all_the_time(messages: Hosted) -> None:
    messages.stub.answer = lambda content: NOT_NOW
    for number in range(4):
        messages.rows.send(Message(b"%d" % number))
    time.sleep(3)
    asked = len(messages.stub.seen)
    assert 4 <= asked <= 24, asked
    messages.stub.answer = lambda content: (200, output(content))
    eventually(lambda: messages.rows.tally().done == 4)
    assert messages.rows.tally().poisoned == 0


def test_what_ends_the_function_takes_no_other_along(messages: Hosted) -> None:
    """The function ends, and with it all that is under way in it, as long as the poison is among them."""

    def answer(content: bytes) -> tuple[int, Any] | None:
        with messages.stub.lock:
            taken_along = messages.stub.at_once > 1 and b"poison" in messages.stub.seen[-4:]
        return None if content == b"poison" or taken_along else (200, output(b""))

    messages.stub.answer = answer
    for number in range(3):
        messages.rows.send(Message(b"good%d" % number))
    messages.rows.send(Message(b"poison", message_id="poison"))
    eventually(lambda: messages.rows.tally().done == 3, seconds=30)
    eventually(lambda: messages.stub.seen.count(b"poison") >= 4, seconds=30)
    crowds = [crowd for content, crowd in messages.stub.together if content == b"poison"]
    assert crowds[2:] == [1] * len(crowds[2:])


def test_a_queue_that_was_deleted_is_made_anew(messages: Hosted) -> None:
    messages.client.delete("queue:rows")
    messages.rows.send(Message(b"later"))
    eventually(lambda: messages.rows.tally().done == 1)


def test_lasting_trouble_is_told_and_goes_away(messages: Hosted) -> None:
    eventually(lambda: messages.status().get("trouble") == "")
    messages.client.delete("queue:rows")
    messages.client.set("queue:rows", "no stream")
    assert "WRONGTYPE" in eventually(lambda: messages.status().get("trouble"))
    assert messages.log().count("Trying again") <= 3
    messages.client.delete("queue:rows")
    messages.rows.send(Message(b"later"))
    eventually(lambda: messages.rows.tally().done == 1)
    eventually(lambda: messages.status()["trouble"] == "")


def test_a_full_server_lets_what_it_has_be_finished(messages: Hosted) -> None:
    messages.stub.answer = lambda content: NOT_NOW
    for number in range(20):
        messages.rows.send(Message(b"%d" % number * 400))
    messages.client.config_set("maxmemory", 1)
    with pytest.raises(redis.RedisError, match="maxmemory"):
        messages.rows.send(Message(b"one too many"))
    messages.stub.answer = lambda content: (200, output(content))
    eventually(lambda: messages.rows.tally().waiting == 0)
    assert (messages.rows.tally().done, messages.rows.tally().poisoned) == (20, 0)


def test_answers_that_cannot_be_kept_use_up_no_deliveries(messages: Hosted) -> None:
    messages.client.set("queue:sums", "no stream")  # as any answer's write that is refused
    messages.rows.send(Message(b"patient"))
    assert "does not keep" in eventually(lambda: messages.status().get("trouble"))
    assert len(messages.stub.seen) < 12
    messages.client.delete("queue:sums")
    eventually(lambda: messages.rows.tally().done == 1)
    assert messages.rows.tally().poisoned == 0
    (answer,) = messages.sums.messages()
    assert answer.body == b"patient"


def test_no_log_quotes_what_arrived(blobs: Hosted) -> None:
    refusal = {"code": "bad_csv", "message": f"“{SECRET}” is no number.", "hint": "Write numbers.", "at": "line 2"}
    blobs.stub.answer = lambda content: (400, {"error": refusal})
    (blobs.trigger.path / "blobs/rows/a.csv").write_bytes(SECRET.encode())
    eventually(lambda: "poisoned" in blobs.log())
    assert "400 bad_csv line 2" in blobs.log()
    assert SECRET not in blobs.log()
    (told,) = (blobs.trigger.path / "blobs/webjobs-blobtrigger-poison").iterdir()
    assert SECRET in json.loads(told.read_bytes())["Reason"]
