"""What the Functions host reads: one function for each address that answers, and the extensions of its trigger."""

import json
import re
from typing import Any

import pytest

from deployments.packaging.functions import function_folder, functions, host_json

from .parts import SCORING_ROOT, spec_with

BASE = json.loads((SCORING_ROOT / "host.json").read_text())


def bindings(trigger: dict[str, Any], function: str | None = None) -> list[dict[str, Any]]:
    wanted = spec_with(trigger=trigger).trigger
    found: list[dict[str, Any]] = functions(wanted)[function or function_folder(wanted)]["bindings"]
    return found


@pytest.mark.parametrize(
    ("trigger", "kinds"),
    [
        ({"kind": "http"}, ["httpTrigger", "http"]),
        ({"kind": "blob"}, ["blobTrigger", "blob"]),
        ({"kind": "service_bus"}, ["serviceBusTrigger", "serviceBus"]),
    ],
)
def test_the_bindings_of_each_trigger(trigger: dict[str, str], kinds: list[str]) -> None:
    found = bindings(trigger)
    assert [binding["type"] for binding in found] == kinds
    assert [binding["direction"] for binding in found] == ["in", "out"]
    if trigger["kind"] != "http":
        assert {binding["dataType"] for binding in found} == {"binary"}
        assert [binding["name"] for binding in found] == ["input", "output"]


def test_the_function_answers_below_api_although_the_host_adds_no_prefix() -> None:
    http = bindings({"kind": "http", "route": "v1/score", "methods": ["POST", "GET"], "auth_level": "admin"})[0]
    assert BASE["extensions"]["http"]["routePrefix"] == ""
    assert (http["route"], http["methods"], http["authLevel"]) == ("api/v1/score", ["post", "get"], "admin")


@pytest.mark.parametrize("kind", ["http", "blob", "service_bus"])
def test_health_is_open_and_the_document_is_as_closed_as_the_function(kind: str) -> None:
    health, document = bindings({"kind": kind}, "healthz")[0], bindings({"kind": kind}, "openapi")[0]
    assert (health["route"], health["methods"], health["authLevel"]) == ("healthz", ["get"], "anonymous")
    assert (document["route"], document["methods"], document["authLevel"]) == ("openapi.json", ["get"], "function")
    anonymous = {"kind": "http", "auth_level": "anonymous"}
    assert bindings(anonymous, "openapi")[0]["authLevel"] == "anonymous"


@pytest.mark.parametrize(
    ("route", "folder"),
    [
        ("score", "score"),
        ("v1/score_all", "v1-score-all"),
        ("Model", "function-Model"),
        ("scoring", "function-scoring"),
        ("openapi", "function-openapi"),
        ("2024", "function-2024"),
    ],
)
def test_a_function_has_a_folder_of_its_own(route: str, folder: str) -> None:
    trigger = spec_with(trigger={"kind": "http", "route": route}).trigger
    assert function_folder(trigger) == folder
    assert re.fullmatch(r"[A-Za-z][A-Za-z0-9_-]{0,127}", folder)  # the host's rule for names
    assert len(functions(trigger)) == 3


def test_host_json_has_the_extensions_of_its_trigger_alone() -> None:
    http, blob, bus = (host_json(BASE, spec_with(trigger={"kind": kind}).trigger) for kind in
                       ("http", "blob", "service_bus"))  # fmt: skip
    assert http == BASE
    assert "extensionBundle" not in http
    assert blob["extensions"] == {
        **BASE["extensions"], "blobs": {"poisonBlobThreshold": 5}, "queues": {"maxDequeueCount": 5},
    }  # fmt: skip
    assert bus["extensions"]["serviceBus"]["autoCompleteMessages"] is True
    for host in (http, blob, bus):
        assert host["customHandler"]["enableProxyingHttpRequest"] is True
        assert host["extensions"]["http"] == {"routePrefix": ""}
