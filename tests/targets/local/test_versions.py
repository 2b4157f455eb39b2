"""The scikit-learn version is found in the bytes of a model, however it was saved, without opening it."""

import bz2
import gzip
import lzma
import subprocess
import sys
import zlib
from collections.abc import Callable
from importlib import metadata
from pathlib import Path

import pytest

from deployments.targets.local import versions
from deployments.targets.local.versions import needs_numpy_2, scikit_learn_version

OWN = metadata.version("scikit-learn")

_SAVE = """
import bz2, gzip, pickle, sys
import joblib
import skops.io
import zipfile
from sklearn.dummy import DummyClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
folder = sys.argv[1]
model = make_pipeline(StandardScaler(), DummyClassifier()).fit([[0.0], [1.0]], [0, 1])
for protocol in range(6):
    pickle.dump(model, open(f"{folder}/protocol{protocol}.pkl", "wb"), protocol=protocol)
joblib.dump(model, f"{folder}/plain.joblib")
for method in ("zlib", "gzip", "bz2", "lzma", "xz"):
    joblib.dump(model, f"{folder}/{method}.joblib", compress=(method, 3))
skops.io.dump(model, f"{folder}/plain.skops")
skops.io.dump(model, f"{folder}/deflated.skops", compression=zipfile.ZIP_DEFLATED)
"""
NAMES = [
    *(f"protocol{number}.pkl" for number in range(6)),
    *(f"{name}.joblib" for name in ("plain", "zlib", "gzip", "bz2", "lzma", "xz")),
    *(f"{name}.skops" for name in ("plain", "deflated")),
]


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("saved")
    subprocess.run([sys.executable, "-c", _SAVE, str(folder)], check=True)
    return folder


@pytest.mark.parametrize("name", NAMES)
def test_every_way_of_saving(saved: Path, name: str) -> None:
    assert scikit_learn_version(saved / name) == OWN


def test_numpy_2_is_recognised(saved: Path) -> None:
    assert needs_numpy_2(saved / "plain.joblib")


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"nothing of the kind",
        b"\x1f\x8b broken",
        b"x\x9c broken",
        b"BZh broken",
        b"\xfd7zXZ broken",
        b"]\x00\x00",
        b"PK\x03\x04 broken",
    ],
)
def test_a_file_that_does_not_say_or_is_damaged(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "model"
    path.write_bytes(content)
    assert scikit_learn_version(path) == ""


@pytest.mark.parametrize("pack", [gzip.compress, bz2.compress, lzma.compress, zlib.compress])
def test_a_bomb_is_left_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, pack: Callable[[bytes], bytes]) -> None:
    monkeypatch.setattr(versions, "MAX_BYTES", 1024 * 1024)
    path = tmp_path / "bomb"
    path.write_bytes(pack(b"\0" * 20_000_000 + b"_sklearn_version\x94\x8c\x051.2.3"))
    assert scikit_learn_version(path) == ""


def test_a_version_across_two_pieces(tmp_path: Path) -> None:
    path = tmp_path / "model"
    path.write_bytes(b"\0" * (1024 * 1024 - 8) + b"_sklearn_version\x94\x8c\x051.2.3\x94")
    assert scikit_learn_version(path) == "1.2.3"
