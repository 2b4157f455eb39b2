"""Names of deployments and of what is made for them, and the tags that prove ownership."""

import re
import secrets
from collections.abc import Mapping

SLUG = re.compile(r"^[a-z](?:[a-z0-9-]{0,38}[a-z0-9])?$")
SLUG_RULE = "Use 1 to 40 lower-case letters, digits and hyphens; begin with a letter, do not end with a hyphen."

TAG_CONSOLE = "scoring-console"
TAG_DEPLOYMENT = "scoring-deployment"
TAG_NAME = "scoring-deployment-name"

_UID_ALPHABET = "abcdefghijkmnpqrstuvwxyz23456789"  # no l, o, 0, 1: they are misread


def is_slug(text: str) -> bool:
    """True for a name that a deployment or an environment may have."""
    return bool(SLUG.fullmatch(text)) and "--" not in text


def new_uid() -> str:
    """Eight random characters kept with a deployment, so that a name used again never meets old resources."""
    return "".join(secrets.choice(_UID_ALPHABET) for _ in range(8))


def resource_name(*, slug: str, uid: str) -> str:
    """The base name of all that belongs to one deployment, at most 49 characters."""
    return f"{slug}-{uid}"


def ownership_tags(*, console_id: str, uid: str, name: str) -> Mapping[str, str]:
    """What every resource that we make carries; only what carries them is ever destroyed."""
    return {TAG_CONSOLE: console_id, TAG_DEPLOYMENT: uid, TAG_NAME: name}
