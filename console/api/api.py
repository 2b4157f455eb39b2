"""REST API v1: one NinjaAPI, its routers, and how errors are told."""

from typing import Any

from django.core.exceptions import SuspiciousOperation
from django.http import UnreadablePostError
from django.http.multipartparser import MultiPartParserError
from ninja import NinjaAPI
from ninja.errors import HttpError, ValidationError
from ninja.openapi.schema import OpenAPISchema

from console.api import arrivals, artifacts, cache, deployments, environments, health, invocations, problems, runs
from console.api.auth import BearerToken, BrowserSession
from console.api.bodies import Renderer, StrictParser
from deployments.domain.errors import ConsoleError

ABOUT = """
Deploys trained models as functions with a cache in front of them. Every call needs a token, `Authorization: Bearer
TOKEN`; the page API tokens or `manage.py create_token USER --scopes read deploy test` makes one. Its scopes
(`read`, `inputs`, `test`, `deploy`, `cache:write`, `admin`) narrow down what its user's roles allow.

Errors are problem details (RFC 9457) with what happened, the likely cause and the next action. Lists are arrays;
`X-Total-Count` and `Link` lead through their pages. A `POST` that starts or makes something takes an
`Idempotency-Key`, so that it can be sent again when the answer got lost.
"""

TAGS = [
    {"name": "Artifacts", "description": "Uploaded models, scripts, wheels and archives."},
    {"name": "Environments", "description": "Where deployments live, who may do what there."},
    {"name": "Deployments", "description": "What is wanted, revision by revision."},
    {"name": "Runs", "description": "Attempts at a revision; the only thing that changes anything outside."},
    {"name": "Invocations", "description": "Test calls to a function, and how long they are kept."},
    {"name": "Arrivals", "description": "Blobs and messages put before a function that they call."},
    {"name": "Cache", "description": "Statistics and entries of a deployment's cache."},
    {"name": "Health", "description": "For load balancers; no token, no details."},
]


class ConsoleApi(NinjaAPI):
    """Says in its document that errors are problem details."""

    def get_openapi_schema(self, **more: Any) -> OpenAPISchema:
        document = super().get_openapi_schema(**more)
        for operation in _operations(document):
            for status, response in operation["responses"].items():
                if int(status) >= 400 and "application/json" in response.get("content", {}):
                    response["content"] = {problems.CONTENT_TYPE: response["content"]["application/json"]}
        return document


def _operations(document: OpenAPISchema) -> list[dict[str, Any]]:
    return [operation for path in document["paths"].values() for operation in path.values()]


api = ConsoleApi(
    title="Scoring console",
    version="1",
    description=ABOUT.strip(),
    urls_namespace="api",
    openapi_url=None,
    docs_url=None,
    auth=[BearerToken(), BrowserSession()],
    parser=StrictParser(),
    renderer=Renderer(),
    openapi_extra={"tags": TAGS},
)
api.add_router("/artifacts", artifacts.router, tags=["Artifacts"])
api.add_router("/environments", environments.router, tags=["Environments"])
api.add_router("/deployments", deployments.router, tags=["Deployments"])
api.add_router("/deployments", runs.of_deployment, tags=["Runs"])
api.add_router("/deployments", invocations.router, tags=["Invocations"])
api.add_router("/deployments", arrivals.router, tags=["Arrivals"])
api.add_router("/deployments", cache.router, tags=["Cache"])
api.add_router("/runs", runs.router, tags=["Runs"])
api.add_router("", health.router, tags=["Health"])

HANDLERS: list[tuple[type[Exception], Any]] = [
    (ConsoleError, problems.from_console_error),
    (ValidationError, problems.from_validation_error),
    (HttpError, problems.from_http_error),
    (SuspiciousOperation, problems.from_unreadable),
    (MultiPartParserError, problems.from_unreadable),
    (UnreadablePostError, problems.from_unreadable),
    (Exception, problems.from_failure),
]
for kind, handler in HANDLERS:
    api.add_exception_handler(kind, handler)
