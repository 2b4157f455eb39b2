"""Environments and who may do what in them."""

from typing import Any

from django.conf import settings
from django.db import models
from django.utils.translation import gettext_lazy as _
from simple_history.models import HistoricalRecords

from ..domain.environments import EnvironmentSettings, Role


class Environment(models.Model):
    """Where deployments live: a target and the rules that a platform engineer fixed once."""

    class Kind(models.TextChoices):
        LOCAL = "local", _("This machine")
        PAPER = "paper", _("Paper (pretend resources)")

    class Tone(models.TextChoices):
        LOCAL = "local", _("Local")
        DEV = "dev", _("Development")
        PROD = "prod", _("Production")

    name = models.SlugField(_("name"), max_length=40, unique=True)
    title = models.CharField(_("title"), max_length=120, blank=True)
    target = models.CharField(_("target"), max_length=20, choices=Kind.choices, default=Kind.LOCAL)
    tone = models.CharField(
        _("kind"),
        max_length=10,
        choices=Tone.choices,
        default=Tone.DEV,
        help_text=_("How firmly its name is framed, so that production is never mistaken for anything else."),
    )
    config = models.JSONField(_("rules"), default=dict, blank=True)
    created_at = models.DateTimeField(auto_now_add=True)
    history = HistoricalRecords()

    class Meta:
        ordering = ["name"]
        verbose_name = _("environment")
        verbose_name_plural = _("environments")

    def __str__(self) -> str:
        return self.name

    @property
    def rules(self) -> EnvironmentSettings:
        return EnvironmentSettings.model_validate(self.config)


class Membership(models.Model):
    """The role of one user in one environment, and whether they see there what was sent."""

    class Inputs(models.TextChoices):
        ROLE = "role", _("as the role has it")
        GRANTED = "granted", _("seen")
        WITHHELD = "withheld", _("not seen")

    ROLES = [
        (Role.VIEWER.value, _("Viewer")),
        (Role.TESTER.value, _("Tester")),
        (Role.DEPLOYER.value, _("Deployer")),
        (Role.ADMIN.value, _("Administrator")),
    ]
    environment = models.ForeignKey(Environment, on_delete=models.CASCADE, related_name="memberships")
    user = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="memberships")
    role = models.CharField(_("role"), max_length=10, choices=ROLES, default=Role.VIEWER.value)
    inputs = models.CharField(
        _("inputs"),
        max_length=10,
        choices=Inputs.choices,
        default=Inputs.ROLE,
        help_text=_("Whether what was sent to functions is shown; by the role it is from the tester on."),
    )
    history = HistoricalRecords()

    class Meta:
        ordering = ["environment__name", "user__username"]
        verbose_name = _("membership")
        verbose_name_plural = _("memberships")
        constraints = [models.UniqueConstraint(fields=["environment", "user"], name="one_role_per_environment")]

    def __str__(self) -> str:
        return f"{self.user} · {self.environment} · {self.role}"

    @property
    def sees_inputs(self) -> bool:
        """By the administrators' word where they gave one, else by the role."""
        if self.inputs == self.Inputs.ROLE:
            return Role(self.role).includes(Role.TESTER)
        return self.inputs == self.Inputs.GRANTED

    def as_dict(self) -> dict[str, Any]:
        return {
            "user": self.user.get_username(),
            "role": self.role,
            "inputs": self.inputs,
            "sees_inputs": self.sees_inputs,
        }
