"""Uploaded files, stored by digest and never opened here."""

from pathlib import Path

from django.conf import settings
from django.db import models
from django.utils.translation import gettext_lazy as _

from ..domain.resources import ArtifactFile


class Artifact(models.Model):
    """A model, script, wheel or archive; its primary key is the sha256 of its bytes."""

    id = models.CharField(primary_key=True, max_length=64)
    name = models.CharField(_("file name"), max_length=200)
    size = models.BigIntegerField(_("size in bytes"))
    format = models.CharField(
        _("format"), max_length=20, help_text=_("Judged by its first bytes and its name; nothing was opened.")
    )
    uploaded_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, on_delete=models.SET_NULL, related_name="artifacts"
    )
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ["-created_at"]
        verbose_name = _("model or file")
        verbose_name_plural = _("models and files")

    def __str__(self) -> str:
        return f"{self.name} ({self.id[:8]})"

    @property
    def path(self) -> Path:
        return artifact_path(self.id)

    def as_file(self) -> ArtifactFile:
        return ArtifactFile(id=self.id, name=self.name, path=self.path, size=self.size)


class Upload(models.Model):
    """That a user has brought these bytes: what gives them the right to use a file that others have as well."""

    artifact = models.ForeignKey(Artifact, on_delete=models.CASCADE, related_name="uploads")
    user = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="uploads")
    at = models.DateTimeField(auto_now_add=True)

    class Meta:
        verbose_name = _("upload")
        verbose_name_plural = _("uploads")
        constraints = [models.UniqueConstraint(fields=["artifact", "user"], name="one_upload_per_user")]

    def __str__(self) -> str:
        return f"{self.user_id} {self.artifact_id[:8]}"


def artifact_path(digest: str) -> Path:
    """Where the bytes of a digest lie."""
    return Path(settings.ARTIFACT_ROOT) / digest[:2] / digest
