"""Whether the console can do its work now: its database, its broker and a worker answer."""

import logging
from datetime import timedelta

from celery import current_app
from django.db import DatabaseError, connection
from kombu.exceptions import OperationalError

from .runs import worker_seen

log = logging.getLogger(__name__)

WORKER_LATELY = timedelta(seconds=20)  # the doorbell rings every second; a busy worker may be late
BROKER_SECONDS = 2.0


def is_ready() -> bool:
    """True when a run that is started now would move. What is missing goes to the log, not to the asker."""
    return _database_answers() and _broker_answers() and _worker_answers()


def _database_answers() -> bool:
    try:
        with connection.cursor() as cursor:
            cursor.execute("SELECT 1")
    except DatabaseError as error:
        log.warning("not ready: the database does not answer: %s", error)
        return False
    return True


def _broker_answers() -> bool:
    with current_app.connection_for_write(connect_timeout=BROKER_SECONDS) as broker:
        try:
            broker.ensure_connection(max_retries=1, interval_start=0, interval_step=0, timeout=BROKER_SECONDS)
        except (OperationalError, OSError) as error:
            log.warning("not ready: the broker does not answer: %s", error)
            return False
    return True


def _worker_answers() -> bool:
    try:
        seen = worker_seen(within=WORKER_LATELY)
    except DatabaseError as error:
        log.warning("not ready: %s", error)
        return False
    if not seen:
        log.warning("not ready: no worker has answered for %s seconds", WORKER_LATELY.seconds)
    return seen
