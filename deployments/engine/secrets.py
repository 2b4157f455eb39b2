"""References become values here, in memory, at the moment of use."""

import os
from collections.abc import Callable, Mapping

from django.utils import timezone

from ..domain.errors import SecretUnavailable
from ..domain.resources import Context, DeploymentRef, Target
from ..domain.secrets import parse_ref
from ..models import Deployment, ManagedResource
from .binding import target_of

SecretsOfResource = Callable[[str], Mapping[str, str]]


def resolve(ref: str, *, of_resource: SecretsOfResource) -> str:
    """The value of a reference. Raises SecretUnavailable, which never holds a value."""
    kind, place, name = parse_ref(ref)
    if kind == "env":
        value = os.environ.get(name)
        if not value:
            raise SecretUnavailable(
                f"{ref} has no value",
                cause=f"The variable {name} is not set where the workers run.",
                action=f"Set {name} in the environment of the console's workers and start them again.",
            )
        return value
    if kind == "output":
        value = of_resource(place).get(name)
        if not value:
            raise SecretUnavailable(
                f"{ref} has no value yet",
                cause=f"The resource {place} has not been made, or has no secret called {name}.",
                action="Deploy first, then try again.",
            )
        return value
    raise SecretUnavailable(
        f"{ref} cannot be read",
        cause=f"No Azure sign-in is set up for the vault {place}.",
        action="Use env:SCORING_SECRET_NAME on the local target.",
    )


def secrets_of(deployment: Deployment, key: str) -> Mapping[str, str]:
    """The secrets of one recorded resource by name; {} where it has none. Never store or show them."""
    row = deployment.resources.filter(key=key).first()
    return secrets_of_row(row, target=target_of(deployment.environment), ref=deployment.ref()) if row else {}


def secrets_of_row(row: ManagedResource, *, target: Target, ref: DeploymentRef) -> Mapping[str, str]:
    """The same of a row that is at hand."""
    ctx = Context(deployment=ref, now=timezone.now(), generation=row.generation)
    return target.recorded(row.recorded(), ref).secrets(ctx)
