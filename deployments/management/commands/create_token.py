"""Makes an API token on the command line, for scripts and for the first start."""

from argparse import ArgumentParser
from datetime import timedelta
from typing import Any

from django.contrib.auth import get_user_model
from django.core.management.base import BaseCommand, CommandError
from django.utils import timezone

from deployments.domain.errors import ConsoleError
from deployments.policy import Scope
from deployments.services.tokens import DEFAULT_DAYS, create_token


class Command(BaseCommand):
    help = "Make an API token for a user and print it, and nothing else; it is shown this once."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("user", metavar="USER", help="user name whose roles the token carries")
        parser.add_argument(
            "--scopes",
            nargs="+",
            required=True,
            metavar="SCOPE",
            help=f"what it may be used for: {', '.join(Scope)}, or all",
        )
        parser.add_argument("--name", default="made on the command line", help="how the list of tokens calls it")
        parser.add_argument(
            "--days", type=int, default=DEFAULT_DAYS, help="until it expires; 0 for never (default: %(default)s)"
        )

    def handle(self, *args: Any, **options: Any) -> None:
        user = get_user_model().objects.filter(username=options["user"]).first()
        if user is None:
            raise CommandError(f"There is no user {options['user']}.")
        scopes = [scope for given in options["scopes"] for scope in given.split(",") if scope]
        days = options["days"]
        if days < 0:
            raise CommandError("--days takes a number of days from now, or 0 for a token that does not expire.")
        try:
            text = create_token(
                user=user,
                name=options["name"],
                scopes=list(Scope) if scopes == ["all"] else scopes,
                expires_at=timezone.now() + timedelta(days=days) if days else None,
            )
        except ConsoleError as error:
            raise CommandError(f"{error}. {error.detail.action}") from error
        self.stdout.write(text)
