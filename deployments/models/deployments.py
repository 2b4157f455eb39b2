"""Deployments and their immutable revisions."""

from typing import TYPE_CHECKING, Any, Self

from django.conf import settings
from django.db import models
from django.db.models import Exists, OuterRef, Q, Subquery
from django.utils.translation import gettext_lazy as _
from simple_history.models import HistoricalRecords

from ..domain import limits
from ..domain.names import new_uid, resource_name
from ..domain.resources import DeploymentRef
from ..domain.spec import Spec
from ..domain.states import ACTIVE_RUNS, FINISHED_RUNS, DeploymentStatus, RunKind, RunState, StepState

if TYPE_CHECKING:
    from .runs import Run


class DeploymentQuerySet(models.QuerySet["Deployment"]):
    """Reads of deployments; status is derived here and nowhere stored."""

    def with_facts(self) -> Self:
        """Annotate what `Deployment.status` is derived from, in one query for a whole list."""
        from_runs = _runs().filter(deployment=OuterRef("pk")).order_by("-pk")
        return self.annotate(
            last_kind=Subquery(from_runs.values("kind")[:1]),
            last_state=Subquery(from_runs.values("state")[:1]),
            is_waiting=Exists(
                _runs().filter(deployment=OuterRef("pk"), state__in=ACTIVE_RUNS, steps__state=StepState.WAITING)
            ),
        )

    def with_status(self, status: DeploymentStatus) -> Self:
        """Those with the status; after `with_facts`, whose annotations say in SQL what `derive_status` reads."""
        active, live = Q(last_state__in=ACTIVE_RUNS), Q(live_revision__isnull=False)
        destroy, over = Q(last_kind=RunKind.DESTROY), {state: Q(last_state=state) for state in FINISHED_RUNS}
        failed, cancelled = over[RunState.FAILED], over[RunState.CANCELLED]
        conditions = {
            DeploymentStatus.NEW: Q(last_state__isnull=True) | (cancelled & ~live),
            DeploymentStatus.WAITING: active & Q(is_waiting=True),
            DeploymentStatus.DESTROYING: active & Q(is_waiting=False) & destroy,
            DeploymentStatus.DEPLOYING: active & Q(is_waiting=False) & ~destroy,
            DeploymentStatus.DESTROYED: over[RunState.SUCCEEDED] & destroy,
            DeploymentStatus.LIVE: (over[RunState.SUCCEEDED] & ~destroy) | (cancelled & live),
            DeploymentStatus.DEGRADED: failed & live,
            DeploymentStatus.FAILED: failed & ~live,
        }
        return self.filter(conditions[status])


def _runs() -> "models.QuerySet[Run]":
    return Deployment._meta.apps.get_model("deployments", "Run")._default_manager.all()


class Deployment(models.Model):
    """A durable thing with a unique name, in one environment."""

    name = models.SlugField(_("name"), max_length=40, unique=True)
    uid = models.CharField(max_length=12, unique=True, default=new_uid, editable=False)
    environment = models.ForeignKey(
        "deployments.Environment",
        on_delete=models.PROTECT,
        related_name="deployments",
        verbose_name=_("environment"),
    )
    description = models.CharField(_("description"), max_length=400, blank=True)
    live_revision = models.ForeignKey(
        "deployments.Revision", null=True, blank=True, on_delete=models.SET_NULL, related_name="+"
    )
    data_epoch = models.PositiveIntegerField(_("data epoch"), default=0)
    keep_invocations_days = models.PositiveSmallIntegerField(
        _("days that test calls are kept"), default=30, help_text=_("0: none are kept")
    )
    created_by = models.ForeignKey(settings.AUTH_USER_MODEL, null=True, on_delete=models.SET_NULL, related_name="+")
    created_at = models.DateTimeField(auto_now_add=True)
    history = HistoricalRecords(excluded_fields=["live_revision"])

    objects = DeploymentQuerySet.as_manager()

    # annotated by with_facts(); read by `status` alone
    last_kind: str | None
    last_state: str | None
    is_waiting: bool

    class Meta:
        ordering = ["name"]
        verbose_name = _("deployment")
        verbose_name_plural = _("deployments")
        constraints = [
            models.CheckConstraint(
                condition=Q(keep_invocations_days__lte=limits.MAX_KEEP_DAYS), name="invocations_kept_a_year_at_most"
            )
        ]

    def __str__(self) -> str:
        return self.name

    def ref(self) -> DeploymentRef:
        """What a target gets to know of it."""
        return DeploymentRef(name=self.name, uid=self.uid, console_id=settings.CONSOLE_ID, data_epoch=self.data_epoch)

    @property
    def base_name(self) -> str:
        return resource_name(slug=self.name, uid=self.uid)

    def latest_revision(self) -> "Revision":
        revision = self.revisions.order_by("-number").first()
        if revision is None:
            raise LookupError(f"{self.name} has no revision; it is made together with its first one")
        return revision

    def active_run(self) -> "Run | None":
        return self.runs.filter(state__in=ACTIVE_RUNS).first()

    @property
    def status(self) -> DeploymentStatus:
        """Derived from the newest run and the live revision."""
        if not hasattr(self, "last_state"):
            facts = Deployment.objects.with_facts().get(pk=self.pk)
            self.last_state, self.last_kind, self.is_waiting = (
                facts.last_state,
                facts.last_kind,
                facts.is_waiting,
            )
        return derive_status(
            kind=self.last_kind,
            state=self.last_state,
            waiting=self.is_waiting,
            live=self.live_revision_id is not None,
        )

    def fresh(self) -> "Deployment":
        """The same row read again, with the facts of its status."""
        return Deployment.objects.with_facts().select_related("environment", "live_revision").get(pk=self.pk)


def derive_status(*, kind: str | None, state: str | None, waiting: bool, live: bool) -> DeploymentStatus:
    """The one place that says what a deployment is, from its newest run and whether a revision serves."""
    if state is None:
        return DeploymentStatus.NEW
    if state in ACTIVE_RUNS:
        if waiting:
            return DeploymentStatus.WAITING
        return DeploymentStatus.DESTROYING if kind == RunKind.DESTROY else DeploymentStatus.DEPLOYING
    if kind == RunKind.DESTROY and state == RunState.SUCCEEDED:
        return DeploymentStatus.DESTROYED
    if state == RunState.SUCCEEDED:
        return DeploymentStatus.LIVE
    if state == RunState.CANCELLED:
        return DeploymentStatus.LIVE if live else DeploymentStatus.NEW
    return DeploymentStatus.DEGRADED if live else DeploymentStatus.FAILED


class Revision(models.Model):
    """An immutable numbered snapshot of a Spec; the package digest is set once, when it has been built."""

    deployment = models.ForeignKey(Deployment, on_delete=models.CASCADE, related_name="revisions")
    number = models.PositiveIntegerField(_("number"))
    spec_data = models.JSONField(_("spec"))
    spec_digest = models.CharField(max_length=64)
    scoring_version = models.CharField(max_length=64)
    package_digest = models.CharField(max_length=80, blank=True)
    model_version = models.CharField(max_length=64, blank=True)
    note = models.CharField(_("what changed"), max_length=400, blank=True)
    created_by = models.ForeignKey(settings.AUTH_USER_MODEL, null=True, on_delete=models.SET_NULL, related_name="+")
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ["-number"]
        verbose_name = _("revision")
        verbose_name_plural = _("revisions")
        constraints = [
            models.UniqueConstraint(fields=["deployment", "number"], name="revision_number_unique"),
            models.CheckConstraint(condition=Q(number__gte=1), name="revision_number_from_one"),
        ]

    def __str__(self) -> str:
        return f"{self.deployment_id}/{self.number}"

    @property
    def spec(self) -> Spec:
        """Upgraded from whatever schema version it was stored in."""
        return Spec.load(self.spec_data)

    def as_dict(self) -> dict[str, Any]:
        return {
            "number": self.number,
            "spec": self.spec.dump(),
            "package_digest": self.package_digest,
            "model_version": self.model_version,
            "note": self.note,
            "created_at": self.created_at,
            "created_by": self.created_by.get_username() if self.created_by else None,
        }
