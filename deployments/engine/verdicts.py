"""What an observation calls for: the table of the design as one pure function."""

from dataclasses import dataclass
from enum import StrEnum

from ..domain.errors import ErrorDetail
from ..domain.resources import Absent, Broken, Observation, Pending, Ready, Stale, Waiting
from ..domain.states import StepAction


class Act(StrEnum):
    DONE = "done"
    CREATE = "create"
    DESTROY = "destroy"
    COME_AGAIN = "come_again"
    WAIT = "wait"
    FAIL = "fail"


@dataclass(frozen=True, slots=True)
class Past:
    """What has been done so far. Times are seconds before now; None: never.

    `since_attempt` counts from the last recorded act on the resource, by any run; `since_act` from this
    run's; `sent` says that this run's last act is known to have returned.
    """

    acted: bool = False
    sent: bool = True
    since_attempt: float | None = None
    since_act: float | None = None
    since_start: float = 0.0
    same_wish: bool = True  # the last recorded act was for the fingerprint that is wanted now


@dataclass(frozen=True, slots=True)
class Verdict:
    act: Act
    error: ErrorDetail | None = None
    why: str = ""


def judge(
    seen: Observation,
    *,
    action: StepAction,
    wanted: str,
    past: Past,
    settle: float,
    timeout: float,
    title: str,
) -> Verdict:
    """Decide the next act on one resource.

    An act whose return was never recorded (the worker was killed in it) is settled by looking: what is not
    visible after the settle time is sent again, which every resource must bear.
    """
    settling = past.since_attempt is not None and past.since_attempt < settle and past.same_wish
    waited = past.since_act if past.since_act is not None else past.since_start
    late = waited > timeout
    if action == StepAction.REMOVE:
        return _judge_removal(seen, past=past, settle=settle, late=late, timeout=timeout, title=title)
    match seen:
        case Ready(fingerprint=found) if found == wanted:
            return Verdict(Act.DONE)
        case Waiting():
            return Verdict(Act.WAIT)
        case Pending():
            return _timed_out(title, timeout, seen.detail) if late else Verdict(Act.COME_AGAIN)
        case Broken(error=error):
            if past.acted and past.sent:
                return Verdict(Act.FAIL, error)
            return Verdict(Act.CREATE, why=error.message)
    if settling:
        return Verdict(Act.COME_AGAIN)
    if past.acted and late:
        return _timed_out(title, timeout, "It is not what was asked for.")
    if isinstance(seen, Stale) and seen.replace:
        return Verdict(Act.DESTROY, why=seen.reason)
    return Verdict(Act.CREATE, why=seen.reason if isinstance(seen, Stale) else "")


def _judge_removal(seen: Observation, *, past: Past, settle: float, late: bool, timeout: float, title: str) -> Verdict:
    match seen:
        case Absent():
            # A create sent just before may not be visible yet; gone means gone after the settle time.
            fresh = past.since_attempt is not None and past.since_attempt < settle and not past.acted
            return Verdict(Act.COME_AGAIN if fresh else Act.DONE)
        case Waiting():
            return Verdict(Act.WAIT)
    if late:
        return _timed_out(title, timeout, "It is still there.")
    if isinstance(seen, Pending):
        return Verdict(Act.COME_AGAIN)
    settling = past.since_act is not None and past.since_act < settle and past.sent
    return Verdict(Act.COME_AGAIN if settling else Act.DESTROY)


def _timed_out(title: str, timeout: float, detail: str) -> Verdict:
    return Verdict(
        Act.FAIL,
        ErrorDetail(
            code="timeout",
            message=f"{title} was not ready after {timeout:.0f} s",
            cause=detail or "The provider did not say why.",
            action="Retry: what exists by then is found and used.",
        ),
    )
