"""Who holds a run: a claim by one conditional UPDATE, renewed while working, checked by every write."""

import threading
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta

from django.db import connection, transaction
from django.utils import timezone

from ..domain.errors import LeaseLost
from ..models import Run

LEASE = timedelta(seconds=30)
RENEW_EVERY = 10.0


@dataclass(frozen=True, slots=True)
class Lease:
    """The right to write what belongs to a run, until another worker takes it."""

    run_id: int
    token: str

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
        changes: dict[str, object] = {"lease_token": "", "lease_expires_at": None}
        if next_visit_in is not None:
            changes["next_visit_at"] = timezone.now() + timedelta(seconds=next_visit_in)
        if not Run.objects.filter(pk=self.run_id, lease_token=self.token).update(**changes):
            raise LeaseLost(f"run {self.run_id}")


def claim(run_id: int) -> Lease | None:
    """Take a run that is due and free; None when it is not due, over, or held by another."""
    now = timezone.now()
    token = uuid.uuid4().hex
    taken = Run.objects.due(now).filter(pk=run_id).update(lease_token=token, lease_expires_at=now + LEASE)
    return Lease(run_id, token) if taken else None


@contextmanager
def kept(lease: Lease) -> Iterator[None]:
    """Renew the lease from a thread for as long as the block lasts: a slow provider call must not lose it."""
    stop = threading.Event()

    def renew() -> None:
        try:
            while not stop.wait(RENEW_EVERY):
                lease.renew()
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
