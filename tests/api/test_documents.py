"""The OpenAPI document, the page that shows it, and calls made from it at random."""

import re

import pytest
import schemathesis
from django.test import Client
from hypothesis import HealthCheck, Phase, given, settings
from pytest_django.live_server_helper import LiveServer
from schemathesis.generation import GenerationMode

from console.api.documents import document
from tests import factories
from tests.api.conftest import Api

OPERATIONS = {
    "upload_artifact", "list_environments", "create_environment", "get_environment", "put_environment",
    "list_deployments", "create_deployment", "get_deployment", "put_deployment", "forget_deployment",
    "list_revisions", "list_runs_of_deployment", "start_run", "invoke", "get_cache", "list_entries", "get_entry",
    "delete_entries", "raise_epoch", "list_invocations", "put_retention", "find_input", "erase_input",
    "put_arrival", "get_arrival", "count_arrivals", "list_runs", "get_run", "list_events", "cancel_run", "retry_run",
    "healthz", "readyz",
}  # fmt: skip
# Whether a run can move is a matter of the machine: it has tests of its own.
LEFT_OUT = {"readyz"}
EXAMPLES = 3


def test_the_names_of_operations_stay(api: Api) -> None:
    """Clients are generated from them."""
    answer = api("GET", "/openapi.json")
    assert answer.status_code == 200
    told = answer.json()
    assert told["openapi"].startswith("3.1")
    operations = [operation for path in told["paths"].values() for operation in path.values()]
    assert {operation["operationId"] for operation in operations} == OPERATIONS
    for operation in operations:
        assert operation["summary"]
        assert operation["description"]
        assert operation["tags"]
        for status, reply in operation["responses"].items():
            expected = {"application/problem+json"} if status in ("400", "401", "403", "404", "409", "422") else None
            assert expected is None or set(reply["content"]) == expected


def test_every_reference_is_there() -> None:
    told = document()
    names = set(re.findall(r"#/components/schemas/(\w+)", str(told)))
    assert names <= set(told["components"]["schemas"])
    assert {"Spec", "EnvironmentSettings", "DeploymentWish"} <= set(told["components"]["schemas"])


@pytest.mark.django_db
def test_the_page_needs_a_sign_in_and_nothing_from_elsewhere() -> None:
    browser = Client()
    assert browser.get("/api/v1/docs")["Location"].startswith("/accounts/login/")
    browser.force_login(factories.administrator().user)
    answer = browser.get("/api/v1/docs")
    assert answer.status_code == 200
    page = answer.content.decode()
    for operation in OPERATIONS:
        assert f'id="{operation}"' in page
    assert set(re.findall(r'(?:src|href)="(https?:[^"]*)"', page)) == set()
    assert "<style" not in page
    assert "style=" not in page
    for target in re.findall(r'href="#([^"]+)"', page):
        assert f'id="{target}"' in page, target
    assert "default-src 'none'" in answer["Content-Security-Policy"]


def test_calls_made_from_the_document_never_break_the_console(live_server: LiveServer, api: Api) -> None:
    """Every operation, with what fits its schema and with what does not."""
    factories.finished(factories.started(factories.deployment()))
    schema = schemathesis.openapi.from_dict(document())
    headers = {"Authorization": f"Bearer {api.token}"}
    tried = set()
    for result in schema.get_all_operations():
        operation = result.ok()
        if operation.definition.raw["operationId"] in LEFT_OUT:
            continue
        tried.add(operation.definition.raw["operationId"])

        raw = operation.definition.raw
        # What takes nothing cannot be given anything wrong.
        modes = list(GenerationMode) if raw.get("parameters") or raw.get("requestBody") else [GenerationMode.POSITIVE]
        for mode in modes:

            @given(case=operation.as_strategy(generation_mode=mode))
            @settings(
                max_examples=EXAMPLES,
                deadline=None,
                database=None,
                phases=[Phase.generate],
                suppress_health_check=list(HealthCheck),
            )
            def call(case: schemathesis.Case) -> None:
                # Half of the calls find what they name.
                if "name" in (case.path_parameters or {}):
                    case.path_parameters["name"] = "paper" if "environments" in case.path else "iris"
                response = case.call(base_url=live_server.url, headers=headers)
                # A 503 where the document tells of it: nothing stands behind an address on paper.
                documented = case.operation.definition.raw["responses"]
                assert str(response.status_code) in documented, (case.method, case.formatted_path, response.text)

            call()
    assert tried == OPERATIONS - LEFT_OUT
