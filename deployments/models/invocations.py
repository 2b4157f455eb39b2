"""Test calls and the named inputs that are kept."""

from datetime import datetime, timedelta
from typing import Self

from django.conf import settings
from django.db import models
from django.db.models import Q
from django.utils.translation import gettext_lazy as _

from .deployments import Deployment


class InvocationQuerySet(models.QuerySet["Invocation"]):
    """Reads of test calls, as long as their deployment keeps them."""

    def overdue(self, now: datetime) -> Self:
        """Those that were kept as long as they are to be; where none are kept, pinned ones as well."""
        gone = Q(deployment__keep_invocations_days=0)
        kept = Deployment.objects.exclude(keep_invocations_days=0).values_list("keep_invocations_days", flat=True)
        for days in kept.order_by().distinct():
            gone |= Q(deployment__keep_invocations_days=days, at__lt=now - timedelta(days=days), pinned=False)
        return self.filter(gone)

    def kept(self, now: datetime) -> Self:
        """The others, whether or not those that are overdue have been deleted yet."""
        return self.exclude(pk__in=self.overdue(now).values("pk"))


class Invocation(models.Model):
    """One test call and what came back."""

    deployment = models.ForeignKey("deployments.Deployment", on_delete=models.CASCADE, related_name="invocations")
    user = models.ForeignKey(settings.AUTH_USER_MODEL, null=True, on_delete=models.SET_NULL, related_name="+")
    at = models.DateTimeField(auto_now_add=True)
    label = models.CharField(_("input"), max_length=120, blank=True)
    request = models.JSONField(default=dict)
    response = models.JSONField(null=True)
    status = models.PositiveIntegerField(default=0)
    cache = models.CharField(max_length=10, blank=True)
    key = models.CharField(max_length=200, blank=True)
    duration_ms = models.FloatField(default=0)
    timings = models.JSONField(default=dict)
    pinned = models.BooleanField(default=False)

    objects = InvocationQuerySet.as_manager()

    class Meta:
        ordering = ["-pk"]
        verbose_name = _("invocation")
        verbose_name_plural = _("invocations")
        indexes = [models.Index(fields=["deployment", "-at"], name="invocation_recent")]

    def __str__(self) -> str:
        return f"{self.deployment_id} {self.at:%H:%M:%S} {self.status}"


class Sample(models.Model):
    """A named input that can be sent again, and whose answer can be asserted on."""

    deployment = models.ForeignKey("deployments.Deployment", on_delete=models.CASCADE, related_name="samples")
    name = models.CharField(_("name"), max_length=80)
    body = models.JSONField()
    expected = models.JSONField(null=True, blank=True)
    created_by = models.ForeignKey(settings.AUTH_USER_MODEL, null=True, on_delete=models.SET_NULL, related_name="+")
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ["name"]
        verbose_name = _("sample")
        verbose_name_plural = _("samples")
        constraints = [models.UniqueConstraint(fields=["deployment", "name"], name="sample_name_unique")]

    def __str__(self) -> str:
        return self.name
