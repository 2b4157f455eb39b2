"""What needs a person: failed, degraded and waiting deployments, a silent worker, tokens about to end."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext as _

from console.web.deployment_list import ATTENTION, Listed, sorted_by
from console.web.formats import sentence
from console.web.wizard.steps import ORDER
from deployments.domain.states import DeploymentStatus, StepState
from deployments.models import Environment, Run, Sighting, StepRecord
from deployments.services.access import Actor
from deployments.services.drafts import drafts

TOKEN_ENDS_SOON = timedelta(days=7)
DRAFTS_SHOWN = 3


@dataclass(frozen=True, slots=True)
class Item:
    """One line: who, what, why, since when, and the one thing to do next."""

    tone: str
    icon: str
    subject: str
    url: str
    headline: str
    text: str
    when: datetime | None
    action: str
    action_url: str
    environment: Environment | None = None


def attention(actor: Actor, lines: list[Listed], *, worker_silent: bool) -> list[Item]:
    """Everything that waits for somebody, worst first."""
    troubled = sorted_by("status", [line for line in lines if line.status in ATTENTION])
    runs = _newest_runs(troubled)
    items = [_silent_worker()] if worker_silent else []
    items += [_item(line, runs[line.deployment.pk]) for line in troubled]
    return items + _drifted(lines) + _ending_tokens(actor) + _drafts(actor)


def _newest_runs(lines: list[Listed]) -> dict[int, Run]:
    wanted = [line.deployment.pk for line in lines]
    runs = Run.objects.filter(deployment_id__in=wanted).select_related("revision").prefetch_related("steps")
    return {run.deployment_id: run for run in runs.order_by("pk")}


def _item(line: Listed, run: Run) -> Item:
    steps = list(run.steps.all())
    shared: dict[str, Any] = {
        "subject": line.name,
        "url": reverse("web:deployment", args=[line.name]),
        "action_url": reverse("web:run", args=[run.pk]),
        "environment": line.deployment.environment,
    }
    if line.status == DeploymentStatus.WAITING:
        step = next(step for step in steps if step.state == StepState.WAITING)
        return Item(
            tone="busy",
            icon="wait",
            headline=_("waits for %(whom)s") % {"whom": step.waiting_for},
            text=_("%(what)s The run goes on by itself once that is done.") % {"what": sentence(step.waiting_action)},
            when=step.started_at,
            action=_("Open the run"),
            **shared,
        )
    failed = next((step for step in steps if step.state == StepState.FAILED), None)
    serves = line.status == DeploymentStatus.DEGRADED
    return Item(
        tone="warn" if serves else "bad",
        icon="warn" if serves else "bad",
        headline=_failed_words(failed, run, serves=serves),
        text=_why(failed, run),
        when=run.finished_at,
        action=_("See the cure"),
        **shared,
    )


def _failed_words(step: StepRecord | None, run: Run, *, serves: bool) -> str:
    where = step.title if step else _("the start")
    if serves:
        return _("failed at %(where)s; the revision before it still serves") % {"where": where}
    return _("failed at %(where)s") % {"where": where}


def _why(step: StepRecord | None, run: Run) -> str:
    detail = (step.error_detail if step else None) or run.error_detail
    return detail.message if detail else ""


def _silent_worker() -> Item:
    return Item(
        tone="bad",
        icon="bad",
        subject=_("No worker answers"),
        url=reverse("web:runs"),
        headline="",
        text=_("Runs are kept and wait. Look at the worker's log, or start bin/up again; they go on by themselves."),
        when=None,
        action=_("See the runs"),
        action_url=reverse("web:runs"),
    )


def _drifted(lines: list[Listed]) -> list[Item]:
    """What is live and is not as its revision wants it, seen for a while and with no run under way."""
    live = {line.deployment.pk: line for line in lines if line.status == DeploymentStatus.LIVE}
    found = Sighting.objects.filter(deployment_id__in=live, differs_since__isnull=False).select_related("revision")
    return [
        Item(
            tone="warn",
            icon="drift",
            subject=(line := live[sighting.deployment_id]).name,
            url=reverse("web:deployment", args=[line.name]),
            headline=_("differs from revision %(number)d") % {"number": sighting.revision.number},
            text=differences(sighting),
            when=sighting.differs_since,
            action=_("Compare"),
            action_url=f"{reverse('web:deployment', args=[line.name])}#drift",
            environment=line.deployment.environment,
        )
        for sighting in found.order_by("differs_since")
    ]


def differences(sighting: Sighting) -> str:
    """What differs, in one line."""
    told = (f"{found['title']}: {found['why'] or found['action']}" for found in sighting.differences)
    return sentence("; ".join(told))


def _ending_tokens(actor: Actor) -> list[Item]:
    now = timezone.now()
    ending = actor.user.api_tokens.filter(revoked_at=None, expires_at__gt=now, expires_at__lt=now + TOKEN_ENDS_SOON)
    return [
        Item(
            tone="idle",
            icon="clock",
            subject=_("API token %(name)s") % {"name": token.name},
            url=reverse("web:tokens"),
            headline=_("ends soon"),
            text=_("Whatever uses %(prefix)s… is refused from then on.") % {"prefix": token.prefix},
            when=token.expires_at,
            action=_("Make another"),
            action_url=reverse("web:token_new"),
        )
        for token in ending
    ]


def _drafts(actor: Actor) -> list[Item]:
    return [
        Item(
            tone="idle",
            icon="pen",
            subject=str(draft),
            url=(url := reverse("web:wizard_step", args=[draft.pk, ORDER[0]])),
            headline=_("is a change that you have not deployed yet")
            if draft.deployment_id
            else _("is a draft that you have not deployed yet"),
            text="",
            when=draft.updated_at,
            action=_("Go on"),
            action_url=url,
        )
        for draft in drafts(actor)[:DRAFTS_SHOWN]
    ]
