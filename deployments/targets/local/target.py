"""The local target: everything for real on this machine, without an account anywhere."""

from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any

from ...domain.errors import NotFound, SpecInvalid
from ...domain.resources import DeploymentRef, Recorded, Resource
from ...domain.spec import HttpTrigger, ServiceBusTrigger, Spec
from .cache import LocalCache
from .config import LocalConfig
from .environments import find_python
from .function import LocalFunction
from .image import LocalImage
from .queue import LocalQueue
from .resource import LocalResource
from .trigger import LocalTrigger

_KINDS: Mapping[str, type[LocalResource]] = {
    "local.cache": LocalCache,
    "local.image": LocalImage,
    "local.function": LocalFunction,
    "local.queue": LocalQueue,
    "local.trigger": LocalTrigger,
}


class LocalTarget:
    """A Redis server, a package and a function process for each deployment, below `config.root`."""

    name = "local"

    def __init__(self, config: LocalConfig) -> None:
        self.config = replace(config, root=config.root.absolute(), scoring_root=config.scoring_root.absolute())

    def check(self, spec: Spec) -> None:
        """Refuse what cannot run on this machine. Raises SpecInvalid with the fields."""
        problems: list[tuple[str, str]] = []
        if not self.config.enabled:
            problems.append(("", "this console does not run models on its own machine; choose another environment"))
        if spec.model.registered:
            problems.append(
                ("model.registered", "registered models need an Azure environment; upload the model's file here")
            )
        if find_python(spec.runtime.python) is None:
            problems.append(("runtime.python", f"Python {spec.runtime.python} is not installed on this machine"))
        if problems:
            raise SpecInvalid(problems)

    def resources(self, spec: Spec, deployment: DeploymentRef) -> tuple[Resource, ...]:
        """Cache, image, function and what feeds it; no cache where the policy is off, no feeder for HTTP."""
        common: dict[str, Any] = {"config": self.config, "deployment": deployment, "spec": spec}
        caches = () if spec.cache.policy == "off" else (LocalCache(**common),)
        queues = (LocalQueue(**common),) if isinstance(spec.trigger, ServiceBusTrigger) else ()
        image = LocalImage(**common)
        function = LocalFunction(**common, needs=(*_keys(caches), "image"))
        fed = not isinstance(spec.trigger, HttpTrigger)
        triggers = (LocalTrigger(**common, needs=(*_keys(queues), "function")),) if fed else ()
        return (*caches, image, *queues, function, *triggers)

    def recorded(self, row: Recorded, deployment: DeploymentRef) -> Resource:
        """The resource of a remembered row. Raises NotFound for a kind that this target never had."""
        made = _KINDS.get(row.kind)
        if made is None:
            raise NotFound(f"The local target has no resources of the kind {row.kind}.")
        return made(config=self.config, deployment=deployment, name=row.name, owned=row.owned)  # type: ignore[return-value]

    def function_key(self) -> str:
        return "function"


def _keys(resources: Iterable[LocalResource]) -> tuple[str, ...]:
    return tuple(resource.key for resource in resources)
