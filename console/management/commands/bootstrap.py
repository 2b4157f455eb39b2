"""`manage.py bootstrap`: what a console needs before its processes start; twice does no harm."""

import secrets
from typing import Any

from django.conf import settings
from django.contrib.auth import get_user_model
from django.core.management import call_command
from django.core.management.base import BaseCommand

from console.home import Home, write_private
from deployments.policy import Scope
from deployments.services.tokens import create_token

ADMINISTRATOR = "admin"


class Command(BaseCommand):
    """Leaves the sign-in in the home's `sign_in.json`, readable by its owner alone."""

    help = "Migrate the database, collect the static files, and make the first administrator and environment."

    def handle(self, *args: Any, **options: Any) -> None:
        call_command("migrate", interactive=False, verbosity=0)
        call_command("collectstatic", interactive=False, verbosity=0)
        home: Home = settings.HOME
        if not home.sign_in_file.exists():
            write_private(home.sign_in_file, _make_sign_in())


def _make_sign_in() -> dict[str, Any]:
    """A random password for a new administrator; None for one that exists and keeps the password it has."""
    user, made = get_user_model().objects.get_or_create(
        username=ADMINISTRATOR, defaults={"is_staff": True, "is_superuser": True}
    )
    password = secrets.token_urlsafe(12) if made else None
    if made:
        user.set_password(password)
        user.save()
    token = create_token(user=user, name="bin/up", scopes=list(Scope))
    return {"username": ADMINISTRATOR, "password": password, "api_token": token, "deployment": None}
