"""What the forms of the wizard need to know of the world around a draft."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from deployments.models import Artifact, Deployment, Environment
from deployments.services import drafts
from deployments.services.access import Actor

Values = dict[str, Any]
"""A step's fields as they were typed: text, lists of text, or a truth."""

CODE_FORMATS = frozenset({"python", "zip", "tar"})


@dataclass(frozen=True)
class Situation:
    """The actor, the deployment that is changed (None for a new one), and what there is to choose from."""

    actor: Actor
    deployment: Deployment | None
    environments: Sequence[Environment]
    uploads: Sequence[Artifact] = field(default=())

    @classmethod
    def of(cls, actor: Actor, deployment: Deployment | None, steps: dict[str, Values]) -> "Situation":
        """Look up the environments and the uploads; those that the draft names already are among them."""
        model = steps.get("model", {})
        named = [model.get("artifact"), model.get("code"), *(model.get("wheels") or [])]
        environments = [deployment.environment] if deployment else drafts.deployable_environments(actor)
        uploads = drafts.own_uploads(actor, also=[str(digest) for digest in named if digest])
        return cls(actor, deployment, environments, uploads)

    @property
    def models(self) -> list[Artifact]:
        return [file for file in self.uploads if file.format not in CODE_FORMATS - {"zip"} | {"wheel"}]

    @property
    def code(self) -> list[Artifact]:
        return [file for file in self.uploads if file.format in CODE_FORMATS]

    @property
    def wheels(self) -> list[Artifact]:
        return [file for file in self.uploads if file.format == "wheel"]

    def upload(self, digest: str) -> Artifact | None:
        return next((file for file in self.uploads if file.pk == digest), None)

    def environment(self, name: str) -> Environment | None:
        return next((env for env in self.environments if env.name == name), None)
