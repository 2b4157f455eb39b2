"""What was seen of a live deployment between its runs."""

from django.db import models
from django.utils.translation import gettext_lazy as _


class Sighting(models.Model):
    """The newest look at a live deployment: what of it differs from its revision, found without touching it."""

    deployment = models.OneToOneField("deployments.Deployment", on_delete=models.CASCADE, related_name="sighting")
    revision = models.ForeignKey("deployments.Revision", on_delete=models.CASCADE, related_name="+")
    at = models.DateTimeField()
    differences = models.JSONField(default=list, help_text="{key, title, action, why} of each that is not as wanted")
    error = models.CharField(max_length=400, blank=True, help_text="why it could not be looked at")
    differs_since = models.DateTimeField(null=True, blank=True)

    class Meta:
        verbose_name = _("sighting")
        verbose_name_plural = _("sightings")

    def __str__(self) -> str:
        return f"{self.deployment_id} {self.at:%H:%M:%S}"
