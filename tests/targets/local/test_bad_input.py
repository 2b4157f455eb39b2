"""What people get wrong: each fails its step with words that help, and a retry after the cure succeeds."""

import os
import socket
import subprocess
import time
import zipfile
from collections.abc import Iterator
from io import BytesIO
from pathlib import Path

import httpx
import pytest

from deployments.domain.errors import ConsoleError, SpecInvalid, Unavailable
from deployments.domain.resources import Broken
from deployments.domain.spec import Spec
from deployments.targets.local.config import LocalConfig
from deployments.targets.local.ports import known_port
from deployments.targets.local.target import LocalTarget
from tests.targets.contract import assert_nothing_left
from tests.targets.driving import Driven, Failed

from .conftest import SAVE_BY_CODE, SCORING_ROOT, Files, LocalHarness, local_harness

_DICT = "import pickle, sys; pickle.dump({'weights': [1, 2]}, open(sys.argv[1], 'wb'))"
_MISSING_PACKAGE = """
    import pickle, sys, types
    module = types.ModuleType("xgboost")
    class XGBClassifier: pass
    XGBClassifier.__module__, XGBClassifier.__qualname__ = "xgboost", "XGBClassifier"
    module.XGBClassifier = XGBClassifier
    sys.modules["xgboost"] = module
    pickle.dump(XGBClassifier(), open(sys.argv[1], "wb"))
"""
FEATURES = b"""
class Features:
    n_features_in_ = 1

    def fit(self, X, y=None):
        return self

    def predict(self, X):
        return [float(row[0]) * 2 for row in X]
"""
_MAIN = """
    import pickle, sys
    class Scaler:
        def predict(self, X): return X
    pickle.dump(Scaler(), open(sys.argv[1], "wb"))
"""


def failure(driven: Driven, spec: Spec) -> Failed:
    with pytest.raises(Failed) as caught:
        driven.bring(driven.resource(spec, "image"))
    error = caught.value.error
    assert error.message
    assert error.cause
    assert error.action
    return caught.value


def image_spec(model: str, **more: object) -> Spec:
    return Spec.load({"model": {"artifact": model}, "cache": {"policy": "off"}, "execution": "original", **more})


@pytest.fixture
def driven(harness: LocalHarness) -> Iterator[Driven]:
    made = harness.driven("bad")
    yield made
    made.destroy()


def test_a_truncated_file(driven: Driven, files: Files, iris: str) -> None:
    whole = files.get(iris).path.read_bytes()
    cut = files.add("cut.joblib", whole[: len(whole) // 2])
    error = failure(driven, image_spec(cut)).error
    assert error.code == "truncated"
    driven.bring(driven.resource(image_spec(iris), "image"))  # the cure: the whole file


def test_a_pickle_of_a_dict(driven: Driven, files: Files) -> None:
    error = failure(driven, image_spec(files.run("dict.pkl", _DICT))).error
    assert error.code in ("not_a_model", "no_method")
    assert "dict" in error.message


def test_a_class_of_the_training_script(driven: Driven, files: Files) -> None:
    error = failure(driven, image_spec(files.run("main.pkl", _MAIN))).error
    assert "Scaler" in error.message
    assert "__main__" in f"{error.message} {error.cause}"


def test_a_missing_package_is_named_and_offered(driven: Driven, files: Files) -> None:
    error = failure(driven, image_spec(files.run("xgb.pkl", _MISSING_PACKAGE))).error
    assert error.code == "missing_module"
    assert error.fix == {"field": "runtime.requirements", "add": "xgboost"}


def test_a_missing_helper_is_offered_as_code_and_then_works(driven: Driven, files: Files) -> None:
    model = files.run("doubler.pkl", SAVE_BY_CODE, f"Features:{FEATURES.decode()}")
    error = failure(driven, image_spec(model)).error
    assert error.fix == {"field": "code", "add": "features.py"}
    cured = image_spec(
        model,
        code={"artifact": files.add("features.py", FEATURES)},
        trigger={"kind": "http", "auth_level": "anonymous"},
    )
    outputs = driven.deploy(cured)
    answer = httpx.post(str(outputs["function"]["url"]), json={"data": [[4]]})
    assert (answer.status_code, answer.json()) == (200, [8.0])


@pytest.mark.parametrize("name", ["../../evil.py", "/etc/evil.py"])
def test_an_archive_that_climbs_out(driven: Driven, files: Files, iris: str, name: str) -> None:
    packed = BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        archive.writestr(name, "print('out')")
    code = files.add("code.zip", packed.getvalue())
    error = failure(driven, image_spec(iris, code={"artifact": code})).error
    assert error.code == "code_archive"


def test_a_fault_of_the_console_itself_is_told_as_one(driven: Driven, harness: LocalHarness, files: Files) -> None:
    wheel = files.add("a\0.whl", b"under a name that no form lets through")
    spec = harness.spec(runtime={"wheels": [wheel]})
    error = failure(driven, spec).error
    assert error.code == "console_fault"
    assert "Traceback" in error.raw


def test_a_stored_file_that_changed(driven: Driven, files: Files) -> None:
    model = files.add("changed.pkl", b"what was uploaded")
    files.get(model).path.write_bytes(b"what is there now")
    assert failure(driven, image_spec(model)).error.code == "artifact_changed"


def test_a_stranger_on_the_port_of_the_function(driven: Driven, harness: LocalHarness) -> None:
    spec = harness.spec(cache={"policy": "off"})
    driven.deploy(spec)
    folder = harness.folder(driven, "function")
    port = known_port(folder)
    resource = driven.resource(spec, "function")
    harness.break_it(driven, resource)
    driven.until(resource, Broken)
    with socket.socket() as stranger:
        stranger.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        wait_for_port(stranger, port)
        with pytest.raises(Failed) as caught:
            driven.bring(resource)
        assert caught.value.error.code == "port_in_use"
        assert str(port) in caught.value.error.message
    driven.bring(resource)  # the stranger has gone
    assert driven.outputs["function"]["port"] == port


def test_a_stranger_on_a_port_that_nobody_knows_yet(driven: Driven, harness: LocalHarness) -> None:
    from_state = harness.folder(driven, "cache")
    resource = driven.resource(harness.spec(), "cache")
    resource.create(driven.context())
    driven.bring(resource)
    port = known_port(from_state)
    driven.remove("cache")
    from_state.make()
    with socket.create_server(("127.0.0.1", 0)) as stranger:
        taken = stranger.getsockname()[1]
        from_state.state.write_text(f'{{"port": {taken}, "confirmed": false}}')
        driven.bring(resource)
        assert driven.outputs["cache"]["port"] not in (taken, None)
    assert port


def test_redis_that_cannot_start(driven: Driven, harness: LocalHarness, monkeypatch: pytest.MonkeyPatch) -> None:
    resource = driven.resource(harness.spec(), "cache")
    monkeypatch.setenv("REDIS_SERVER", "/nowhere/redis-server")
    with pytest.raises(Unavailable) as missing:
        driven.bring(resource)
    assert missing.value.detail.code == "no_redis_server"
    monkeypatch.setenv("REDIS_SERVER", "/bin/false")
    with pytest.raises(Failed) as caught:
        driven.bring(resource)
    assert caught.value.error.code == "cache_start"
    assert "REDIS_SERVER" in caught.value.error.action
    monkeypatch.delenv("REDIS_SERVER")
    driven.bring(resource)


@pytest.mark.skipif(os.getuid() != 0, reason="only root can mount a small disk")
def test_a_full_disk(files: Files, tmp_path: Path) -> None:
    disk = tmp_path / "disk"
    disk.mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=256k", "tmpfs", str(disk)], check=False).returncode:
        pytest.skip("this container may not mount")
    try:
        harness = local_harness(files, disk)
        driven = harness.driven("full")
        filler = disk / "filler"
        filler.write_bytes(b"x" * 150_000)
        assert failure(driven, harness.spec()).error.code == "disk_full"
        subprocess.run(["mount", "-o", "remount,size=64m", str(disk)], check=True)
        driven.bring(driven.resource(harness.spec(), "image"))
        driven.destroy()
        assert_nothing_left(harness, driven)
    finally:
        subprocess.run(["umount", "--lazy", str(disk)], check=True)


def test_what_the_local_target_refuses(tmp_path: Path) -> None:
    target = LocalTarget(LocalConfig(root=tmp_path, scoring_root=SCORING_ROOT))
    model = {"artifact": "0" * 64}
    for field, data in {
        "model.registered": {"model": {"registered": {"workspace": "w", "name": "m"}}},
    }.items():
        with pytest.raises(SpecInvalid) as caught:
            target.check(Spec.load(data))
        assert [path for path, _ in caught.value.problems] == [field]
    off = LocalTarget(LocalConfig(root=tmp_path, scoring_root=SCORING_ROOT, enabled=False))
    with pytest.raises(ConsoleError, match="does not run models"):
        off.check(Spec.load({"model": model}))


def test_what_was_half_removed_is_removed_by_the_next_destroy(driven: Driven, harness: LocalHarness) -> None:
    resource = driven.resource(harness.spec(), "cache")
    driven.bring(resource)
    mark = harness.folder(driven, "cache").ending
    mark.touch()
    long_ago = time.time() - 60
    os.utime(mark, (long_ago, long_ago))  # a removal began then, and its process died
    assert isinstance(resource.observe(driven.context()), Broken)
    driven.remove("cache")
    assert_nothing_left(harness, driven)


def wait_for_port(stranger: socket.socket, port: int) -> None:
    """Bind and listen as soon as the killed server has left the port."""
    for _ in range(100):
        try:
            stranger.bind(("127.0.0.1", port))
        except OSError:
            subprocess.run(["sleep", "0.1"], check=True)
        else:
            stranger.listen(1)
            return
    raise AssertionError(f"port {port} was never free")
