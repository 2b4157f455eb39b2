"""Sign-in to the cache with tokens of a managed identity, which end: from a local endpoint that speaks App Service's
protocol, at a Redis whose user has the tokens for passwords.

https://learn.microsoft.com/azure/app-service/overview-managed-identity#rest-endpoint-reference
"""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from tests.scoring.processes import Function, Redis, wait_for

Serve = Callable[..., Function]
OwnRedis = Callable[..., Redis]
USER = "0f0f0f0f-object-id"
SECRET = "identity-header-of-the-test"


class Identity:
    """A token endpoint. Each token is the only password of the cache's user from when it is given out."""

    def __init__(self, cache: Redis) -> None:
        self.lifetime = 3600.0
        self.works = True
        self.asked: list[dict[str, str]] = []
        self.given = 0
        self.cache = cache
        endpoint = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                status, body = endpoint.answer(self.path, self.headers.get("X-IDENTITY-HEADER", ""))
                self.send_response(status)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: Any) -> None: ...

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    @property
    def environment(self) -> dict[str, str]:
        """The variables that the platform sets, and ours that make use of them."""
        return {
            "IDENTITY_ENDPOINT": f"http://127.0.0.1:{self._server.server_address[1]}/msi/token",
            "IDENTITY_HEADER": SECRET,
            "SCORING_CACHE_URL": self.cache.url.replace(":admin@", ""),
            "SCORING_CACHE_AUTH": "entra",
            "SCORING_CACHE_USER": USER,
        }

    def answer(self, path: str, secret: str) -> tuple[int, bytes]:
        query = {name: values[0] for name, values in parse_qs(urlsplit(path).query).items()}
        self.asked.append(query)
        if secret != SECRET or query.get("resource") != "https://redis.azure.com":
            return 401, b'{"statusCode": 401, "message": "not for you"}'
        if not self.works:
            return 400, b'{"statusCode": 400, "message": "No identity was found"}'
        self.given += 1
        token = f"token-{self.given}-of-the-test"
        self.cache.client.acl_setuser(
            USER,
            enabled=True,
            reset_passwords=True,
            passwords=[f"+{token}"],
            keys=["*"],
            channels=["*"],
            categories=["+@all"],
        )
        ends = int(time.time() + self.lifetime)
        told = {"access_token": token, "expires_on": str(ends), "resource": query["resource"], "token_type": "Bearer"}
        return 200, json.dumps(told).encode()

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()


@pytest.fixture
def identity(own_redis: OwnRedis) -> Iterator[Identity]:
    endpoint = Identity(own_redis(password="admin"))
    yield endpoint
    endpoint.close()


def connections(cache: Redis) -> list[str]:
    """The ids of the connections that the identity has open."""
    return [client["id"] for client in cache.client.client_list() if client["user"] == USER]


def test_a_managed_identity_signs_in(serve: Serve, identity: Identity, counting: Path) -> None:
    function = serve(counting, SCORING_CACHE_CLIENT_ID="client-id", **identity.environment).ready()
    assert [function.verdict([[1, 2]]) for _ in range(2)] == ["MISS", "HIT"]
    assert len(connections(identity.cache)) == 1
    assert identity.asked[0]["client_id"] == "client-id"
    # A token is good for many connections.
    identity.cache.client.client_kill_filter(_id=connections(identity.cache)[0])
    wait_for(lambda: function.verdict([[1, 2]]) == "HIT")
    assert identity.given == 1
    assert "token-1" not in function.log


def test_a_token_is_renewed_on_the_open_connection(serve: Serve, identity: Identity, counting: Path) -> None:
    identity.lifetime = 3
    function = serve(counting, **identity.environment).ready()
    assert function.verdict([[1, 2]]) == "MISS"
    before, verdicts = connections(identity.cache), []
    wait_for(lambda: verdicts.append(function.verdict([[1, 2]])) or identity.given >= 3)
    wait_for(lambda: function.log.count("token was renewed") >= 2)
    assert set(verdicts) == {"HIT"}
    assert connections(identity.cache) == before


def test_a_token_that_cannot_be_renewed_is_said_and_tried_again(
    serve: Serve, identity: Identity, counting: Path
) -> None:
    identity.lifetime = 3
    function = serve(counting, **identity.environment).ready()
    identity.works = False
    wait_for(lambda: "could not be renewed" in function.log)
    # The token is still good.
    assert function.health()["cache"]["state"] == "up"
    time.sleep(2)
    # As Azure does when it has ended.
    identity.cache.client.acl_deluser(USER)
    down = wait_for(lambda: (about := function.health()["cache"])["state"] == "down" and about)
    wait_for(lambda: "Entra ID gave no token" in function.health()["cache"]["detail"])
    assert function.verdict([[1, 2]]) == "BYPASS", down
    identity.works = True
    wait_for(lambda: function.health()["cache"]["state"] == "up", seconds=40)
    assert function.verdict([[1, 2]]) == "MISS"


def test_a_machine_without_an_identity_answers_without_its_cache(
    serve: Serve, identity: Identity, counting: Path
) -> None:
    function = serve(counting, **{**identity.environment, "IDENTITY_HEADER": "wrong"}).ready()
    assert function.verdict([[1, 2]]) == "BYPASS"
    assert "Entra ID gave no token" in wait_for(lambda: function.health()["cache"].get("detail"))
