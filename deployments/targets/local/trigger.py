"""The trigger of one function: a host process that posts to it what arrives as blobs or messages."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ...domain.arrivals import Arrival, Fate, Tally
from ...domain.blob_paths import POISON
from ...domain.errors import ConsoleError, ErrorDetail, ResourceFailed, Unavailable
from ...domain.resources import Broken, Context, Observation, Outputs, Pending, Ready, Stage
from ...domain.spec import BlobTrigger, HttpTrigger, Spec, digest_of
from ...packaging.functions import function_folder
from . import blob_inbox, children, message_inbox
from .blob_source import containers
from .blob_store import CONNECTION
from .bus import MOST_DELIVERIES
from .children import Look, Phase
from .folders import read_json, write_atomic
from .logs import tail
from .queue import KEY as QUEUE
from .resource import LocalResource
from .trigger_host import STATUS, TROUBLE

FUNCTION = "function"


@dataclass(kw_only=True)
class LocalTrigger(LocalResource):
    """A supervised trigger host; `spec` is None for one that is only remembered."""

    spec: Spec | None = None

    key: str = "trigger"
    kind: str = "local.trigger"
    stage: Stage = Stage.DEPLOY
    title: str = "Trigger"
    timeout: float = 60.0
    restartable: bool = True
    irreversible: str = "Files in its folder are lost, the answers too."

    def fingerprint(self, ctx: Context) -> str:
        if self.spec is None:
            return ""
        return digest_of(
            {
                "trigger": self.spec.trigger.model_dump(mode="json"),
                "most_bytes": self.spec.input.max_body_bytes,
                "queue": ctx.outputs.get(QUEUE, {}).get("socket", ""),
                **({"store": "service"} if self._is_in_service else {}),
                "generation": ctx.generation,
            }
        )

    def describe(self) -> Mapping[str, str]:
        if self.spec is None or isinstance(self.spec.trigger, HttpTrigger):
            return {}
        trigger = self.spec.trigger
        if isinstance(trigger, BlobTrigger):
            return {
                "reads": trigger.path_in,
                "writes": trigger.path_out,
                "where": "a Blob service" if self._is_in_service else "folders on this machine",
                "gives up": f"after 5 tries, told in {POISON}",
                "on update": "what is under way is finished or tried again; files stay",
            }
        return {
            "reads": trigger.queue_in,
            "writes": trigger.queue_out,
            "gives up": f"after {MOST_DELIVERIES} deliveries, kept in the dead-letter queue",
            "on update": "what is under way is finished or delivered again",
        }

    def observe(self, ctx: Context) -> Observation:
        look = children.look(self.folder)
        if (observed := self.coming_or_going(look.phase)) is not None:
            return observed
        if look.phase == Phase.ENDED:
            return Broken(
                ErrorDetail(
                    "trigger_ended",
                    "The trigger's process is not running any more.",
                    "It was ended from outside: by a restart of the machine, the system when memory ran out, or a "
                    "person.",
                    "Restart the deployment: what arrived meanwhile is scored then. Its last log lines say more.",
                    raw="\n".join(tail(self.folder.logs)),
                )
            )
        told = read_json(self.folder.path / STATUS)
        if told.get("job") != look.job["id"]:
            return Pending("The trigger is not listening yet.")
        if told.get(TROUBLE):
            return Broken(
                ErrorDetail(
                    "trigger_trouble",
                    "The trigger cannot take anything in, and goes on trying.",
                    "Where things arrive, or where answers go, does not answer, is full, or is not what it was.",
                    "Mend what its words name. A restart run of the deployment starts its queue and trigger anew.",
                    raw=str(told[TROUBLE]),
                )
            )
        return Ready(self._outputs(look), look.fingerprint)

    def create(self, ctx: Context) -> None:
        """Start the host, or end the one that runs and start it with what is wanted now."""
        spec = self.spec
        if spec is None:
            raise ResourceFailed("This trigger is only remembered: it can be removed, not made.")
        self.refuse_while_ending(children.look(self.folder).phase)
        self.folder.make()
        connection = self.folder.path / CONNECTION
        if self._is_in_service:
            write_atomic(connection, self.config.storage)
        else:
            connection.unlink(missing_ok=True)
        children.spawn(
            self.folder,
            argv=children.module_command("trigger_host", str(self.folder.path)),
            job={
                "fingerprint": self.fingerprint(ctx),
                "trigger": spec.trigger.model_dump(mode="json"),
                "function": function_folder(spec.trigger),
                "function_folder": str(self.sibling(FUNCTION).path),
                "queue_folder": str(self.sibling(QUEUE).path),
                "most_bytes": spec.input.max_body_bytes,
            },
            env=children.plain_environment(),
        )

    def put(self, ctx: Context, arrival: Arrival) -> str:
        """Write a blob or send a message for the function."""
        job = self._job()
        if len(arrival.content) > int(job["most_bytes"]):
            raise ConsoleError(
                "This is longer than the function takes.",
                cause=f"It has {len(arrival.content)} bytes, and the limit is {job['most_bytes']}.",
                action="Put fewer rows.",
                field="content",
                code="too_large",
            )
        if job["trigger"]["kind"] == "blob":
            return blob_inbox.put(self.folder.path, job["trigger"], arrival)
        return message_inbox.put(self.sibling(QUEUE), job["trigger"], arrival)

    def fate(self, ctx: Context, ticket: str) -> Fate:
        trigger = self._job()["trigger"]
        if trigger["kind"] == "blob":
            return blob_inbox.fate(self.folder.path, trigger, ticket)
        return message_inbox.fate(self.sibling(QUEUE), trigger, ticket)

    def tally(self, ctx: Context) -> Tally | None:
        """As the host last counted, which it does every second."""
        told = read_json(self.folder.path / STATUS)
        return Tally(told["waiting"], told["done"], told["poisoned"]) if "waiting" in told else None

    def secrets(self, ctx: Context) -> Mapping[str, str]:
        connection = self.folder.known_secret(CONNECTION)
        return {"storage": connection} if connection else {}

    @property
    def _is_in_service(self) -> bool:
        return bool(self.config.storage) and self.spec is not None and isinstance(self.spec.trigger, BlobTrigger)

    def _job(self) -> Mapping[str, Any]:
        look = children.look(self.folder)
        if look.phase not in (Phase.RUNNING, Phase.ENDED, Phase.STARTING):
            raise Unavailable("The trigger is not there.", code="no_trigger", action="Start a deploy run.")
        return look.job

    def _outputs(self, look: Look) -> Outputs:
        trigger = look.job["trigger"]
        if trigger["kind"] == "blob" and self.folder.known_secret(CONNECTION):
            service = "in the Blob service of AzureWebJobsStorage"
            read, written = (str(trigger[path]).partition("/")[0] for path in ("path_in", "path_out"))
            return {"kind": "blob", "folder_in": f"{read}, {service}", "folder_out": f"{written}, {service}"}
        if trigger["kind"] == "blob":
            folders = containers(self.folder.path, trigger["path_in"], trigger["path_out"])
            return {"kind": "blob", "folder_in": str(folders[0]), "folder_out": str(folders[1])}
        return {"kind": "service_bus", "queue_in": trigger["queue_in"], "queue_out": trigger["queue_out"]}
