"""Which form of a model executes, why and what it gained: said by the deployment's page, its review and the API."""

from typing import Any

import pytest
from django.test import Client

from console.web.execution import executes, will_execute
from deployments.domain.environments import EnvironmentSettings
from deployments.models import Deployment
from deployments.services.health import execution_in
from deployments.services.tokens import create_token
from tests import factories

PROVED = "Proved equal on 4,096 rows"


@pytest.fixture
def iris(deployer: Client) -> Deployment:
    return factories.finished(factories.started(factories.deployment(cache={"local_mb": 8, "keys": "row"}))).deployment


def built(of: Deployment, **outputs: Any) -> None:
    row = of.resources.get(key="image")
    row.outputs = {**row.outputs, **outputs}
    row.save()


@pytest.mark.parametrize(
    ("told", "words"),
    [
        ({"executes": "onnx", "gain": "47.2"}, "ONNX, 47 times faster than the original"),
        ({"executes": "onnx", "gain": 3.25}, "ONNX, 3.2 times faster than the original"),
        ({"executes": "onnx", "gain": "1.23e+03"}, "ONNX, 1,230 times faster than the original"),
        ({"executes": "onnx", "gain": "1.01"}, "ONNX"),
        ({"executes": "onnx", "gain": "many"}, "ONNX"),
        ({"executes": "original", "gain": ""}, "Original"),
    ],
)
def test_a_form_in_words(told: dict[str, Any], words: str) -> None:
    found = execution_in(told)
    assert found is not None
    assert executes(found) == words


@pytest.mark.parametrize("told", [{}, {"executes": "magic"}, {"executes": None}])
def test_what_does_not_tell_is_not_guessed(told: dict[str, Any]) -> None:
    assert execution_in(told) is None


@pytest.mark.parametrize(
    ("asked", "rule", "words"),
    [
        ("auto", None, "ONNX where it proves equal, else as it was trained"),
        ("auto", "original", "as it was trained"),
        ("onnx", "auto", "ONNX alone: the run fails where it does not prove equal"),
    ],
)
def test_what_a_run_will_decide(db: None, asked: str, rule: Any, words: str) -> None:
    assert will_execute(factories.spec(execution=asked), EnvironmentSettings(execution=rule)) == words


def test_the_page_of_a_deployment_says_what_executes(deployer: Client, iris: Deployment) -> None:
    assert "Executes" not in deployer.get("/deployments/iris/").content.decode()
    built(iris, executes="onnx", reason=PROVED, gain="47.2")
    text = deployer.get("/deployments/iris/").content.decode()
    assert "ONNX, 47 times faster than the original" in text
    assert f"{PROVED}." in text
    assert "8 MB in each process" in text
    assert "one for each row" in text
    assert "as many as cores" in text
    built(iris, executes="original", reason="No converter knows KNeighborsClassifier", gain="")
    text = deployer.get("/deployments/iris/").content.decode()
    assert "<b>Original</b>" in text
    assert "No converter knows KNeighborsClassifier." in text


def test_the_review_says_what_will_execute_and_what_is_kept(deployer: Client, iris: Deployment) -> None:
    built(iris, executes="onnx", reason=PROVED, gain="47.2")
    review = deployer.get("/deployments/iris/change/", follow=True).request["PATH_INFO"].replace("/model/", "/review/")
    text = deployer.get(review).content.decode()
    assert "ONNX where it proves equal, else as it was trained" in text
    assert "now: ONNX, 47 times faster than the original" in text
    assert "whole, as it was sent; digest of the input" in text


def test_the_api_says_it_too(iris: Deployment) -> None:
    token = create_token(user=factories.administrator().user, name="t", scopes=["read"])
    ask = {"path": "/api/v1/deployments/iris", "headers": {"Authorization": f"Bearer {token}"}}
    assert Client().get(**ask).json()["execution"] is None
    built(iris, executes="onnx", reason=PROVED, gain="47.2")
    assert Client().get(**ask).json()["execution"] == {"executes": "onnx", "reason": PROVED, "gain": 47.2}


def test_the_function_says_it_itself(digits: Deployment, deployer: Client) -> None:
    text = deployer.get("/deployments/digits/health/").content.decode()
    assert "Ready" in text
    assert "<b>Original</b>" in text
    assert "reached" in text
    digits.resources.filter(key="function").update(outputs={"url": "http://127.0.0.1:9/api/score"})
    away = deployer.get("/deployments/digits/health/")
    assert away.status_code == 200
    assert "No answer" in away.content.decode()
    assert "cannot be reached" in away.content.decode()
