"""Blobs in a Blob service instead of a folder: with Azurite, where it is installed."""

import base64
import json
import os
import shutil
import socket
import subprocess
from collections.abc import Iterator
from dataclasses import replace

import pytest

from deployments.domain.arrivals import Arrival, Fate, FateState
from deployments.domain.blob_paths import POISON
from deployments.targets.local.azure_blobs import AzureBlobs
from deployments.targets.local.blob_folder import Changed, StoreAway
from deployments.targets.local.target import LocalTarget
from deployments.targets.local.trigger import LocalTrigger
from tests.targets.contract import assert_nothing_left
from tests.targets.driving import text_of

from .conftest import LocalHarness
from .test_triggers import eventually

_KEY = base64.b64encode(b"a key of this test alone").decode()


def free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])


@pytest.fixture(scope="module")
def connection(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    program = os.environ.get("AZURITE_BLOB") or shutil.which("azurite-blob")
    if program is None:
        pytest.skip("Azurite is not installed: npm install --global azurite, or name azurite-blob in AZURITE_BLOB")
    port = free_port()
    process = subprocess.Popen(
        [
            *(program, "--blobPort", str(port), "--location", str(tmp_path_factory.mktemp("azurite"))),
            *("--silent", "--skipApiVersionCheck", "--disableTelemetry"),
        ],
        env={"PATH": os.environ["PATH"], "AZURITE_ACCOUNTS": f"test:{_KEY}"},
        stdout=subprocess.DEVNULL,
    )
    yield (
        f"DefaultEndpointsProtocol=http;AccountName=test;AccountKey={_KEY};BlobEndpoint=http://127.0.0.1:{port}/test;"
    )
    process.kill()
    process.wait()


@pytest.fixture(scope="module")
def service(connection: str) -> AzureBlobs:
    found = AzureBlobs(connection)

    def is_up() -> bool:
        try:
            found.make("ready")
        except StoreAway:
            return False
        return True

    eventually(is_up)
    return found


def test_a_version_is_read_or_none(service: AzureBlobs) -> None:
    service.make("some")
    first = service.write("some", "deep/er/one.csv", b"1")
    (blob,) = service.blobs("some", [])
    assert (blob.name, blob.etag, blob.size, blob.stable) == ("deep/er/one.csv", first, 1, True)
    assert service.read("some", blob) == b"1"
    assert service.write("some", "deep/er/one.csv", b"22") != first
    with pytest.raises(Changed):
        service.read("some", blob)
    assert service.find("some", "other") is None
    with pytest.raises(StoreAway):
        AzureBlobs("no connection string")


def test_blobs_of_a_service_are_scored_and_poisoned(
    service: AzureBlobs, connection: str, harness: LocalHarness
) -> None:
    target = LocalTarget(replace(harness.target.config, storage=connection))
    fed = LocalHarness(target, harness.files)
    driven = fed.driven("azurite")
    spec = fed.spec(trigger={"kind": "blob", "path_in": "rows/{name}", "path_out": "sums/{name}.json"})
    driven.deploy(spec)
    trigger = driven.resource(spec, "trigger")
    assert isinstance(trigger, LocalTrigger)
    service.write("rows", "deep/one.csv", b"1,2,3,4\n5,6,7,8")
    service.write("rows", "broken.json", b"{")
    answer = eventually(lambda: service.find("sums", "deep/one.csv.json"))
    assert json.loads(service.read("sums", answer)) == [10, 26]
    (told,) = eventually(lambda: list(service.blobs(POISON, [])))
    assert json.loads(service.read(POISON, told))["BlobName"] == "broken.json"
    ticket = trigger.put(driven.context(), Arrival(b"[[1, 2, 3, 4]]"))
    eventually(lambda: trigger.fate(driven.context(), ticket) == Fate(FateState.DONE, b"[10.0]"))
    assert _KEY not in text_of(driven, trigger) + str(driven.outputs) + str(trigger.describe())
    assert trigger.secrets(driven.context()) == {"storage": connection}
    driven.destroy()
    assert_nothing_left(fed, driven)
    assert service.find("sums", "deep/one.csv.json") is not None  # what is in the service is not ours to remove
