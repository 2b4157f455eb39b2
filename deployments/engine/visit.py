"""One visit to a claimed run: look at every step whose needs are met, and act on what is seen."""

import logging
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.conf import settings
from django.utils import timezone

from ..domain.errors import ConsoleError, ErrorDetail, TryAgainLater
from ..domain.resources import (
    Context,
    Observation,
    Pending,
    Ready,
    Resource,
    Target,
    Waiting,
)
from ..domain.states import StepAction, StepState
from ..models import ManagedResource, Run, StepRecord
from . import rows
from .known import Known
from .lease import Lease
from .moves import Line, move_step
from .verdicts import Act, Past, Verdict, judge

log = logging.getLogger(__name__)

BEGUN = {Act.CREATE: "Creating", Act.DESTROY: "Taking away"}


@dataclass
class StepVisit:
    """A step, its resource and row, and what this visit has to tell of them."""

    step: StepRecord
    resource: Resource
    row: ManagedResource | None
    ctx: Context
    lines: list[Line]

    @property
    def removes(self) -> bool:
        return self.step.action == StepAction.REMOVE


class Visit:
    """Visits the steps of one run once. Every write goes through the lease.

    Steps and rows are read once: whoever holds the lease is the only one who writes them.
    """

    def __init__(self, lease: Lease, run: Run, target: Target) -> None:
        self.lease = lease
        self.run = run
        self.now = timezone.now()
        self.again: list[float] = []
        self.sent: list[tuple[StepRecord, list[Line]]] = []
        self.steps = list(run.steps.order_by("position"))
        self.known = Known(run, target, now=self.now)

    def work(self) -> None:
        """Visit what can be visited; a step that ends lets those that need it start in the same visit."""
        visited: set[int] = set()
        while True:
            failed = any(step.state == StepState.FAILED for step in self.steps)
            over = {step.key for step in self.steps if step.state == StepState.SUCCEEDED}
            turn = [
                step
                for step in self.steps
                if step.pk not in visited
                and (
                    step.state in (StepState.RUNNING, StepState.WAITING)
                    or (step.state == StepState.QUEUED and not failed and set(step.needs) <= over)
                )
            ]
            if not turn:
                break
            for step in turn:
                visited.add(step.pk)
                self.visit_step(step)
        if self.sent:
            with self.lease.writing():
                for step, lines in self.sent:
                    self.update(step, {"acts_returned": step.attempts}, lines)

    def open(self, step: StepRecord) -> StepVisit | None:
        """The step with its resource; None when what it would remove has no row any more."""
        row = self.known.row(step)
        resource = self.known.resource(step, row)
        if resource is None:
            return None
        lines: list[Line] = []
        ctx = self.known.context(row, emit=lambda message: lines.append((step.key, "log", message)))
        return StepVisit(step, resource, row, ctx, lines)

    def visit_step(self, step: StepRecord) -> None:
        here = self.open(step)
        started = [(step.key, "state", f"{step.title}: started")] if step.state == StepState.QUEUED else []
        if here is None:
            with self.writing(step):
                self.succeed(step, "gone", started)
            return
        if started:
            here.lines += started
            step.log_cursor = self.end_of_log(here)
        try:
            self.look_and_act(here)
        except TryAgainLater as error:
            self.note(here, [(step.key, "log", f"{error} Next look in {error.seconds:.0f} s.")])
            self.again.append(error.seconds)
        except ConsoleError as error:
            self.fail(here, error.detail)
        except OSError as error:
            # A full disk, a missing folder, a refused permission: told as they are, the run ends instead of looping.
            self.fail(here, os_error_detail(error, here.resource.title))

    def look_and_act(self, here: StepVisit) -> None:
        step, resource = here.step, here.resource
        if here.removes and not resource.owned:
            lines = self.told(here)
            with self.writing(step):
                self.forget(here)
                self.succeed(step, "left alone", lines)
            return
        if here.removes and not step.attempts:
            resource.cancel(here.ctx)
        seen = resource.observe(here.ctx)
        wanted = "" if here.removes else resource.fingerprint(here.ctx)
        verdict = judge(
            seen,
            action=StepAction(step.action),
            wanted=wanted,
            past=self.past(here, wanted),
            settle=resource.settle,
            timeout=resource.timeout,
            title=resource.title,
        )
        match verdict.act:
            case Act.DONE:
                self.done(here, seen)
            case Act.FAIL:
                if not here.removes:
                    # What the run has given up must not come about by itself afterwards.
                    resource.cancel(here.ctx)
                self.fail(here, verdict.error or ErrorDetail("failed", f"{resource.title} failed"))
            case Act.CREATE | Act.DESTROY:
                self.act(here, verdict, wanted)
            case _:
                self.come_again(here, seen)

    def past(self, here: StepVisit, wanted: str) -> Past:
        step, row = here.step, here.row
        return Past(
            acted=step.attempts > 0,
            sent=step.acts_returned >= step.attempts,
            since_attempt=_seconds(self.now, row.attempted_at) if row else None,
            since_act=_seconds(self.now, step.acted_at),
            since_start=_seconds(self.now, step.started_at) or 0.0,
            same_wish=row is not None and row.fingerprint == wanted,
        )

    def act(self, here: StepVisit, verdict: Verdict, wanted: str) -> None:
        """Record the act, commit, then do it; a crash in between is settled by the next look."""
        step, resource = here.step, here.resource
        text = f"{BEGUN[verdict.act]} {resource.title.lower()} {resource.name}"
        here.lines.append((step.key, "state", f"{text}: {verdict.why}" if verdict.why else text))
        lines = self.told(here)
        changes: dict[str, Any] = {"attempts": step.attempts + 1, "acted_at": self.now}
        with self.writing(step):
            if verdict.act == Act.CREATE:
                here.row = self.known.keep(rows.record_attempt(self.run, resource, here.row, wanted, at=self.now))
                if not step.outcome:
                    changes["outcome"] = "changed" if here.row.ready_at else "created"
            elif not here.removes:
                changes["outcome"] = "replaced"
            self.update(step, changes, lines)
        if verdict.act == Act.CREATE:
            resource.create(here.ctx)
        else:
            resource.destroy(here.ctx)
        self.sent.append((step, self.told(here)))
        self.again.append(resource.poll)

    def come_again(self, here: StepVisit, seen: Observation) -> None:
        """Keep what this look has brought; a look that brought nothing writes nothing."""
        step = here.step
        changes = self.read_log(here)
        delay = here.resource.poll
        state = StepState.RUNNING
        if isinstance(seen, Waiting):
            state = StepState.WAITING
            if (step.waiting_for, step.waiting_action) != (seen.for_whom, seen.action):
                here.lines.append((step.key, "state", f"Waits for {seen.for_whom}: {seen.action}"))
                changes |= {"waiting_for": seen.for_whom, "waiting_action": seen.action}
        else:
            if step.state == StepState.WAITING:
                changes |= {"waiting_for": "", "waiting_action": ""}
            if isinstance(seen, Pending):
                delay = delay if seen.again_after is None else seen.again_after
                detail = seen.detail[:400]
                if detail and detail != step.detail:
                    here.lines.append((step.key, "log", detail))
                    changes["detail"] = detail
        lines = self.told(here)
        if lines or changes or step.state != state:
            with self.writing(step):
                if step.state == state:
                    self.update(step, changes, lines)
                else:
                    move_step(self.lease, step, state, lines=lines, **changes)
        self.again.append(delay)

    def done(self, here: StepVisit, seen: Observation) -> None:
        step = here.step
        changes = self.read_log(here)
        lines = self.told(here)
        with self.writing(step):
            if here.removes:
                self.forget(here)
            elif isinstance(seen, Ready):
                self.known.keep(rows.record_ready(self.run, here.resource, here.row, seen, at=self.now))
            self.succeed(step, "removed" if here.removes else step.outcome or "unchanged", lines, **changes)

    def fail(self, here: StepVisit, error: ErrorDetail) -> None:
        changes = self.read_log(here)
        lines = self.told(here)
        redact = self.known.redactor()
        safe = ErrorDetail.from_dict(
            {
                **{name: redact(str(value)) for name, value in error.as_dict().items() if name != "fix"},
                "fix": error.fix,
            }
        )
        told = " ".join(part for part in (f"{safe.message}.", safe.cause, safe.action) if part).replace("..", ".")
        lines.append((here.step.key, "error", told))
        changes |= {"error": safe.as_dict(), "outcome": "failed"}
        with self.writing(here.step):
            move_step(self.lease, here.step, StepState.FAILED, lines=lines, **changes)

    def note(self, here: StepVisit, lines: list[Line]) -> None:
        here.lines += lines
        safe = self.told(here)
        with self.writing(here.step):
            rows.append(self.run, safe)

    @contextmanager
    def writing(self, step: StepRecord) -> Iterator[None]:
        """A transaction under the lease, in which a step that is visited for the first time starts."""
        with self.lease.writing():
            if step.state == StepState.QUEUED:
                move_step(self.lease, step, StepState.RUNNING, lines=[], log_cursor=step.log_cursor)
            yield

    # ---- inside `writing()` of the caller

    def succeed(self, step: StepRecord, outcome: str, lines: list[Line], **changes: Any) -> None:
        line = (step.key, "state", f"{step.title}: {outcome}")
        move_step(self.lease, step, StepState.SUCCEEDED, lines=[*lines, line], outcome=outcome, **changes)

    def update(self, step: StepRecord, changes: Mapping[str, Any], lines: list[Line]) -> None:
        """Change fields of a step that stays in its state, and append the lines that tell of it."""
        for name, value in changes.items():
            setattr(step, name, value)
        if changes:
            step.save(update_fields=list(changes))
        rows.append(self.run, lines)

    def forget(self, here: StepVisit) -> None:
        if here.row:
            self.known.drop(here.row)
            rows.forget(self.run, here.row)

    # ---- what is told

    def told(self, here: StepVisit) -> list[Line]:
        """The lines collected so far, redacted, and collects anew.

        Called before a transaction begins: a secret that has to be masked may be read from far away.
        """
        if not here.lines:
            return []
        redact = self.known.redactor()
        lines = [(step, level, redact(message)) for step, level, message in here.lines]
        here.lines.clear()
        return lines

    def end_of_log(self, here: StepVisit) -> str:
        """Where a resource's log ends before this run: what it wrote earlier is not told again."""
        cursor = ""
        while (chunk := here.resource.read_log(here.ctx, cursor)).lines:
            cursor = chunk.cursor
        return chunk.cursor

    def read_log(self, here: StepVisit) -> dict[str, Any]:
        """Collect what the resource's own log has grown by; its cursor is to be stored with the lines."""
        chunk = here.resource.read_log(here.ctx, here.step.log_cursor)
        here.lines += [(here.step.key, "log", line) for line in chunk.lines]
        return {"log_cursor": chunk.cursor} if chunk.cursor != here.step.log_cursor else {}


def os_error_detail(error: OSError, title: str) -> ErrorDetail:
    """A failure of this machine, named."""
    full = error.errno == 28
    return ErrorDetail(
        code="disk_full" if full else "machine",
        message=f"{title}: {error.strerror or error}",
        cause=(
            f"The disk that holds {settings.CONSOLE_HOME} is full."
            if full
            else "The machine that runs the console refused it."
        ),
        action="Free some space, then retry." if full else "See the raw error, put it right, then retry.",
        raw=repr(error),
    )


def _seconds(now: datetime, then: datetime | None) -> float | None:
    return None if then is None else (now - then).total_seconds()
