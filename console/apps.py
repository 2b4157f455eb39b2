"""The app configurations of the site: the console itself and its admin."""

from django.apps import AppConfig
from django.contrib.admin.apps import AdminConfig


class ConsoleConfig(AppConfig):
    """Holds the site's static files, templates and management commands."""

    name = "console"


class ConsoleAdminConfig(AdminConfig):
    """The admin app with our AdminSite as its default, so that `admin.site` everywhere is ours."""

    default_site = "console.site.ConsoleAdminSite"
