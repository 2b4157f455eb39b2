"""The app configuration of the pages."""

from django.apps import AppConfig


class WebConfig(AppConfig):
    """Holds the pages and their template tags."""

    name = "console.web"
    label = "web"
