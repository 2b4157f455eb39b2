"""What exists outside because of us."""

from django.db import models
from django.utils.translation import gettext_lazy as _

from ..domain.resources import Recorded


class ManagedResource(models.Model):
    """The row that remembers a resource; committed before its create is sent, deleted when it is seen to be gone."""

    deployment = models.ForeignKey("deployments.Deployment", on_delete=models.CASCADE, related_name="resources")
    key = models.CharField(max_length=40)
    kind = models.CharField(max_length=60)
    name = models.CharField(max_length=260)
    title = models.CharField(max_length=80)
    stage = models.CharField(max_length=20)
    needs = models.JSONField(default=list)
    owned = models.BooleanField(_("made by us"), default=True)
    fingerprint = models.CharField(max_length=80, blank=True, help_text="of what was last sent")
    generation = models.PositiveIntegerField(default=0, help_text="raised by each restart run")
    attempted_at = models.DateTimeField(null=True, blank=True)
    ready_at = models.DateTimeField(null=True, blank=True)
    outputs = models.JSONField(default=dict, blank=True)
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ["deployment", "pk"]
        verbose_name = _("resource")
        verbose_name_plural = _("resources")
        constraints = [models.UniqueConstraint(fields=["deployment", "key", "name"], name="resource_identity_unique")]

    def __str__(self) -> str:
        return f"{self.title} {self.name}"

    def recorded(self) -> Recorded:
        return Recorded(key=self.key, kind=self.kind, name=self.name, owned=self.owned)
