"""How long test calls of a deployment are kept."""

from django.db import transaction
from django.utils import timezone

from .. import audit
from ..domain.errors import ConsoleError
from ..domain.limits import MAX_KEEP_DAYS
from ..models import Deployment, Invocation
from ..policy import Actor, Verb
from .access import require


def keep_invocations(*, actor: Actor, deployment: Deployment, days: int) -> int:
    """Keep test calls so many days (0 to 366; 0 keeps none, pinned ones neither), from now on and at once.

    Returns how many that are older were deleted. Raises NotAllowed, or ConsoleError for another number.
    """
    require(actor, Verb.DEPLOY, deployment.environment, subject=deployment.name)
    if not 0 <= days <= MAX_KEEP_DAYS:
        raise ConsoleError(
            f"Test calls are kept 0 to {MAX_KEEP_DAYS} days.",
            action=f"Choose a number of days up to {MAX_KEEP_DAYS}; 0 keeps none.",
            field="keep_invocations_days",
        )
    with transaction.atomic():
        deployment.keep_invocations_days = days
        deployment.save(update_fields=["keep_invocations_days"])
        overdue = Invocation.objects.filter(deployment=deployment).overdue(timezone.now())
        _all, deleted = overdue.delete()
        count = deleted.get(Invocation._meta.label, 0)
        audit.record(
            actor,
            "keep_invocations",
            f"{deployment.name}: {days} days, {count} test calls deleted",
            environment=deployment.environment,
        )
    return count
