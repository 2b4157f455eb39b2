"""The Spec: reads back what it wrote, refuses what it does not know and what cannot be, and says where."""

import copy
import json
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from deployments.domain.errors import SpecInvalid
from deployments.domain.spec import Spec
from tests.domain.specs import specs

MODEL = {"artifact": "a" * 64}
CODE = {"artifact": "b" * 64}


def parts_of(data: Any, path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], dict[str, Any]]]:
    """Every object inside, except the tags, whose keys are free."""
    if isinstance(data, dict) and path != ("tags",):
        yield path, data
        for key, value in data.items():
            yield from parts_of(value, (*path, key))


def problems_of(**parts: Any) -> list[tuple[str, str]]:
    with pytest.raises(SpecInvalid) as caught:
        Spec.load({"model": MODEL, **parts})
    assert caught.value.field == caught.value.problems[0][0]
    assert caught.value.detail.action
    return caught.value.problems


@given(specs())
def test_what_is_dumped_loads_to_the_same(data: dict[str, Any]) -> None:
    spec = Spec.load(data)
    again = Spec.load(json.loads(json.dumps(spec.dump())))
    assert again == spec
    assert again.digest() == spec.digest()


@given(specs())
def test_loading_changes_nothing_it_was_given(data: dict[str, Any]) -> None:
    before = copy.deepcopy(data)
    Spec.load(data)
    assert data == before


@given(specs(), st.data())
def test_the_order_of_keys_makes_no_other_spec(data: dict[str, Any], choose: st.DataObject) -> None:
    shuffled = dict(choose.draw(st.permutations(list(data.items()))))
    assert Spec.load(shuffled).digest() == Spec.load(data).digest()


@given(specs(), st.data())
def test_an_unknown_key_anywhere_is_refused_with_its_path(data: dict[str, Any], choose: st.DataObject) -> None:
    full = Spec.load(data).dump()
    path, part = choose.draw(st.sampled_from([item for item in parts_of(full) if isinstance(item[1], dict)]))
    part["mispelt"] = 1
    with pytest.raises(SpecInvalid) as caught:
        Spec.load(full)
    assert (".".join((*path, "mispelt")), "there is no such field; check its spelling") in caught.value.problems


@given(specs())
def test_every_file_and_every_reference_is_listed(data: dict[str, Any]) -> None:
    spec = Spec.load(data)
    text = json.dumps(spec.dump())
    assert all(f'"{found}"' in text for found in (*spec.artifact_ids(), *spec.secret_refs()))
    assert len(spec.secret_refs()) == text.count('"credentials": "')
    assert len(spec.artifact_ids()) == text.count('"artifact": "') + len(spec.runtime.wheels)


def test_a_model_alone_is_enough() -> None:
    spec = Spec.load({"model": MODEL})
    assert spec.trigger.kind == "http"
    assert spec.cache.policy == "on"


def test_a_spec_cannot_be_changed() -> None:
    with pytest.raises(ValueError, match="frozen"):
        Spec.load({"model": MODEL}).hosting.processes = 2  # type: ignore[misc]


@pytest.mark.parametrize("data", [None, [], "model", 3])
def test_what_is_no_object_is_refused(data: Any) -> None:
    with pytest.raises(SpecInvalid, match="a spec is an object of fields"):
        Spec.load(data)


@pytest.mark.parametrize(
    ("parts", "path", "sentence"),
    [
        ({"model": {}}, "model", "exactly one of artifact"),
        ({"model": {**MODEL, "registered": {"workspace": "w", "name": "n"}}}, "model", "exactly one of artifact"),
        ({"model": {"artifact": "not a digest"}}, "model.artifact", "pattern"),
        ({"model": {**MODEL, "method": "fit"}}, "model.method", "predict_proba"),
        (
            {"model": {**MODEL, "method": "transform"}, "code": {**CODE, "entry_script": "s.py"}},
            "",
            "no meaning with an entry script",
        ),
        ({"execution": "onnx", "code": {**CODE, "entry_script": "s.py"}}, "", "no meaning with an entry script"),
        ({"code": {**CODE, "entry_script": "../s.py"}}, "code.entry_script", "pattern"),
        ({"code": {**CODE, "entry_script": "a/../../s.py"}}, "code.entry_script", "inside the archive"),
        ({"runtime": {"conda": "dependencies: []", "requirements": ["xgboost"]}}, "", "not both"),
        ({"runtime": {"python": "2.7"}}, "runtime.python", "3.11"),
        ({"runtime": {"index": {"url": "http://example.org"}}}, "runtime.index.url", "https"),
        ({"runtime": {"index": {"url": "https://me:pw@example.org"}}}, "runtime.index.url", "pattern"),
        (
            {"runtime": {"index": {"url": "https://example.org", "credentials": "hunter2"}}},
            "runtime.index.credentials",
            "never the secret itself",
        ),
        ({"trigger": {"kind": "timer"}}, "trigger", "http"),
        ({"trigger": {"route": "/score"}}, "trigger", "kind"),
        ({"trigger": {"kind": "http", "route": "/score"}}, "trigger.route", "for example score"),
        ({"trigger": {"kind": "http", "route": "a//b"}}, "trigger.route", "single slashes"),
        ({"trigger": {"kind": "http", "route": "score\n"}}, "trigger.route", "for example score"),
        ({"trigger": {"kind": "http", "route": "healthz"}}, "trigger.route", "used by the host itself"),
        ({"trigger": {"kind": "http", "methods": []}}, "trigger.methods", "at least 1"),
        (
            {"trigger": {"kind": "blob", "path_in": "same/{name}", "path_out": "same/{name}.json"}},
            "trigger",
            "different containers",
        ),
        ({"trigger": {"kind": "service_bus", "queue_in": "q", "queue_out": "q"}}, "trigger", "must differ"),
        ({"cache": {"store_input": "masked"}}, "cache", "name the fields to mask"),
        ({"cache": {"masked_fields": ["name"]}}, "cache", "only has a meaning"),
        ({"cache": {"ttl_seconds": -1}}, "cache.ttl_seconds", "greater than or equal to 0"),
        ({"cache": {"max_memory_mb": 1}}, "cache.max_memory_mb", "greater than or equal to 8"),
        ({"hosting": {"processes": -1}}, "hosting.processes", "greater than or equal to 0"),
        ({"input": {"parameter": "1st"}}, "input.parameter", "pattern"),
        ({"tags": {f"t{number}": "" for number in range(16)}}, "tags", "at most 15"),
        ({"tags": {"a/b": ""}}, "tags", "a/b"),
        ({"tags": {"Scoring-Deployment": "mine"}}, "tags", "the console's own"),
        ({"tags": {"long": "x" * 257}}, "tags", "longer than 256"),
    ],
)
def test_what_cannot_be_is_refused_where_it_is_wrong(parts: dict[str, Any], path: str, sentence: str) -> None:
    found = problems_of(**parts)
    assert [problem for problem in found if problem[0] == path and sentence in problem[1]], found


def test_all_faults_are_told_at_once() -> None:
    assert {path for path, _ in problems_of(hosting={"processes": 99}, cache={"timeout_ms": 0})} == {
        "hosting.processes",
        "cache.timeout_ms",
    }


@pytest.mark.parametrize(
    "line",
    [
        "-r other.txt",
        "--index-url https://example.org/simple",
        "xgboost==2.1.3 --index-url=https://example.org/simple",
        "xgboost; python_version > '3' --hash=sha256:0",
        "https://example.org/x.whl",
        "x @ https://example.org/x.whl",
        "./x.whl",
        "git+https://example.org/x",
        "xgboost==1\n-r other.txt",
        "xgboost; os_name == 'a\n-r other.txt\n'",
        "$(id)",
        "",
    ],
)
def test_a_requirement_that_reaches_outside_is_refused(line: str) -> None:
    (problem,) = problems_of(runtime={"requirements": [line]})
    assert problem[0] == "runtime.requirements"
    assert "upload a wheel" in problem[1]


@pytest.mark.parametrize("line", ["xgboost=2.1", "xgboost>2.x", "xgboost; nonsense", "xgboost==", "xgboost 2.1"])
def test_a_misspelt_requirement_is_refused(line: str) -> None:
    (problem,) = problems_of(runtime={"requirements": ["pandas", line]})
    assert problem[0] == "runtime.requirements"
    assert f"“{line}”" in problem[1]
