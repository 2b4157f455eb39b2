"""How each state is told: its word, its icon and its tone."""

from dataclasses import dataclass

from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _

from deployments.domain.states import DeploymentStatus, RunKind, RunState, StepAction, StepState


@dataclass(frozen=True, slots=True)
class Look:
    """Word, icon (a name in parts/icons.html) and tone (ok, warn, bad, busy, idle)."""

    word: str | Promise
    icon: str
    tone: str


DEPLOYMENT: dict[str, Look] = {
    DeploymentStatus.NEW: Look(_("Not deployed"), "pen", "idle"),
    DeploymentStatus.DEPLOYING: Look(_("Deploying"), "busy", "busy"),
    DeploymentStatus.DESTROYING: Look(_("Destroying"), "busy", "busy"),
    DeploymentStatus.WAITING: Look(_("Waiting"), "wait", "busy"),
    DeploymentStatus.LIVE: Look(_("Live"), "ok", "ok"),
    DeploymentStatus.FAILED: Look(_("Failed"), "bad", "bad"),
    DeploymentStatus.DEGRADED: Look(_("Live, last run failed"), "warn", "warn"),
    DeploymentStatus.DESTROYED: Look(_("Destroyed"), "trash", "idle"),
}

RUN: dict[str, Look] = {
    RunState.QUEUED: Look(_("Queued"), "clock", "idle"),
    RunState.RUNNING: Look(_("Running"), "busy", "busy"),
    RunState.SUCCEEDED: Look(_("Succeeded"), "ok", "ok"),
    RunState.FAILED: Look(_("Failed"), "bad", "bad"),
    RunState.CANCELLED: Look(_("Cancelled"), "idle", "idle"),
}

STEP: dict[tuple[str, str], Look] = {
    (StepAction.APPLY, StepState.QUEUED): Look(_("Not started"), "clock", "idle"),
    (StepAction.APPLY, StepState.RUNNING): Look(_("Under way"), "busy", "busy"),
    (StepAction.APPLY, StepState.WAITING): Look(_("Waiting"), "wait", "busy"),
    (StepAction.APPLY, StepState.SUCCEEDED): Look(_("Ready"), "ok", "ok"),
    (StepAction.APPLY, StepState.FAILED): Look(_("Failed"), "bad", "bad"),
    (StepAction.APPLY, StepState.CANCELLED): Look(_("Cancelled"), "idle", "idle"),
    (StepAction.REMOVE, StepState.QUEUED): Look(_("Not started"), "clock", "idle"),
    (StepAction.REMOVE, StepState.RUNNING): Look(_("Removing"), "busy", "busy"),
    (StepAction.REMOVE, StepState.WAITING): Look(_("Waiting"), "wait", "busy"),
    (StepAction.REMOVE, StepState.SUCCEEDED): Look(_("Gone"), "ok", "ok"),
    (StepAction.REMOVE, StepState.FAILED): Look(_("Failed"), "bad", "bad"),
    (StepAction.REMOVE, StepState.CANCELLED): Look(_("Cancelled"), "idle", "idle"),
}

KIND: dict[str, str | Promise] = {
    RunKind.DEPLOY: _("Deploy"),
    RunKind.DESTROY: _("Destroy"),
    RunKind.RESTART: _("Restart"),
}

FOLLOWED = frozenset({DeploymentStatus.DEPLOYING, DeploymentStatus.DESTROYING, DeploymentStatus.WAITING})
"""Statuses with a run under way, which a page keeps looking at."""

_OUTCOMES: dict[str, str | Promise] = {
    "created": _("Created"),
    "changed": _("Changed"),
    "replaced": _("Replaced"),
    "removed": _("Removed"),
    "restarted": _("Restarted"),
    "unchanged": _("Unchanged"),
}


def outcome_word(outcome: str) -> str | Promise:
    """What a finished step did, as a word; one we do not know is shown as it is."""
    return _OUTCOMES.get(outcome, outcome.capitalize())


_ACTIONS: dict[str, str | Promise] = {
    "upload": _("Upload"),
    "create_deployment": _("Define a deployment"),
    "change": _("Add a revision"),
    "forget": _("Forget a deployment"),
    "deploy": _("Deploy"),
    "destroy": _("Destroy"),
    "restart": _("Restart"),
    "cancel": _("Cancel a run"),
    "invoke": _("Send an input"),
    "test": _("Send an input"),
    "save_sample": _("Keep a sample"),
    "delete_sample": _("Delete a sample"),
    "delete_entries": _("Delete cache entries"),
    "write_cache": _("Change a cache"),
    "raise_epoch": _("Raise the data epoch"),
    "create_environment": _("Add an environment"),
    "change_environment": _("Change an environment"),
    "set_member": _("Set a role"),
    "remove_member": _("Remove a role"),
    "manage": _("Manage an environment"),
    "create_token": _("Make an API token"),
    "revoke_token": _("Revoke an API token"),
    "view": _("Look"),
}


def action_word(action: str) -> str | Promise:
    """An action of the audit trail as words; one we do not know is shown as it is."""
    return _ACTIONS.get(action, action.replace("_", " ").capitalize())
