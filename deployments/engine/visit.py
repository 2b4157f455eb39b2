"""One visit to a claimed run: look at every step whose needs are met, and act on what is seen."""

import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime

from django.conf import settings
from django.utils import timezone

from ..domain.errors import ConsoleError, ErrorDetail, NotFound, TryAgainLater
from ..domain.redactor import Redactor
from ..domain.resources import (
    ArtifactFile,
    Context,
    Observation,
    Outputs,
    Pending,
    Ready,
    Resource,
    Target,
    Waiting,
)
from ..domain.states import StepAction, StepState
from ..models import Artifact, ManagedResource, Run, StepRecord
from . import rows, secrets
from .graph import resource_of
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
    """Visits the steps of one run once. Every write goes through the lease."""

    def __init__(self, lease: Lease, run: Run, target: Target) -> None:
        self.lease = lease
        self.run = run
        self.target = target
        self.now = timezone.now()
        self.again: list[float] = []

    def steps(self) -> list[StepRecord]:
        return list(self.run.steps.order_by("position"))

    def work(self) -> None:
        """Visit what can be visited; a step that ends lets those that need it start in the same visit."""
        visited: set[int] = set()
        while True:
            steps = self.steps()
            failed = any(step.state == StepState.FAILED for step in steps)
            over = {step.key for step in steps if step.state == StepState.SUCCEEDED}
            turn = [
                step
                for step in steps
                if step.pk not in visited
                and (
                    step.state in (StepState.RUNNING, StepState.WAITING)
                    or (step.state == StepState.QUEUED and not failed and set(step.needs) <= over)
                )
            ]
            if not turn:
                return
            for step in turn:
                visited.add(step.pk)
                self.visit_step(step)

    def visit_step(self, step: StepRecord) -> None:
        here = self.open(step)
        if step.state == StepState.QUEUED:
            cursor = self.end_of_log(here) if here else ""
            with self.lease.writing():
                line = (step.key, "state", f"{step.title}: started")
                move_step(self.lease, step, StepState.RUNNING, lines=[line], log_cursor=cursor)
        if here is None:
            self.end(step, StepState.SUCCEEDED, "gone", [])
            return
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
            with self.lease.writing():
                if here.row:
                    here.row.delete()
            self.end(step, StepState.SUCCEEDED, "left alone", here.lines)
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
        with self.lease.writing():
            if verdict.act == Act.CREATE:
                here.row = rows.record_attempt(self.run, resource, wanted, at=self.now)
                if not step.outcome:
                    step.outcome = "changed" if here.row.ready_at else "created"
            elif not here.removes:
                step.outcome = "replaced"
            step.attempts += 1
            step.acted_at = self.now
            step.save(update_fields=["attempts", "acted_at", "outcome"])
            self.append(here)
        if verdict.act == Act.CREATE:
            resource.create(here.ctx)
        else:
            resource.destroy(here.ctx)
        with self.lease.writing():
            step.acts_returned = step.attempts
            step.save(update_fields=["acts_returned"])
            self.append(here)
        self.again.append(resource.poll)

    def come_again(self, here: StepVisit, seen: Observation) -> None:
        step = here.step
        self.read_log(here)
        delay = here.resource.poll
        if isinstance(seen, Waiting):
            if (step.waiting_for, step.waiting_action) != (seen.for_whom, seen.action):
                here.lines.append((step.key, "state", f"Waits for {seen.for_whom}: {seen.action}"))
            with self.lease.writing():
                changes = {"waiting_for": seen.for_whom, "waiting_action": seen.action}
                if step.state == StepState.RUNNING:
                    move_step(self.lease, step, StepState.WAITING, lines=[], **changes)
                self.append(here)
        else:
            detail = seen.detail if isinstance(seen, Pending) else ""
            if isinstance(seen, Pending) and seen.again_after is not None:
                delay = seen.again_after
            with self.lease.writing():
                if step.state == StepState.WAITING:
                    move_step(self.lease, step, StepState.RUNNING, lines=[], waiting_for="", waiting_action="")
                if detail and detail != step.detail:
                    step.detail = detail[:400]
                    step.save(update_fields=["detail"])
                    here.lines.append((step.key, "log", detail))
                self.append(here)
        self.again.append(delay)

    def done(self, here: StepVisit, seen: Observation) -> None:
        step = here.step
        self.read_log(here)
        with self.lease.writing():
            if here.removes:
                rows.forget(self.run, here.row)
            elif isinstance(seen, Ready):
                rows.record_ready(self.run, here.resource, seen, at=self.now)
            self.append(here)
        outcome = "removed" if here.removes else step.outcome or "unchanged"
        self.end(step, StepState.SUCCEEDED, outcome, [])

    def end(self, step: StepRecord, state: StepState, outcome: str, lines: list[Line]) -> None:
        with self.lease.writing():
            text = f"{step.title}: {outcome}"
            move_step(self.lease, step, state, lines=[*lines, (step.key, "state", text)], outcome=outcome)

    def fail(self, here: StepVisit, error: ErrorDetail) -> None:
        self.read_log(here)
        redact = self.redactor()
        safe = ErrorDetail.from_dict(
            {
                **{name: redact(str(value)) for name, value in error.as_dict().items() if name != "fix"},
                "fix": error.fix,
            }
        )
        told = " ".join(part for part in (f"{safe.message}.", safe.cause, safe.action) if part).replace("..", ".")
        with self.lease.writing():
            self.append(here)
            move_step(
                self.lease,
                here.step,
                StepState.FAILED,
                lines=[(here.step.key, "error", told)],
                error=safe.as_dict(),
                outcome="failed",
            )

    def note(self, here: StepVisit, lines: list[Line]) -> None:
        here.lines += lines
        with self.lease.writing():
            self.append(here)

    def append(self, here: StepVisit) -> None:
        """Store the lines collected so far, redacted; inside the caller's transaction."""
        redact = self.redactor()
        lines = [(step, level, redact(message)) for step, level, message in here.lines]
        here.lines.clear()
        rows.append(self.run, lines)

    def end_of_log(self, here: StepVisit) -> str:
        """Where a resource's log ends before this run: what it wrote earlier is not told again."""
        cursor = ""
        while (chunk := here.resource.read_log(here.ctx, cursor)).lines:
            cursor = chunk.cursor
        return chunk.cursor

    def read_log(self, here: StepVisit) -> None:
        """Take over what the resource's own log has grown by; stored with its cursor in one transaction."""
        chunk = here.resource.read_log(here.ctx, here.step.log_cursor)
        if chunk.cursor == here.step.log_cursor and not chunk.lines:
            return
        here.lines += [(here.step.key, "log", line) for line in chunk.lines]
        here.step.log_cursor = chunk.cursor
        with self.lease.writing():
            here.step.save(update_fields=["log_cursor"])
            self.append(here)

    # ---- what a resource is given

    def open(self, step: StepRecord) -> StepVisit | None:
        row = self.run.deployment.resources.filter(key=step.resource_key, name=step.name).first()
        resource = resource_of(step, target=self.target, run=self.run, row=row)
        if resource is None:
            return None
        lines: list[Line] = []
        ctx = self.context(row, emit=lambda message: lines.append((step.key, "log", message)))
        return StepVisit(step, resource, row, ctx, lines)

    def context(self, row: ManagedResource | None, *, emit: Callable[[str], None] = lambda message: None) -> Context:
        ready = self.run.deployment.resources.exclude(ready_at=None)
        outputs: Mapping[str, Outputs] = {found.key: found.outputs for found in ready}
        return Context(
            deployment=self.run.deployment.ref(),
            now=self.now,
            outputs=outputs,
            generation=row.generation if row else 0,
            secret=self.secret,
            artifact=artifact_file,
            emit=emit,
        )

    def secret(self, ref: str) -> str:
        return secrets.resolve(ref, of_resource=self.secrets_of)

    def secrets_of(self, key: str) -> Mapping[str, str]:
        return secrets.secrets_of(self.run.deployment, key)

    def redactor(self) -> Redactor:
        """Knows every secret that this run can meet; made once a visit, before anything is stored."""
        values: list[str] = []
        for row in self.run.deployment.resources.all():
            values += self.secrets_of(row.key).values()
        for ref in self.run.revision.spec.secret_refs():
            try:
                values.append(self.secret(ref))
            except ConsoleError:
                continue  # a value that cannot be read cannot be printed by a child either
        return Redactor(values)


def artifact_file(digest: str) -> ArtifactFile:
    """The uploaded file of a digest. Raises NotFound."""
    found = Artifact.objects.filter(pk=digest).first()
    if found is None or not found.path.exists():
        raise NotFound(
            f"The uploaded file {digest[:12]} is gone",
            cause="It was deleted from the artifact store.",
            action="Upload the same file again; its id stays the same.",
        )
    return found.as_file()


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
