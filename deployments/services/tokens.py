"""API tokens: made, shown once, kept as keyed digests."""

import hashlib
import hmac
import secrets
from datetime import datetime, timedelta
from typing import Any

from django.conf import settings
from django.db import transaction
from django.utils import timezone

from .. import audit
from ..domain.errors import ConsoleError, NotFound
from ..models import ApiToken
from ..policy import Actor, Scope

LABEL = "sc_"
DEFAULT_DAYS = 90


def create_token(
    *, user: Any, name: str, scopes: list[str], expires_at: datetime | None = None, actor: Actor | None = None
) -> str:
    """Make a token for a user and return its text, which is not kept.

    Raises ConsoleError for an unknown scope, or none at all.
    """
    unknown = sorted(set(scopes) - set(Scope))
    if unknown or not scopes:
        raise ConsoleError(
            f"Unknown scope {unknown[0]}" if unknown else "A token needs at least one scope",
            action=f"Choose from {', '.join(Scope)}.",
            field="scopes",
        )
    prefix = LABEL + secrets.token_hex(4)
    text = f"{prefix}_{secrets.token_urlsafe(32)}"
    with transaction.atomic():
        ApiToken.objects.create(
            user=user,
            name=name,
            prefix=prefix,
            digest=_digest(text),
            scopes=sorted(set(scopes)),
            expires_at=expires_at,
        )
        audit.record(actor or Actor(user, via="command"), "create_token", f"{name} {prefix}")
    return text


def actor_of_token(text: str) -> Actor | None:
    """Who a bearer token speaks for; None for anything that is not a valid token of an active user."""
    prefix = text[: len(LABEL) + 8]
    found = ApiToken.objects.select_related("user").filter(prefix=prefix).first()
    now = timezone.now()
    if found is None or not hmac.compare_digest(found.digest, _digest(text)):
        return None
    if not found.is_valid(now) or not found.user.is_active:
        return None
    if found.last_used_at is None or now - found.last_used_at > timedelta(minutes=1):
        ApiToken.objects.filter(pk=found.pk).update(last_used_at=now)
    return Actor(found.user, via=f"token {found.prefix}", scopes=frozenset(found.scopes))


def revoke_token(*, actor: Actor, token_id: int) -> None:
    """Revoke one of the actor's own tokens; administrators of the site may revoke anybody's."""
    mine = ApiToken.objects.all() if actor.is_site_admin else ApiToken.objects.filter(user=actor.user)
    found = mine.filter(pk=token_id).first()
    if found is None:
        raise NotFound("There is no such token of yours.")
    with transaction.atomic():
        ApiToken.objects.filter(pk=found.pk, revoked_at=None).update(revoked_at=timezone.now())
        audit.record(actor, "revoke_token", f"{found.name} {found.prefix}")


def _digest(text: str) -> str:
    return hmac.new(settings.SECRET_KEY.encode(), text.encode(), hashlib.sha256).hexdigest()
