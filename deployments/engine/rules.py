"""The rules that a Spec has to meet whenever it is about to be brought about, not only when it is written down."""

from ..domain.environments import check_spec
from ..domain.spec import Spec
from ..models import Environment
from .binding import target_of


def check_rules(spec: Spec, environment: Environment) -> None:
    """Hold a Spec against the environment's rules of today and the target.

    An earlier revision may no longer be allowed: rules change, and local execution can be switched off.
    Raises SpecInvalid or SecretUnavailable.
    """
    check_spec(spec, environment.rules)
    target_of(environment).check(spec)
