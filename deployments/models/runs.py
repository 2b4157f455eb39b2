"""Runs, their steps, and the events that tell what happened."""

from datetime import datetime, timedelta
from typing import Any

from django.conf import settings
from django.db import models
from django.db.models import F, Q
from django.utils.translation import gettext_lazy as _

from ..domain.errors import ErrorDetail
from ..domain.resources import Stage
from ..domain.states import ACTIVE_RUNS, FINISHED_RUNS, RunKind, RunState, StepAction, StepState

KINDS = [(RunKind.DEPLOY, _("deploy")), (RunKind.DESTROY, _("destroy")), (RunKind.RESTART, _("restart"))]
RUN_STATES = [
    (RunState.QUEUED, _("queued")),
    (RunState.RUNNING, _("running")),
    (RunState.SUCCEEDED, _("succeeded")),
    (RunState.FAILED, _("failed")),
    (RunState.CANCELLED, _("cancelled")),
]
STEP_STATES = [
    (StepState.QUEUED, _("not started")),
    (StepState.RUNNING, _("running")),
    (StepState.WAITING, _("waiting")),
    (StepState.SUCCEEDED, _("done")),
    (StepState.FAILED, _("failed")),
    (StepState.CANCELLED, _("cancelled")),
]
STAGES = [(Stage.CREATE_CACHE, _("create cache")), (Stage.PACKAGE, _("package")), (Stage.DEPLOY, _("deploy"))]
ACTIONS = [(StepAction.APPLY, _("apply")), (StepAction.REMOVE, _("remove"))]
RING_AGAIN = timedelta(seconds=2)  # after so long a ring is taken for lost
LEVELS = [("state", _("state")), ("log", _("log")), ("error", _("error"))]


class RunQuerySet(models.QuerySet["Run"]):
    """Reads of runs."""

    def active(self) -> "RunQuerySet":
        return self.filter(state__in=ACTIVE_RUNS)

    def due(self, now: datetime) -> "RunQuerySet":
        """Active runs whose next visit is due and that nobody holds."""
        free = Q(lease_expires_at__isnull=True) | Q(lease_expires_at__lt=now)
        return self.active().filter(free, next_visit_at__lte=now)

    def to_ring(self, now: datetime) -> "RunQuerySet":
        """Due runs for which beat has not rung lately: what still waits in the queue needs no second ring."""
        return self.due(now).filter(Q(rung_at=None) | Q(rung_at__lt=now - RING_AGAIN)).order_by("next_visit_at")


class Run(models.Model):
    """One attempt at one revision. `next_visit_at` is the clock, the lease says who holds it."""

    deployment = models.ForeignKey("deployments.Deployment", on_delete=models.CASCADE, related_name="runs")
    revision = models.ForeignKey("deployments.Revision", on_delete=models.CASCADE, related_name="runs")
    kind = models.CharField(_("kind"), max_length=10, choices=KINDS)
    state = models.CharField(_("state"), max_length=10, choices=RUN_STATES, default=RunState.QUEUED)
    reason = models.CharField(_("reason"), max_length=200, blank=True)
    error = models.JSONField(null=True, blank=True)
    retry_of = models.ForeignKey("self", null=True, blank=True, on_delete=models.SET_NULL, related_name="retries")
    approved_plan = models.CharField(max_length=64, blank=True)

    next_visit_at = models.DateTimeField(_("next visit"))
    rung_at = models.DateTimeField(null=True, blank=True, help_text="when beat last rang for the coming visit")
    lease_token = models.CharField(max_length=32, blank=True)
    lease_expires_at = models.DateTimeField(null=True, blank=True)
    visits = models.PositiveIntegerField(default=0)
    lateness = models.FloatField(default=0.0, help_text="the most seconds that a visit came after it was due")
    faults = models.PositiveIntegerField(default=0, help_text="visits in a row that raised")
    last_seq = models.PositiveIntegerField(default=0)
    cancel_requested_at = models.DateTimeField(null=True, blank=True)
    cancel_requested_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, blank=True, on_delete=models.SET_NULL, related_name="+"
    )

    created_by = models.ForeignKey(settings.AUTH_USER_MODEL, null=True, on_delete=models.SET_NULL, related_name="+")
    created_at = models.DateTimeField(_("created"))
    started_at = models.DateTimeField(null=True, blank=True)
    finished_at = models.DateTimeField(null=True, blank=True)

    objects = RunQuerySet.as_manager()

    class Meta:
        ordering = ["-pk"]
        verbose_name = _("run")
        verbose_name_plural = _("runs")
        constraints = [
            models.UniqueConstraint(
                fields=["deployment"],
                condition=Q(state__in=sorted(ACTIVE_RUNS)),
                name="one_active_run_per_deployment",
            )
        ]
        indexes = [
            models.Index(fields=["next_visit_at"], condition=Q(state__in=sorted(ACTIVE_RUNS)), name="run_due"),
        ]

    def __str__(self) -> str:
        return str(_("Run %(number)s") % {"number": self.pk})

    @property
    def is_over(self) -> bool:
        return self.state in FINISHED_RUNS

    @property
    def error_detail(self) -> ErrorDetail | None:
        return ErrorDetail.from_dict(self.error) if self.error else None

    def duration(self, now: datetime) -> float | None:
        """Seconds from the first visit to the end, or until now."""
        return ((self.finished_at or now) - self.started_at).total_seconds() if self.started_at else None


class StepRecord(models.Model):
    """One resource's turn in a run."""

    run = models.ForeignKey(Run, on_delete=models.CASCADE, related_name="steps")
    key = models.CharField(max_length=60)
    resource_key = models.CharField(max_length=40)
    kind = models.CharField(max_length=60)
    name = models.CharField(max_length=260)
    title = models.CharField(max_length=80)
    stage = models.CharField(max_length=20, choices=STAGES)
    action = models.CharField(max_length=10, choices=ACTIONS, default=StepAction.APPLY)
    needs = models.JSONField(default=list)
    position = models.PositiveIntegerField(default=0)
    state = models.CharField(max_length=10, choices=STEP_STATES, default=StepState.QUEUED)
    attempts = models.PositiveIntegerField(default=0, help_text="acts sent by this run")
    acts_returned = models.PositiveIntegerField(default=0, help_text="acts that are known to have been sent whole")
    acted_at = models.DateTimeField(null=True, blank=True)
    outcome = models.CharField(max_length=20, blank=True, help_text="created, changed, replaced, removed, unchanged")
    detail = models.CharField(max_length=400, blank=True)
    waiting_for = models.CharField(max_length=200, blank=True)
    waiting_action = models.TextField(blank=True)
    error = models.JSONField(null=True, blank=True)
    log_cursor = models.CharField(max_length=200, blank=True)
    started_at = models.DateTimeField(null=True, blank=True)
    finished_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        ordering = ["position"]
        verbose_name = _("step")
        verbose_name_plural = _("steps")
        constraints = [models.UniqueConstraint(fields=["run", "key"], name="step_key_unique")]

    def __str__(self) -> str:
        return self.key

    @property
    def error_detail(self) -> ErrorDetail | None:
        return ErrorDetail.from_dict(self.error) if self.error else None

    def as_dict(self) -> dict[str, Any]:
        fields = (
            "key title name stage action state outcome attempts detail started_at finished_at error "
            "waiting_for waiting_action"
        )
        return {name: getattr(self, name) for name in fields.split()}


class EventQuerySet(models.QuerySet["Event"]):
    """Reads of events, by cursor."""

    def after(self, seq: int) -> "EventQuerySet":
        return self.filter(seq__gt=seq).order_by("seq")


class Event(models.Model):
    """An append-only line of a run, numbered within it; already redacted when it is stored."""

    run = models.ForeignKey(Run, on_delete=models.CASCADE, related_name="events")
    seq = models.PositiveIntegerField()
    time = models.DateTimeField()
    step = models.CharField(max_length=60, blank=True)
    level = models.CharField(max_length=5, choices=LEVELS)
    message = models.TextField()

    objects = EventQuerySet.as_manager()

    class Meta:
        ordering = ["run", "seq"]
        constraints = [models.UniqueConstraint(fields=["run", "seq"], name="event_seq_unique")]

    def __str__(self) -> str:
        return f"{self.seq} {self.message[:60]}"

    def as_dict(self) -> dict[str, Any]:
        return {
            "seq": self.seq,
            "time": self.time,
            "step": self.step,
            "level": self.level,
            "message": self.message,
        }


def append_events(run_id: int, lines: list[tuple[str, str, str]], *, now: datetime) -> None:
    """Append `(step, level, message)` lines with the next sequence numbers.

    Call it inside the transaction that writes what the lines tell. The counter on the run's row makes
    concurrent writers queue up behind each other.
    """
    if not lines:
        return
    Run.objects.filter(pk=run_id).update(last_seq=F("last_seq") + len(lines))
    first = Run.objects.values_list("last_seq", flat=True).get(pk=run_id) - len(lines) + 1
    Event.objects.bulk_create(
        Event(run_id=run_id, seq=first + index, time=now, step=step, level=level, message=message)
        for index, (step, level, message) in enumerate(lines)
    )
