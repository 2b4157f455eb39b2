"""What the local target's resources have in common: a folder, a child in it, a log, and how they are ended."""

from collections.abc import Mapping
from dataclasses import dataclass

from ...domain.errors import ErrorDetail, TryAgainLater
from ...domain.names import resource_name
from ...domain.resources import Absent, Broken, Context, DeploymentRef, LogChunk, Observation, Pending, Stage
from . import children
from .children import Phase
from .config import LocalConfig
from .folders import Folder
from .logs import read_log


@dataclass(kw_only=True)
class LocalResource:
    """A resource of one deployment on this machine.

    `name` is `{slug}-{uid}`, the deployment's folder below the target's root; `key` is the folder in it.
    """

    config: LocalConfig
    deployment: DeploymentRef
    name: str = ""
    owned: bool = True
    needs: tuple[str, ...] = ()

    key: str = ""
    kind: str = ""
    stage: Stage = Stage.DEPLOY
    title: str = ""
    timeout: float = 120.0
    settle: float = 2.0
    poll: float = 0.25
    restartable: bool = False
    irreversible: str = ""

    def __post_init__(self) -> None:
        self.name = self.name or resource_name(slug=self.deployment.name, uid=self.deployment.uid)

    @property
    def folder(self) -> Folder:
        return Folder(self.config.root / self.name / self.key)

    def sibling(self, key: str) -> Folder:
        """The folder of another resource of the same deployment."""
        return Folder(self.config.root / self.name / key)

    def destroy(self, ctx: Context) -> None:
        children.end(self.folder)

    def cancel(self, ctx: Context) -> None:
        """What is begun here ends by itself in seconds, and what serves goes on serving."""

    def read_log(self, ctx: Context, cursor: str) -> LogChunk:
        return read_log(self.folder.logs, cursor)

    def secrets(self, ctx: Context) -> Mapping[str, str]:
        return {}

    def coming_or_going(self, phase: Phase) -> Observation | None:
        """What there is to say of a child that neither runs nor has ended by itself; None where it does or has."""
        match phase:
            case Phase.ABSENT:
                return Absent()
            case Phase.STARTING:
                return Pending(f"{self.title} is starting.")
            case Phase.ENDING:
                return Pending(f"{self.title} is ending.")
            case Phase.HALF_GONE:
                message = f"The removal of {self.title.lower()} was interrupted."
                return Broken(ErrorDetail("half_removed", message, raw=self.left_over()))
        return None

    def left_over(self) -> str:
        """What could not be removed, and why; "" where nothing was noted."""
        try:
            return self.folder.ending.read_text(errors="replace")
        except (FileNotFoundError, NotADirectoryError):
            return ""

    def refuse_while_ending(self, phase: Phase) -> None:
        """A create that meets a removal lets it finish first. Raises TryAgainLater."""
        if phase == Phase.HALF_GONE:
            children.end(self.folder)
        if phase in (Phase.ENDING, Phase.HALF_GONE):
            raise TryAgainLater(f"{self.title} of {self.name} is still being removed", seconds=1.0)
