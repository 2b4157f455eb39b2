"""`manage.py bootstrap`: what a console needs before its processes start; twice does no harm."""

import hashlib
import secrets
from operator import itemgetter
from pathlib import Path
from typing import Any

from django.conf import settings
from django.contrib.auth import get_user_model
from django.contrib.staticfiles.finders import get_finders
from django.core.management import call_command
from django.core.management.base import BaseCommand

from console.home import Home, write_private
from deployments.models import Environment
from deployments.policy import Actor, Scope
from deployments.services.environments import save_environment
from deployments.services.tokens import create_token

ADMINISTRATOR = "admin"
ENVIRONMENT = "local"


class Command(BaseCommand):
    """Leaves the sign-in in the home's `sign_in.json`, readable by its owner alone."""

    help = "Migrate the database, collect the static files, and make the first administrator and environment."

    def handle(self, *args: Any, **options: Any) -> None:
        call_command("migrate", interactive=False, verbosity=0)
        home: Home = settings.HOME
        _collect_static(home)
        if not home.sign_in_file.exists():
            write_private(home.sign_in_file, _make_sign_in())


def _collect_static(home: Home) -> None:
    """Collect and compress, which takes seconds, only when a file has changed since the last time."""
    stamp = home.var / "static.made-from"
    digest = hashlib.sha256()
    for finder in get_finders():
        for path, storage in sorted(finder.list([]), key=itemgetter(0)):
            found = Path(storage.path(path)).stat()
            digest.update(f"{path} {found.st_size} {found.st_mtime_ns}\n".encode())
    if not stamp.exists() or stamp.read_text() != digest.hexdigest():
        call_command("collectstatic", interactive=False, clear=True, verbosity=0)
        stamp.write_text(digest.hexdigest())


def _make_sign_in() -> dict[str, Any]:
    """A random password for a new administrator; None for one that exists and keeps the password it has."""
    user, made = get_user_model().objects.get_or_create(
        username=ADMINISTRATOR, defaults={"is_staff": True, "is_superuser": True}
    )
    password = secrets.token_urlsafe(12) if made else None
    if made:
        user.set_password(password)
        user.save()
    if not Environment.objects.filter(name=ENVIRONMENT).exists():
        save_environment(
            actor=Actor(user, via="bootstrap"),
            name=ENVIRONMENT,
            target=Environment.Kind.LOCAL,
            tone=Environment.Tone.LOCAL,
            title="This machine",
        )
    token = create_token(user=user, name="bin/up", scopes=list(Scope))
    return {"username": ADMINISTRATOR, "password": password, "api_token": token, "deployment": None}
