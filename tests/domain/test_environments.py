"""What an environment fixes: each rule against a Spec that breaks it, and the order of roles."""

from typing import Any

import pytest
from pydantic import ValidationError

from deployments.domain.environments import EnvironmentSettings, Role, check_spec, in_environment
from deployments.domain.errors import SecretUnavailable, SpecInvalid
from deployments.domain.spec import Spec

MODEL = {"artifact": "a" * 64}
INDEX = {"url": "https://packages.example.org/simple", "credentials": "env:SCORING_SECRET_INDEX"}


def spec(**parts: Any) -> Spec:
    return Spec.load({"model": MODEL, **parts})


@pytest.mark.parametrize(
    ("rules", "parts", "path"),
    [
        ({"max_cache_mb": 64}, {"cache": {"max_memory_mb": 65}}, "cache.max_memory_mb"),
        ({"max_memory_mb": 512}, {"hosting": {"memory_mb": 513}}, "hosting.memory_mb"),
        ({"max_processes": 1}, {"hosting": {"processes": 2}}, "hosting.processes"),
        ({"required_tags": ["owner"]}, {"tags": {"team": "x"}}, "tags.owner"),
        ({"allow_code": False}, {"code": {"artifact": "b" * 64}}, "code"),
        ({"execution": "original"}, {"execution": "onnx"}, "execution"),
    ],
)
def test_each_rule_names_its_field(rules: dict[str, Any], parts: dict[str, Any], path: str) -> None:
    check_spec(spec(**parts), EnvironmentSettings(max_processes=32))
    with pytest.raises(SpecInvalid, match="this environment") as caught:
        check_spec(spec(**parts), EnvironmentSettings.model_validate(rules))
    assert [problem[0] for problem in caught.value.problems] == [path]


def test_what_keeps_the_rules_passes() -> None:
    rules = EnvironmentSettings(
        max_cache_mb=64, max_memory_mb=2_048, max_processes=1, required_tags=("owner",), execution="original",
        allowed_secrets=("SCORING_SECRET_INDEX",), allowed_indexes=(INDEX["url"],),
    )  # fmt: skip
    kept = spec(tags={"owner": "x"}, execution="original", runtime={"index": INDEX})
    check_spec(kept, rules)
    check_spec(kept.model_copy(update={"execution": "auto"}), rules)


def test_a_fixed_execution_fills_what_the_spec_leaves_open() -> None:
    fixed = EnvironmentSettings(execution="original")
    assert in_environment(spec(), fixed).execution == "original"
    assert in_environment(spec(execution="onnx"), fixed).execution == "onnx", "refused by check_spec, not changed here"
    assert in_environment(spec(), EnvironmentSettings()) == spec()
    script = spec(code={"artifact": "b" * 64, "entry_script": "score.py"})
    assert in_environment(script, EnvironmentSettings(execution="onnx")) == script


def test_a_reference_that_is_not_listed_is_refused() -> None:
    with pytest.raises(SecretUnavailable, match="SCORING_SECRET_INDEX is not allowed"):
        check_spec(spec(runtime={"index": INDEX}), EnvironmentSettings(allowed_indexes=(INDEX["url"],)))


@pytest.mark.parametrize(
    "url",
    [
        "https://elsewhere.example/simple",
        "https://packages.example.evil.example/team",
        "https://packages.example:8443/team",
        "https://packages.example/teammate",
        "https://packages.example/team/../other",
    ],
)
def test_credentials_go_to_no_index_but_those_allowed(url: str) -> None:
    rules = EnvironmentSettings(
        allowed_secrets=("SCORING_SECRET_INDEX",), allowed_indexes=("https://packages.example/team",)
    )
    kept = {"credentials": "env:SCORING_SECRET_INDEX"}
    check_spec(spec(runtime={"index": {"url": "https://packages.example/team/simple", **kept}}), rules)
    with pytest.raises(SpecInvalid, match="does not send credentials"):
        check_spec(spec(runtime={"index": {"url": url, **kept}}), rules)
    check_spec(spec(runtime={"index": {"url": url}}), rules)


@pytest.mark.parametrize("rules", [{"mispelt": 1}, {"max_cache_mb": 0}, {"max_processes": 33}, {"execution": "fast"}])
def test_rules_that_cannot_be_are_refused(rules: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        EnvironmentSettings.model_validate(rules)


def test_each_role_includes_those_before_it() -> None:
    order = list(Role)
    assert order == ["viewer", "tester", "deployer", "admin"]
    for index, role in enumerate(order):
        assert [role.includes(other) for other in order] == [place <= index for place in range(len(order))]
