"""A new revision takes over a function's port while requests go on; one that cannot leaves the old one at work."""

import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import httpx
import psutil
import pytest

from deployments.domain.resources import Ready, Resource
from deployments.domain.spec import Spec
from deployments.targets.local.children import holder
from tests.scoring.processes import wait_for
from tests.targets.contract import assert_nothing_left
from tests.targets.driving import PATIENCE, Driven, Failed, text_of

from .conftest import SAVE_BY_CODE, TINY, Files, LocalHarness
from .test_sandbox import command_of

ROW = [5.1, 3.5, 1.4, 0.2]

# Opens while it is described and not in the function, where SCORING_ROOT is set.
MOODY = b"""
import os

class Moody:
    n_features_in_ = 4

    def __setstate__(self, state):
        if "SCORING_ROOT" in os.environ:
            raise RuntimeError("not here")

    def __getstate__(self):
        return {"moody": True}

    def fit(self, X, y=None):
        return self

    def predict(self, X):
        return [0.5 for _ in X]
"""

# As MOODY, but it takes its time in the function.
SLOW = MOODY.replace(b"class Moody", b"class Slow").replace(
    b'raise RuntimeError("not here")', b"__import__('time').sleep(300)"
)


class Caller:
    """Somebody who asks all the time, each time on a new connection."""

    def __init__(self, url: str, key: str) -> None:
        self.statuses: list[int | str] = []
        self._url, self._key = url, key
        self.done = threading.Event()

    def run(self) -> None:
        while not self.done.is_set():
            try:
                answer = httpx.post(self._url, json={"data": [ROW]}, headers={"x-functions-key": self._key}, timeout=10)
                self.statuses.append(answer.status_code)
            except httpx.HTTPError as error:
                self.statuses.append(repr(error))


@contextmanager
def calling(driven: Driven, spec: Spec) -> Iterator[Caller]:
    key = driven.resource(spec, "function").secrets(driven.context())["key"]
    caller = Caller(str(driven.outputs["function"]["url"]), key)
    thread = threading.Thread(target=caller.run)
    thread.start()
    try:
        yield caller
    finally:
        caller.done.set()
        thread.join()


@pytest.mark.parametrize("processes", [1, 2])
def test_no_request_is_lost_when_a_revision_follows(harness: LocalHarness, processes: int) -> None:
    driven = harness.driven("next")
    first = harness.spec(hosting={"processes": processes})
    second = Spec.load({**first.dump(), "model": {**first.dump()["model"], "method": "predict_proba"}})
    before = dict(driven.deploy(first)["function"])
    with calling(driven, first) as caller:
        driven.deploy(second)
        time.sleep(0.5)
    assert set(caller.statuses) == {200}
    assert len(caller.statuses) > 10
    after = driven.outputs["function"]
    assert after["url"] == before["url"]
    assert after["model_version"] != before["model_version"]
    key = driven.resource(second, "function").secrets(driven.context())["key"]
    answer = httpx.post(str(after["url"]), json={"data": [ROW]}, headers={"x-functions-key": key})
    assert len(answer.json()[0]) == 3
    driven.destroy()
    assert_nothing_left(harness, driven)


def test_a_long_prediction_is_finished_while_the_next_revision_answers(harness: LocalHarness, files: Files) -> None:
    source = TINY.replace(b"class Tiny", b"class Patient").replace(
        b"        return [float", b"        __import__('time').sleep(9 if X[0][0] < 0 else 0)\n        return [float"
    )
    driven = harness.driven("patient")
    first = harness.spec(
        model={"artifact": files.run("patient.pkl", SAVE_BY_CODE, f"Patient:{source.decode()}")},
        code={"artifact": files.add("patient.py", source)},
        hosting={"processes": 1, "predict_seconds": 20},
    )
    before = dict(driven.deploy(first)["function"])
    second = Spec.load({**first.dump(), "model": {**first.dump()["model"], "method": "predict_proba"}})
    driven.bring(driven.resource(second, "image"))
    headers = {"x-functions-key": driven.resource(first, "function").secrets(driven.context())["key"]}
    with ThreadPoolExecutor(1) as pool:
        asked = pool.submit(httpx.post, str(before["url"]), json={"data": [[-1, 0, 0, 0]]}, headers=headers, timeout=30)
        time.sleep(0.5)
        driven.bring(driven.resource(second, "function"))
        assert not asked.done()
        answer = httpx.post(str(before["url"]), json={"data": [ROW]}, headers=headers, timeout=30)
        assert len(answer.json()[0]) == 3
        assert asked.result().json() == [-1.0]
    supervisor = holder(harness.folder(driven, "function"))
    assert supervisor is not None
    package = str(Path(str(driven.outputs["image"]["package"])))
    wait_for(lambda: all(package in line for line in scoring_of(supervisor)))
    driven.destroy()
    assert_nothing_left(harness, driven)


def scoring_of(supervisor: psutil.Process) -> list[str]:
    lines = (" ".join(command_of(child)) for child in supervisor.children())
    return [line for line in lines if "scoring" in line]


def test_a_revision_that_cannot_serve_leaves_the_one_before_at_work(harness: LocalHarness, files: Files) -> None:
    driven = harness.driven("stays")
    good = harness.spec()
    driven.deploy(good)
    working = dict(driven.outputs)
    bad = harness.spec(
        model={"artifact": files.run("moody.pkl", SAVE_BY_CODE, f"Moody:{MOODY.decode()}")},
        code={"artifact": files.add("moody.py", MOODY)},
    )
    with calling(driven, good) as caller:
        driven.bring(driven.resource(bad, "image"))
        with pytest.raises(Failed) as caught:
            driven.bring(driven.resource(bad, "function"))
    assert caught.value.error.message
    assert set(caller.statuses) == {200}
    driven.outputs.update(working)
    seen = driven.resource(good, "function").observe(driven.context())
    assert isinstance(seen, Ready)
    assert seen.outputs == working["function"]
    assert "goes on answering" in text_of(driven, driven.resource(good, "function"))
    driven.deploy(good)  # the roll back
    driven.destroy()
    assert_nothing_left(harness, driven)


def test_a_revision_that_is_cancelled_while_it_opens_never_answers(harness: LocalHarness, files: Files) -> None:
    driven = harness.driven("cancel")
    good = harness.spec()
    driven.deploy(good)
    working = dict(driven.outputs)
    slow = harness.spec(
        model={"artifact": files.run("slow.pkl", SAVE_BY_CODE, f"Slow:{SLOW.decode()}")},
        code={"artifact": files.add("slow.py", SLOW)},
    )
    driven.bring(driven.resource(slow, "image"))
    function = driven.resource(slow, "function")
    function.create(driven.context())
    wait_for_log(driven, function, "Another process opens its model")
    unwanted = str(driven.outputs["image"]["package"])
    driven.bring(driven.resource(harness.changed_spec(), "image"))
    assert all(Path(package, "manifest.json").exists() for package in (str(working["image"]["package"]), unwanted))
    function.cancel(driven.context())
    wait_for_log(driven, function, "not wanted any more")
    supervisor = holder(harness.folder(driven, "function"))
    assert supervisor is not None
    running = " ".join(word for child in supervisor.children(recursive=True) for word in command_of(child))
    assert str(working["image"]["package"]) in running
    assert unwanted not in running
    driven.outputs.update(working)
    seen = driven.resource(good, "function").observe(driven.context())
    assert isinstance(seen, Ready)
    assert seen.outputs == working["function"]
    driven.destroy()
    assert_nothing_left(harness, driven)


def wait_for_log(driven: Driven, resource: Resource, words: str) -> None:
    deadline = time.monotonic() + PATIENCE
    while words not in text_of(driven, resource):
        assert time.monotonic() < deadline, text_of(driven, resource)
        time.sleep(0.05)
