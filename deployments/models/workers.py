"""When a worker was last seen."""

from django.db import models


class WorkerSeen(models.Model):
    """One row per worker process name, stamped when it answers the doorbell."""

    name = models.CharField(primary_key=True, max_length=120)
    at = models.DateTimeField()

    def __str__(self) -> str:
        return self.name
