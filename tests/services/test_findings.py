"""What the bytes of a model say, for every way to save one."""

import io
import pickle
import sys
import types
from collections.abc import Callable
from typing import Any

import joblib
import pytest
import sklearn
from sklearn.tree import DecisionTreeClassifier

from deployments.services.findings import findings
from tests import factories

pytestmark = pytest.mark.django_db


@pytest.fixture
def foreign(monkeypatch: pytest.MonkeyPatch) -> Callable[[str], Any]:
    """Makes an object of a class that says it lives in some module."""

    def make(module: str) -> Any:
        home = types.ModuleType(module)
        kind = type("Thing", (), {"__module__": module})
        home.Thing = kind  # type: ignore[attr-defined]
        if module == "__main__":
            monkeypatch.setattr(sys.modules[module], "Thing", kind, raising=False)
        else:
            monkeypatch.setitem(sys.modules, module.partition(".")[0], types.ModuleType("parent"))
            monkeypatch.setitem(sys.modules, module, home)
        return kind()

    return make


def saved(what: Any, *, compress: int = 0) -> Any:
    buffer = io.BytesIO()
    joblib.dump(what, buffer, compress=compress)
    return factories.artifact(buffer.getvalue())


@pytest.mark.parametrize("compress", [0, 3])
def test_a_plain_model_names_its_version_and_nothing_else(compress: int) -> None:
    found = findings(saved(DecisionTreeClassifier().fit([[0], [1]], [0, 1]), compress=compress))
    assert found is not None
    assert found.scikit_learn == sklearn.__version__
    assert found.packages == ()
    assert not found.names_notebook


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_a_package_is_named_as_pip_knows_it(foreign: Callable[[str], Any], protocol: int) -> None:
    found = findings(factories.artifact(pickle.dumps([foreign("imblearn.pipeline")], protocol)))
    assert found is not None
    assert found.packages == ("imbalanced-learn",)


def test_code_of_a_notebook_is_seen(foreign: Callable[[str], Any]) -> None:
    found = findings(saved([foreign("__main__")]))
    assert found is not None
    assert found.names_notebook


def test_a_file_that_is_gone_says_nothing() -> None:
    file = factories.artifact(b"\x80\x04soon gone")
    file.path.unlink()
    assert findings(file) is None
