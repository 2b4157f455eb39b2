"""States of runs and steps, each with its table of legal moves."""

from collections.abc import Mapping
from enum import StrEnum


class RunKind(StrEnum):
    DEPLOY = "deploy"
    DESTROY = "destroy"
    RESTART = "restart"


class RunState(StrEnum):
    QUEUED = "queued"  # committed; no worker has visited it
    RUNNING = "running"  # visited at least once; between visits nobody holds it
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    CANCELLED = "cancelled"


class StepState(StrEnum):
    QUEUED = "queued"  # its needs are not met yet
    RUNNING = "running"
    WAITING = "waiting"  # for a person; has no timeout
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    CANCELLED = "cancelled"


class StepAction(StrEnum):
    APPLY = "apply"  # bring the resource to what the revision wants
    REMOVE = "remove"  # take the resource away


RUN_MOVES: Mapping[RunState, frozenset[RunState]] = {
    RunState.QUEUED: frozenset({RunState.RUNNING, RunState.CANCELLED, RunState.FAILED}),
    RunState.RUNNING: frozenset({RunState.SUCCEEDED, RunState.FAILED, RunState.CANCELLED}),
    RunState.SUCCEEDED: frozenset(),
    RunState.FAILED: frozenset(),
    RunState.CANCELLED: frozenset(),
}

STEP_MOVES: Mapping[StepState, frozenset[StepState]] = {
    StepState.QUEUED: frozenset({StepState.RUNNING, StepState.CANCELLED}),
    StepState.RUNNING: frozenset({StepState.WAITING, StepState.SUCCEEDED, StepState.FAILED, StepState.CANCELLED}),
    StepState.WAITING: frozenset({StepState.RUNNING, StepState.SUCCEEDED, StepState.FAILED, StepState.CANCELLED}),
    StepState.SUCCEEDED: frozenset(),
    StepState.FAILED: frozenset(),
    StepState.CANCELLED: frozenset(),
}

ACTIVE_RUNS = frozenset(state for state, moves in RUN_MOVES.items() if moves)
FINISHED_RUNS = frozenset(RUN_MOVES) - ACTIVE_RUNS
UNFINISHED_STEPS = frozenset(state for state, moves in STEP_MOVES.items() if moves)


class DeploymentStatus(StrEnum):
    """What a deployment is now; always derived from its runs and rows, never stored."""

    NEW = "new"  # defined, never deployed
    DEPLOYING = "deploying"
    DESTROYING = "destroying"
    WAITING = "waiting"
    LIVE = "live"
    FAILED = "failed"  # last run failed and nothing serves
    DEGRADED = "degraded"  # last run failed, an earlier revision still serves
    DESTROYED = "destroyed"
