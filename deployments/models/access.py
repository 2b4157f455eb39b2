"""API tokens and the audit trail."""

from datetime import datetime

from django.conf import settings
from django.db import models
from django.utils.translation import gettext_lazy as _


class ApiToken(models.Model):
    """A bearer token: stored as a keyed digest, shown once when it is made."""

    user = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="api_tokens")
    name = models.CharField(_("name"), max_length=80)
    prefix = models.CharField(_("begins with"), max_length=12, unique=True)
    digest = models.CharField(max_length=64)
    scopes = models.JSONField(_("scopes"), default=list)
    created_at = models.DateTimeField(auto_now_add=True)
    expires_at = models.DateTimeField(_("expires"), null=True, blank=True)
    revoked_at = models.DateTimeField(null=True, blank=True)
    last_used_at = models.DateTimeField(_("last used"), null=True, blank=True)

    class Meta:
        ordering = ["-created_at"]
        verbose_name = _("API token")
        verbose_name_plural = _("API tokens")

    def __str__(self) -> str:
        return f"{self.name} ({self.prefix}…)"

    def is_valid(self, now: datetime) -> bool:
        return self.revoked_at is None and (self.expires_at is None or self.expires_at > now)


class AuditEntry(models.Model):
    """Who did or was refused what, and why; append-only, holds no values."""

    RESULTS = [("done", _("done")), ("refused", _("refused"))]
    at = models.DateTimeField(auto_now_add=True)
    actor = models.CharField(_("who"), max_length=150)
    via = models.CharField(_("via"), max_length=100, blank=True, help_text="page, token or command")
    action = models.CharField(_("action"), max_length=60)
    subject = models.CharField(_("what"), max_length=260)
    environment = models.CharField(_("environment"), max_length=40, blank=True)
    result = models.CharField(_("result"), max_length=10, choices=RESULTS)
    reason = models.CharField(_("why"), max_length=400, blank=True)

    class Meta:
        ordering = ["-pk"]
        verbose_name = _("audit entry")
        verbose_name_plural = _("audit trail")
        indexes = [models.Index(fields=["-at"], name="audit_recent")]

    def __str__(self) -> str:
        return f"{self.actor} {self.action} {self.subject}"
