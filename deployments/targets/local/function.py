"""The function of one deployment: the scoring server in a shut-in process, on a loopback port of its own."""

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from http.client import HTTPConnection, HTTPException
from typing import Any

from ...domain.errors import ErrorDetail, ResourceFailed
from ...domain.resources import Broken, Context, Observation, Outputs, Pending, Ready, Stage, Stale
from ...domain.spec import HttpTrigger, Spec, digest_of
from ...packaging.functions import function_folder
from . import children
from .cache import FUNCTION_PASSWORD
from .children import Look, Phase
from .ends import opening_failure
from .folders import read_json
from .logs import tail
from .ports import HOST, confirm_port, known_port, reserve_port
from .resource import LocalResource

_TIMEOUT = 1.0  # seconds that a look at the server may take
_MOST_HEALTH_BYTES = 64 * 1024
_MOST_BY_DEFAULT = 4


@dataclass(kw_only=True)
class LocalFunction(LocalResource):
    """A supervised scoring server; `spec` is None for one that is only remembered."""

    spec: Spec | None = None

    key: str = "function"
    kind: str = "local.function"
    stage: Stage = Stage.DEPLOY
    title: str = "Function"
    timeout: float = 300.0
    restartable: bool = True
    irreversible: str = "Its address and its key are lost."

    def fingerprint(self, ctx: Context) -> str:
        """Of the package, the cache it uses and how, and its limits; the data epoch is learnt while running."""
        if self.spec is None:
            return ""
        cache = ctx.outputs.get("cache", {})
        return digest_of(
            {
                "package": ctx.outputs.get("image", {}).get("digest", ""),
                "cache": self.spec.cache.model_dump(mode="json", exclude={"max_memory_mb"}),
                "server": [cache.get("socket", ""), cache.get("port", 0)],
                "hosting": self.spec.hosting.model_dump(mode="json"),
                "generation": ctx.generation,
            }
        )

    def describe(self) -> Mapping[str, str]:
        if self.spec is None:
            return {}
        return {
            "address": f"http://{HOST}, a port of its own, {_path(self.spec)}",
            "memory": f"{self.spec.hosting.memory_mb} MB for each process",
            "processes": str(server_processes(self.spec)),
            "cache": self.spec.cache.policy,
            "on update": "a new process takes over on the same port when its model is open; no request is lost",
        }

    def observe(self, ctx: Context) -> Observation:
        look = children.look(self.folder)
        if (observed := self.coming_or_going(look.phase)) is not None:
            return observed
        if look.phase == Phase.ENDED:
            return Broken(self._ended(look))
        return self._running(ctx, look)

    def create(self, ctx: Context) -> None:
        """Start the server, or have the one that runs go over to what is wanted now."""
        spec = self.spec
        if spec is None:
            raise ResourceFailed("This function is only remembered: it can be removed, not made.")
        look = children.look(self.folder)
        self.refuse_while_ending(look.phase)
        image = ctx.outputs["image"]
        cache = ctx.outputs.get("cache", {})
        port = reserve_port(self.folder)
        self.folder.secret("key")
        if spec.cache.keyed_digests and cache:
            # It is of use only beside the entries whose keys were made with it, and goes with them.
            self.sibling("cache").secret("digest_key")
        job = {
            "fingerprint": self.fingerprint(ctx),
            "port": port,
            "package": image["package"],
            "python": image["python"],
            "model_version": image["model_version"],
            "estimator": image.get("estimator", ""),
            "path": _path(spec),
            "needs_key": not (isinstance(spec.trigger, HttpTrigger) and spec.trigger.auth_level == "anonymous"),
            "cache_port": cache.get("port", 0),
            "cache_socket": cache.get("socket", ""),
            "keyed_digests": spec.cache.keyed_digests and bool(cache),
            "cache_folder": str(self.sibling("cache").path),
            "memory_mb": spec.hosting.memory_mb,
            "processes": server_processes(spec),
            "sandbox": self.config.sandbox,
            "owner": self.name,
            "environment": {**_environment(spec, ctx), "SCORING_EXECUTION_GAIN": str(image.get("gain") or "")},
        }
        argv = children.module_command("serve", str(self.folder.path))
        if look.phase == Phase.RUNNING and look.job["port"] == port:
            children.hand_over(self.folder, argv=argv, job=job)
        else:
            children.spawn(self.folder, argv=argv, job=job, env=children.plain_environment())

    def cancel(self, ctx: Context) -> None:
        """Take back the job that the server was to go over to; what serves goes on serving."""
        self.folder.next.unlink(missing_ok=True)

    def secrets(self, ctx: Context) -> Mapping[str, str]:
        key = self.folder.known_secret("key")
        password = self.sibling("cache").known_secret(FUNCTION_PASSWORD)
        digests = self.sibling("cache").known_secret("digest_key")
        known = {"key": key, "cache_password": password, "digest_key": digests}
        return {name: value for name, value in known.items() if value}

    def _running(self, ctx: Context, look: Look) -> Observation:
        wanted = self.fingerprint(ctx) if self.spec else look.fingerprint
        if self.spec and (succession := self._succession(wanted)):
            return succession
        health = _health(known_port(self.folder))
        if look.fingerprint != wanted and health.get("status") != "ready":
            return Stale("it serves another revision")
        match health.get("status"):
            case "ready" if health.get("model_version") == look.job["model_version"]:
                confirm_port(self.folder)
                return Ready(self._outputs(look), look.fingerprint)
            case "ready":
                return Stale("it serves another model version")
            case "failed":
                return Broken(opening_failure(health.get("error")))
            case "loading":
                return Pending("The model is being opened.")
        return Pending("The server does not answer yet.")

    def _succession(self, wanted: str) -> Observation | None:
        """What became of the job that the running child is to go over to; None where there is none."""
        job = read_json(self.folder.next)
        if not job or job["fingerprint"] != wanted:
            return None
        result = read_json(self.folder.result)
        if result.get("job") != job["id"]:
            return Pending("The new process opens its model; the one before answers until it is ready.")
        return Broken(ErrorDetail.from_dict({**result["error"], "raw": "\n".join(tail(self.folder.logs))}))

    def _outputs(self, look: Look) -> Outputs:
        port = known_port(self.folder)
        base = f"http://{HOST}:{port}"
        path = look.job.get("path") or f"/api/{look.job['route']}"  # the second: of a job that an older console wrote
        return {
            "url": f"{base}{path}",
            "base_url": base,
            "port": port,
            "model_version": str(look.job["model_version"]),
            "estimator": str(look.job["estimator"]),
        }

    def _ended(self, look: Look) -> ErrorDetail:
        """Why the server ended, from what its supervisor noted and its last lines."""
        result = read_json(self.folder.result)
        raw = "\n".join(tail(self.folder.logs))
        if result.get("job") == look.job["id"]:
            return ErrorDetail.from_dict({**result["error"], "raw": raw})
        return ErrorDetail(
            "function_ended",
            "The function's process is not running any more.",
            "It was ended from outside: by a restart of the machine, the system when memory ran out, or a person.",
            "Restart the deployment. Its last log lines say more.",
            raw=raw,
        )


def server_processes(spec: Spec) -> int:
    """How many server processes a function gets here; by default as many as cores, but not a big machine's all."""
    return spec.hosting.processes or min(os.cpu_count() or 1, _MOST_BY_DEFAULT)


def _health(port: int) -> dict[str, Any]:
    """What the server says of itself; {} where it does not answer in time."""
    connection = HTTPConnection(HOST, port, timeout=_TIMEOUT)
    try:
        connection.request("GET", "/healthz")
        data = json.loads(connection.getresponse().read(_MOST_HEALTH_BYTES))
    except (OSError, HTTPException, ValueError):
        return {}
    finally:
        connection.close()
    return data if isinstance(data, dict) else {}


def _path(spec: Spec) -> str:
    """Where requests go: to the route, or for other triggers to where their host posts what arrived."""
    if isinstance(spec.trigger, HttpTrigger):
        return f"/api/{spec.trigger.route}"
    return f"/{function_folder(spec.trigger)}"


def _environment(spec: Spec, ctx: Context) -> dict[str, str]:
    """The settings of the scoring server that are no secrets."""
    cache = spec.cache
    return {
        "SCORING_CACHE_POLICY": cache.policy,
        "SCORING_CACHE_PREFIX": ctx.deployment.name,
        "SCORING_CACHE_TTL": str(cache.ttl_seconds),
        "SCORING_CACHE_TIMEOUT_MS": str(cache.timeout_ms),
        "SCORING_STORE_INPUT": cache.store_input,
        "SCORING_MASKED_FIELDS": ",".join(cache.masked_fields),
        "SCORING_DATA_EPOCH": str(ctx.deployment.data_epoch),
        "SCORING_PROCESSES": "1",
        "SCORING_LOCAL_MB": str(cache.local_mb),
        "SCORING_KEYS": cache.keys,
        "SCORING_PREDICT_SECONDS": str(spec.hosting.predict_seconds),
    }
