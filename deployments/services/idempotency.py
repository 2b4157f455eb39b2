"""Does what a repeated request asks for once, and answers the repetitions with what was answered first."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

from django.db import IntegrityError, transaction
from django.utils import timezone

from ..domain.errors import ConsoleError, SpecInvalid
from ..models import IdempotentAnswer
from ..policy import Actor

KEPT = timedelta(hours=24)
LONGEST_KEY = 255


@dataclass(frozen=True, slots=True)
class Answer:
    """Status, headers and JSON body of an answer; `replayed` when it was given before."""

    status: int
    body: Any
    headers: Mapping[str, str] = field(default_factory=dict)
    replayed: bool = False


class KeyReused(ConsoleError):
    """An Idempotency-Key came again with another body."""

    code = "idempotency_key_reused"
    status = 422


def once(*, actor: Actor, operation: str, key: str, body_digest: str, act: Callable[[], Answer]) -> Answer:
    """Do `act` and keep its answer, or give the answer that is kept under the key.

    The answer is committed in one transaction with what `act` did, so that a process killed in between leaves
    both or neither; of two requests at the same time the second waits for the first. An `act` that raises keeps
    nothing: the same key may be tried again after the cure. Raises SpecInvalid, KeyReused, or what `act` raises.
    """
    if not 0 < len(key) <= LONGEST_KEY:
        raise SpecInvalid([("Idempotency-Key", f"give 1 to {LONGEST_KEY} characters")])
    now = timezone.now()
    mine = IdempotentAnswer.objects.filter(user=actor.user, operation=operation, key=key)
    IdempotentAnswer.objects.filter(created_at__lt=now - KEPT).delete()
    refused: ConsoleError | None = None
    with transaction.atomic():
        try:
            with transaction.atomic():
                row = IdempotentAnswer.objects.create(
                    user=actor.user, operation=operation, key=key, body_digest=body_digest, created_at=now
                )
        except IntegrityError:
            return _replay(mine.get(), body_digest)
        try:
            answer = act()
        except ConsoleError as error:
            # Raised on after the commit: what was told to the audit trail of a refusal must stay.
            refused = error
            row.delete()
        else:
            mine.update(status=answer.status, headers=dict(answer.headers), body=answer.body)
    if refused is not None:
        raise refused
    return answer


def _replay(kept: IdempotentAnswer, body_digest: str) -> Answer:
    if kept.body_digest != body_digest:
        raise KeyReused(
            "This Idempotency-Key was used with another body",
            cause="A key stands for one request and its repetitions.",
            action="Make a new key for a new request.",
            field="Idempotency-Key",
        )
    return Answer(status=kept.status, body=kept.body, headers=kept.headers, replayed=True)
