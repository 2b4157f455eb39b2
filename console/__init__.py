"""The Django site: settings, URL map, Celery application, pages and REST API."""

from console.celery import app as celery_app

__all__ = ["celery_app"]
