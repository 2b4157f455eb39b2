"""References to secrets: what is stored and shown instead of a value."""

import re
from typing import Annotated, Literal

from pydantic import AfterValidator

from .errors import SecretUnavailable

ENV_PREFIX = "SCORING_SECRET_"

_ENV = re.compile(rf"^env:({ENV_PREFIX}[A-Z0-9_]{{1,80}})$")
_VAULT = re.compile(r"^keyvault:([a-zA-Z][a-zA-Z0-9-]{2,23})/([0-9a-zA-Z-]{1,127})$")
_OUTPUT = re.compile(r"^output:([a-z][a-z0-9-]{0,40})/([a-z][a-z0-9_]{0,40})$")

Kind = Literal["env", "keyvault", "output"]


def parse_ref(text: str) -> tuple[Kind, str, str]:
    """Split a reference into kind, place and name.

    Raises ValueError for anything but `env:SCORING_SECRET_*`, `keyvault:vault/name` and `output:key/name`.
    """
    if found := _ENV.fullmatch(text):
        return "env", "", found[1]
    if found := _VAULT.fullmatch(text):
        return "keyvault", found[1], found[2]
    if found := _OUTPUT.fullmatch(text):
        return "output", found[1], found[2]
    raise ValueError(
        f"write a reference, never the secret itself: env:{ENV_PREFIX}NAME, keyvault:vault/name or output:resource/name"
    )


def _checked(text: str) -> str:
    parse_ref(text)
    return text


SecretRef = Annotated[str, AfterValidator(_checked)]
"""A string that names a secret; safe to store, log and show."""


def check_ref_allowed(ref: str, *, allowed_env: tuple[str, ...], allowed_vaults: tuple[str, ...]) -> None:
    """Refuse a reference that the environment does not allow its deployers to make.

    Raises SecretUnavailable. Without this a deployer could have another team's secret handed to their own code.
    """
    kind, place, name = parse_ref(ref)
    if kind == "env" and name not in allowed_env:
        raise SecretUnavailable(
            f"{ref} is not allowed in this environment",
            cause="The environment's administrators have not listed this variable.",
            action=f"Ask an administrator of the environment to add {name} to its allowed secrets.",
        )
    if kind == "keyvault" and place not in allowed_vaults:
        raise SecretUnavailable(
            f"The vault {place} is not allowed in this environment",
            cause="The environment's administrators have not listed this vault.",
            action=f"Ask an administrator of the environment to add {place} to its allowed vaults.",
        )
