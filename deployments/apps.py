"""Registers the app and its system checks."""

from django.apps import AppConfig
from django.utils.translation import gettext_lazy as _

from . import checks  # noqa: F401  importing it registers the checks


class DeploymentsConfig(AppConfig):
    name = "deployments"
    verbose_name = _("Deployments")
    default_auto_field = "django.db.models.BigAutoField"
