"""The cache of one deployment: a Redis or Valkey server of its own that drops the least used when it is full."""

from collections.abc import Mapping
from dataclasses import dataclass

from ...domain.resources import Context, Observation, Ready, Stage, Stale
from ...domain.spec import Spec, digest_of
from ...redis_server import function_rules
from .ports import HOST
from .redis_child import RedisChild

# Saved when stopped and once a minute where something changed; a disk that is full must not stop the cache.
# The socket is for the function's own user, which differs from ours: its folder and the password guard it.
_CONFIG = """save 60 1
stop-writes-on-bgsave-error no
unixsocketperm 777
maxclients 1000
"""


FUNCTION_PASSWORD = "function_password"  # noqa: S105 - the name of its file


@dataclass(kw_only=True)
class LocalCache(RedisChild):
    """A Redis server of the deployment's own; `spec` is None for one that is only remembered."""

    spec: Spec | None = None

    key: str = "cache"
    kind: str = "local.cache"
    stage: Stage = Stage.CREATE_CACHE
    title: str = "Cache"
    noun: str = "cache"
    irreversible: str = "All stored answers and counters are lost."

    def fingerprint(self, ctx: Context) -> str:
        rules = function_rules(password="", prefix=ctx.deployment.name)
        return digest_of({"max_memory_mb": self.memory_mb, "function": list(rules)})

    def describe(self) -> Mapping[str, str]:
        if self.spec is None:
            return {}
        return {
            "memory": f"{self.memory_mb} MB",
            "eviction": self.policy,
            "address": f"{HOST}, a port of its own, with a password",
            "the function": "signs in as a user of its own, who may read and write its entries and counts alone",
            "on update": "the limit is changed in place; data stays",
        }

    def observe(self, ctx: Context) -> Observation:
        seen = super().observe(ctx)
        lost = isinstance(seen, Ready) and not self.folder.known_secret(FUNCTION_PASSWORD)
        return Stale("it lost the function's password") if lost else seen

    def function_rules(self, ctx: Context) -> tuple[str, ...]:
        return function_rules(password=self.folder.secret(FUNCTION_PASSWORD), prefix=ctx.deployment.name)

    def secrets(self, ctx: Context) -> Mapping[str, str]:
        known = self.folder.known_secret(FUNCTION_PASSWORD)
        return {**super().secrets(ctx), **({FUNCTION_PASSWORD: known} if known else {})}

    @property
    def memory_mb(self) -> int:
        return self.spec.cache.max_memory_mb if self.spec else 0

    @property
    def policy(self) -> str:
        return "allkeys-lfu"

    @property
    def more_config(self) -> str:
        return _CONFIG
