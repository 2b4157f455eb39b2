"""A client of the console's own REST API, through which bin/up does all that it does with deployments."""

import time
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import httpx

RUN_OVER = {"succeeded", "failed", "cancelled"}


class CallFailed(Exception):
    """The API refused a call; the text holds its own explanation."""

    def __init__(self, response: httpx.Response) -> None:
        try:
            problem = response.json()
            parts = [problem.get(key) for key in ("title", "detail", "cause", "action")]
            text = " ".join(str(part) for part in parts if part)
        except (ValueError, AttributeError):
            text = response.text[:300]
        super().__init__(f"{response.request.method} {response.request.url.path}: {response.status_code} {text}")
        self.status = response.status_code


class Rest:
    """Calls with one token; answers are the decoded JSON. Raises CallFailed for every answer above 399."""

    def __init__(self, url: str, token: str) -> None:
        # The console is on this machine: a proxy of the environment has no part in it.
        self._http = httpx.Client(
            base_url=f"{url}/api/v1",
            headers={"Authorization": f"Bearer {token}"},
            timeout=60,
            trust_env=False,
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._http.close()

    def upload(self, file: Path) -> str:
        with file.open("rb") as content:
            answer = self._call("POST", "/artifacts", files={"file": (file.name, content)})
        return str(answer["id"])

    def put_deployment(self, name: str, wish: dict[str, Any]) -> None:
        self._call("PUT", f"/deployments/{name}", json=wish)

    def deployment(self, name: str) -> dict[str, Any]:
        return dict(self._call("GET", f"/deployments/{name}"))

    def deployments(self) -> list[dict[str, Any]]:
        return self._list("/deployments")

    def environments(self) -> list[dict[str, Any]]:
        return self._list("/environments")

    def start_run(self, name: str, kind: str, *, reason: str = "", patience: float = 300) -> str:
        """The new run's id. Waits while another run is under way, at most `patience` seconds."""
        wish = {"kind": kind, "reason": reason}
        end = time.monotonic() + patience
        while True:
            try:
                response = self._send("POST", f"/deployments/{name}/runs", json=wish)
                return response.headers["Location"].rstrip("/").rsplit("/", 1)[1]
            except CallFailed as refusal:
                if refusal.status != httpx.codes.CONFLICT or time.monotonic() > end:
                    raise
            time.sleep(1)

    def run(self, run: str) -> dict[str, Any]:
        return dict(self._call("GET", f"/runs/{run}"))

    def follow(self, run: str) -> Iterator[dict[str, Any]]:
        """The run's events as they come, until it is over."""
        cursor, done = 0, False
        while not done:
            page = self._call("GET", f"/runs/{run}/events", params={"after": cursor})
            yield from page["events"]
            cursor, done = page["cursor"], page["done"]
            if not done and not page["events"]:
                time.sleep(0.3)

    def invoke(self, name: str, body: Any) -> dict[str, Any]:
        return dict(self._call("POST", f"/deployments/{name}/invocations", json={"body": body}))

    def _list(self, path: str) -> list[dict[str, Any]]:
        """All pages of a list."""
        response = self._send("GET", path, params={"page_size": 200})
        found = list(response.json())
        while "next" in response.links:
            response = self._send("GET", response.links["next"]["url"])
            found += response.json()
        return found

    def _call(self, method: str, path: str, **more: Any) -> Any:
        return self._send(method, path, **more).json()

    def _send(self, method: str, path: str, **more: Any) -> httpx.Response:
        response = self._http.request(method, path, **more)
        if response.status_code >= httpx.codes.BAD_REQUEST:
            raise CallFailed(response)
        return response


def is_ready(url: str) -> bool:
    """Whether the web server, its database, the broker and a worker all answer."""
    try:
        return httpx.get(f"{url}/readyz", timeout=5, trust_env=False).status_code == httpx.codes.OK
    except httpx.TransportError:
        return False
