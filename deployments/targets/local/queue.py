"""The queue of one deployment: a Redis or Valkey server of its own that never drops anything."""

from collections.abc import Mapping
from dataclasses import dataclass

from ...domain.resources import Context, Stage
from ...domain.spec import ServiceBusTrigger, Spec, digest_of
from .ports import HOST
from .redis_child import RedisChild

KEY = "queue"
_MEMORY_MB = 256

# Every message is on the disk before its sender is told that it was taken. The function has no way to it.
_CONFIG = """appendonly yes
appendfsync always
maxclients 100
"""


@dataclass(kw_only=True)
class LocalQueue(RedisChild):
    """A Redis server for messages; `spec` is None for one that is only remembered."""

    spec: Spec | None = None

    key: str = KEY
    kind: str = "local.queue"
    stage: Stage = Stage.DEPLOY
    title: str = "Queue"
    noun: str = "queue"
    irreversible: str = "All messages are lost: those that wait, the answers, and the dead letters."

    def fingerprint(self, ctx: Context) -> str:
        return digest_of({"memory_mb": self.memory_mb})

    def describe(self) -> Mapping[str, str]:
        if self.spec is None or not isinstance(self.spec.trigger, ServiceBusTrigger):
            return {}
        return {
            "queues": f"{self.spec.trigger.queue_in}, {self.spec.trigger.queue_out}",
            "memory": f"{self.memory_mb} MB; when it is full, senders are refused and nothing is dropped",
            "on disk": "every message before its sender is told that it was taken",
            "address": f"{HOST}, a port of its own, with a password",
        }

    @property
    def memory_mb(self) -> int:
        return _MEMORY_MB

    @property
    def policy(self) -> str:
        return "noeviction"

    @property
    def more_config(self) -> str:
        return _CONFIG
