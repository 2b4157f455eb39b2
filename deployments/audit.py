"""The append-only trail of what was done and refused; it holds names and reasons, never values."""

from .models import AuditEntry, Environment
from .policy import Actor


def record(
    actor: Actor,
    action: str,
    subject: str,
    *,
    environment: Environment | None = None,
    result: str = "done",
    reason: str = "",
) -> None:
    """Append one entry; call it in the transaction of what it tells."""
    AuditEntry.objects.create(
        actor=actor.name,
        via=actor.via,
        action=action,
        subject=subject[:260],
        environment=environment.name if environment else "",
        result=result,
        reason=reason[:400],
    )
