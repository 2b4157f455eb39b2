"""What each observation calls for, in a deploy and in a destroy: the table, row by row."""

import pytest

from deployments.domain.errors import ErrorDetail
from deployments.domain.resources import Absent, Broken, Observation, Pending, Ready, Stale, Waiting
from deployments.domain.states import StepAction
from deployments.engine.verdicts import Act, Past, judge

WANTED, OLD = "wanted", "old"
BROKEN = Broken(ErrorDetail("burst", "It burst"))
SETTLE, TIMEOUT = 2.0, 60.0

NEVER = Past()
JUST_SENT = Past(acted=True, since_attempt=1.0, since_act=1.0)
SENT = Past(acted=True, since_attempt=10.0, since_act=10.0)
KILLED_IN_IT = Past(acted=True, sent=False, since_attempt=10.0, since_act=10.0)
LONG_AGO = Past(acted=True, since_attempt=61.0, since_act=61.0)
BY_ANOTHER_RUN = Past(since_attempt=1.0)
BY_ANOTHER_RUN_FOR_OTHER = Past(since_attempt=1.0, same_wish=False)
WATCHED_LONG = Past(since_start=61.0)


def verdict(seen: Observation, action: StepAction, past: Past) -> Act:
    return judge(
        seen, action=action, wanted=WANTED, past=past, settle=SETTLE, timeout=TIMEOUT, title="Cache"
    ).act  # fmt: skip


@pytest.mark.parametrize(
    ("seen", "past", "act"),
    [
        (Ready({}, WANTED), NEVER, Act.DONE),
        (Ready({}, WANTED), JUST_SENT, Act.DONE),
        (Ready({}, WANTED), LONG_AGO, Act.DONE),
        (Ready({}, OLD), NEVER, Act.CREATE),
        (Ready({}, OLD), JUST_SENT, Act.COME_AGAIN),
        (Ready({}, OLD), SENT, Act.CREATE),
        (Ready({}, OLD), LONG_AGO, Act.FAIL),
        (Ready({}, OLD), BY_ANOTHER_RUN, Act.COME_AGAIN),
        (Ready({}, OLD), BY_ANOTHER_RUN_FOR_OTHER, Act.CREATE),
        (Absent(), NEVER, Act.CREATE),
        (Absent(), JUST_SENT, Act.COME_AGAIN),
        (Absent(), SENT, Act.CREATE),
        (Absent(), KILLED_IN_IT, Act.CREATE),
        (Absent(), LONG_AGO, Act.FAIL),
        (Absent(), WATCHED_LONG, Act.CREATE),
        (Stale("too small"), NEVER, Act.CREATE),
        (Stale("too small"), JUST_SENT, Act.COME_AGAIN),
        (Stale("too small"), LONG_AGO, Act.FAIL),
        (Stale("moved", replace=True), NEVER, Act.DESTROY),
        (Stale("moved", replace=True), JUST_SENT, Act.COME_AGAIN),
        (Pending(), NEVER, Act.COME_AGAIN),
        (Pending(), SENT, Act.COME_AGAIN),
        (Pending(), LONG_AGO, Act.FAIL),
        (Pending(), WATCHED_LONG, Act.FAIL),
        (Waiting("you", "do it"), NEVER, Act.WAIT),
        (Waiting("you", "do it"), LONG_AGO, Act.WAIT),
        (Waiting("you", "do it"), WATCHED_LONG, Act.WAIT),
        (BROKEN, NEVER, Act.CREATE),
        (BROKEN, BY_ANOTHER_RUN, Act.CREATE),
        (BROKEN, KILLED_IN_IT, Act.CREATE),
        (BROKEN, JUST_SENT, Act.FAIL),
        (BROKEN, SENT, Act.FAIL),
    ],
)
def test_apply(seen: Observation, past: Past, act: Act) -> None:
    assert verdict(seen, StepAction.APPLY, past) == act


@pytest.mark.parametrize(
    ("seen", "past", "act"),
    [
        (Absent(), NEVER, Act.DONE),
        (Absent(), SENT, Act.DONE),
        (Absent(), LONG_AGO, Act.DONE),
        (Absent(), BY_ANOTHER_RUN, Act.COME_AGAIN),
        (Ready({}, WANTED), NEVER, Act.DESTROY),
        (Ready({}, OLD), NEVER, Act.DESTROY),
        (Ready({}, OLD), JUST_SENT, Act.COME_AGAIN),
        (Ready({}, OLD), SENT, Act.DESTROY),
        (Ready({}, OLD), LONG_AGO, Act.FAIL),
        (Stale("too small"), NEVER, Act.DESTROY),
        (Pending(), NEVER, Act.COME_AGAIN),
        (Pending(), SENT, Act.COME_AGAIN),
        (Pending(), LONG_AGO, Act.FAIL),
        (Waiting("you", "do it"), NEVER, Act.WAIT),
        (Waiting("you", "do it"), LONG_AGO, Act.WAIT),
        (BROKEN, NEVER, Act.DESTROY),
        (BROKEN, KILLED_IN_IT, Act.DESTROY),
        (BROKEN, JUST_SENT, Act.COME_AGAIN),
        (BROKEN, LONG_AGO, Act.FAIL),
    ],
)
def test_remove(seen: Observation, past: Past, act: Act) -> None:
    assert verdict(seen, StepAction.REMOVE, past) == act


def test_what_fails_says_why_and_what_to_do() -> None:
    late = judge(
        Pending("provisioning"), action=StepAction.APPLY, wanted=WANTED, past=LONG_AGO, settle=SETTLE,
        timeout=TIMEOUT, title="Cache",
    )  # fmt: skip
    assert late.error is not None
    assert (late.error.code, late.error.cause) == ("timeout", "provisioning")
    assert "Cache was not ready after 60 s" in late.error.message
    assert late.error.action
    burst = judge(
        BROKEN, action=StepAction.APPLY, wanted=WANTED, past=SENT, settle=SETTLE, timeout=TIMEOUT, title="Cache"
    )
    assert burst.error == BROKEN.error
