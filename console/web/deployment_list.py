"""The list of deployments: what a line says, what narrows it and how it is sorted."""

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.db.models import Max, OuterRef, QuerySet, Subquery
from django.http import HttpRequest, QueryDict
from django.utils.translation import gettext_lazy as _

from console.web.filters import Filter, build_filter
from console.web.states import DEPLOYMENT
from deployments.domain.spec import Spec
from deployments.domain.states import DeploymentStatus
from deployments.models import Artifact, Deployment, Revision

WORST_FIRST: Sequence[DeploymentStatus] = (
    DeploymentStatus.FAILED,
    DeploymentStatus.DEGRADED,
    DeploymentStatus.WAITING,
    DeploymentStatus.DEPLOYING,
    DeploymentStatus.DESTROYING,
    DeploymentStatus.LIVE,
    DeploymentStatus.NEW,
    DeploymentStatus.DESTROYED,
)
ATTENTION = frozenset({DeploymentStatus.FAILED, DeploymentStatus.DEGRADED, DeploymentStatus.WAITING})
SERVING = frozenset({DeploymentStatus.LIVE, DeploymentStatus.DEGRADED})
TRIGGERS = {"http": _("HTTP"), "blob": _("Blob"), "service_bus": _("Service Bus")}


@dataclass(frozen=True, slots=True)
class Listed:
    """A deployment as its line shows it; the Spec is the live one, else the newest."""

    deployment: Deployment
    status: DeploymentStatus
    spec: Spec
    revision: int
    model: str
    changed_at: datetime

    @property
    def name(self) -> str:
        return self.deployment.name


def listed(deployments: QuerySet[Deployment]) -> list[Listed]:
    """Read all lines in three queries, however many there are."""
    newest = Revision.objects.filter(deployment=OuterRef("pk")).order_by("-number").values("pk")[:1]
    rows = list(deployments.annotate(newest_id=Subquery(newest), last_run_at=Max("runs__created_at")))
    shown: dict[int, Any] = {row.pk: row.live_revision_id or row.newest_id for row in rows}
    revisions = Revision.objects.in_bulk(shown.values())
    specs = {pk: revision.spec for pk, revision in revisions.items()}
    names = dict(
        Artifact.objects.filter(pk__in={spec.model.artifact for spec in specs.values()}).values_list("pk", "name")
    )
    return [
        Listed(
            deployment=row,
            status=row.status,
            spec=specs[shown[row.pk]],
            revision=revisions[shown[row.pk]].number,
            model=_model(specs[shown[row.pk]], names),
            changed_at=row.last_run_at or row.created_at,
        )
        for row in rows
    ]


def narrowed(lines: list[Listed], query: QueryDict) -> list[Listed]:
    """Those that the search and the filters leave."""
    status, environment, trigger = (query.get(name, "") for name in ("status", "environment", "trigger"))
    text = query.get("q", "").strip().lower()
    return [
        line
        for line in lines
        if (not status or line.status == status or (status == "attention" and line.status in ATTENTION))
        and (not environment or line.deployment.environment.name == environment)
        and (not trigger or line.spec.trigger.kind == trigger)
        and (not text or text in _searched(line))
    ]


def filters_for(request: HttpRequest, lines: list[Listed]) -> list[Filter]:
    """Filters by status, environment and trigger, with how many lines each would leave."""
    states = Counter(line.status for line in lines)
    environments = Counter(line.deployment.environment.name for line in lines)
    triggers = Counter(line.spec.trigger.kind for line in lines)
    attention = sum(states[status] for status in ATTENTION)
    return [
        build_filter(
            request,
            title=_("Status"),
            parameter="status",
            options=[
                ("attention", _("Needs attention"), attention),
                *((state, DEPLOYMENT[state].word, states[state]) for state in WORST_FIRST if states[state]),
            ],
        ),
        build_filter(
            request,
            title=_("Environment"),
            parameter="environment",
            options=[(name, name, count) for name, count in sorted(environments.items())],
        ),
        build_filter(
            request,
            title=_("Trigger"),
            parameter="trigger",
            options=[(kind, TRIGGERS[kind], count) for kind, count in sorted(triggers.items())],
        ),
    ]


def sorted_by(order: str, lines: list[Listed]) -> list[Listed]:
    """Sort by `name`, `status`, `environment` or `changed`, reversed with a minus; worst status first."""
    keys: dict[str, Callable[[Listed], Any]] = {
        "name": lambda line: line.name,
        "status": lambda line: (WORST_FIRST.index(line.status), -line.changed_at.timestamp()),
        "environment": lambda line: (line.deployment.environment.name, line.name),
        "changed": lambda line: -line.changed_at.timestamp(),
    }
    return sorted(lines, key=keys.get(order.removeprefix("-"), keys["status"]), reverse=order.startswith("-"))


def _searched(line: Listed) -> str:
    tags = " ".join(f"{key}={value}" for key, value in line.spec.tags.items())
    return " ".join((line.name, line.deployment.description, line.model, tags)).lower()


def _model(spec: Spec, names: dict[str, str]) -> str:
    if spec.model.registered:
        return spec.model.registered.name
    return names.get(spec.model.artifact or "", "")
