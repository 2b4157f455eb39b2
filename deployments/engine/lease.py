"""Who holds a run: a claim by one conditional UPDATE, renewed while working, checked by every write."""

import logging
import threading
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta

from django.db import DatabaseError, connection, transaction
from django.db.models import Case, F, Value, When
from django.db.models.functions import Greatest
from django.utils import timezone

from ..domain.errors import LeaseLost
from ..models import Run

log = logging.getLogger(__name__)

LEASE = timedelta(seconds=30)
RENEW_EVERY = 10.0


@dataclass(frozen=True, slots=True)
class Lease:
    """The right to write what belongs to a run, until another worker takes it."""

    run_id: int
    token: str
    late: float = 0.0  # seconds between the time when the run could be claimed and the claim

    @contextmanager
    def writing(self) -> Iterator[None]:
        """A transaction that commits only while the lease is ours; raises LeaseLost before anything is written."""
        with transaction.atomic():
            self.renew()
            yield

    def renew(self) -> None:
        held = Run.objects.filter(pk=self.run_id, lease_token=self.token)
        if not held.update(lease_expires_at=timezone.now() + LEASE):
            raise LeaseLost(f"run {self.run_id}")

    def release(self, *, next_visit_in: float | None) -> None:
        """Give the run back; `next_visit_in` seconds sets the clock, None leaves it (the run is over)."""
        changes: dict[str, object] = {
            "lease_token": "",
            "lease_expires_at": None,
            "rung_at": None,
            "lateness": Greatest(F("lateness"), Value(self.late)),
        }
        if next_visit_in is not None:
            now = timezone.now()
            # Whoever asked to cancel during the visit set the clock to now, and lost their ring to this lease.
            changes["next_visit_at"] = Case(
                When(cancel_requested_at__isnull=False, then=Value(now)),
                default=Value(now + timedelta(seconds=next_visit_in)),
            )
        if not Run.objects.filter(pk=self.run_id, lease_token=self.token).update(**changes):
            raise LeaseLost(f"run {self.run_id}")


def claim(run_id: int) -> Lease | None:
    """Take a run that is due and free; None when it is not due, over, or held by another.

    It is read first, so that a ring that comes twice asks for no lock; the conditional UPDATE decides.
    """
    now = timezone.now()
    due = Run.objects.due(now).filter(pk=run_id)
    seen = due.values_list("next_visit_at", "lease_expires_at").first()
    if seen is None:
        return None
    token = uuid.uuid4().hex
    if not due.update(lease_token=token, lease_expires_at=now + LEASE, visits=F("visits") + 1):
        return None
    since = max(moment for moment in seen if moment)
    return Lease(run_id, token, late=(now - since).total_seconds())


@contextmanager
def kept(lease: Lease) -> Iterator[None]:
    """Renew the lease from a thread for as long as the block lasts: a slow provider call must not lose it."""
    stop = threading.Event()

    def renew() -> None:
        try:
            while not stop.wait(RENEW_EVERY):
                try:
                    lease.renew()
                except DatabaseError as error:
                    log.warning("the lease of run %s was not renewed: %s", lease.run_id, error)
        except LeaseLost:
            return  # the next write of the visit finds out by itself
        finally:
            connection.close()

    thread = threading.Thread(target=renew, name=f"lease-{lease.run_id}", daemon=True)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()
