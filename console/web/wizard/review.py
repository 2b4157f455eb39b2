"""The last step: checks, the plan, the definition as YAML, and the approval of exactly that plan."""

from typing import Any

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils.translation import gettext as _

from console.web import plan as plans_drawn
from console.web.execution import will_execute
from console.web.kept import digest_words, stored_words
from console.web.pages import page, say_error
from console.web.wizard import yaml_file
from console.web.wizard.frame import frame
from console.web.wizard.preflight import preflight
from console.web.wizard.situation import Situation
from console.web.wizard.steps import REVIEW, Assessment, assess, steps_of
from deployments.domain.environments import EnvironmentSettings
from deployments.domain.errors import ConsoleError, NotAllowed
from deployments.domain.spec import Spec
from deployments.models import Draft
from deployments.services import drafts, plans
from deployments.services.access import Actor
from deployments.services.health import execution_of

NOTE_LENGTH = 200


def review(request: HttpRequest, actor: Actor, draft: Draft) -> HttpResponse:
    """Show what would happen; a POST approves it, if it is still what was shown."""
    found = assess(Situation.of(actor, draft.deployment, steps_of(draft)), steps_of(draft))
    if request.method != "POST":
        return _show(request, actor, draft, found)
    note = request.POST.get("note", "").strip()[:NOTE_LENGTH]
    drafts.save_draft(actor=actor, draft=draft, data={**draft.data, "note": note})
    if request.POST.get("go") != "approve":
        return leave(request, draft)
    return _approve(request, actor, draft, found, note)


def leave(request: HttpRequest, draft: Draft) -> HttpResponse:
    """Back to the list, saying where the draft is found again."""
    messages.success(request, _("The draft of %(name)s is kept: go on with it under Deploy a model.") % {"name": draft})
    return redirect("web:deployments")


@page
def draft_yaml(request: HttpRequest, actor: Actor, draft_id: int) -> HttpResponse:
    """The definition as a file, as far as it is complete."""
    draft = drafts.draft(actor, draft_id)
    found = assess(Situation.of(actor, draft.deployment, steps_of(draft)), steps_of(draft))
    if found.spec is None:
        messages.error(request, _("The file can be written when every step is valid."))
        return redirect("web:wizard_step", draft.pk, REVIEW)
    return HttpResponse(
        _yaml(found, found.spec),
        content_type="application/yaml; charset=utf-8",
        headers={"Content-Disposition": f'attachment; filename="{found.name or "deployment"}.yaml"'},
    )


def _approve(request: HttpRequest, actor: Actor, draft: Draft, found: Assessment, note: str) -> HttpResponse:
    checks = preflight(found, base=draft.data.get("base"))
    if checks.fails or found.spec is None or found.environment is None:
        messages.error(request, _("Nothing was started: a check fails."))
        return _show(request, actor, draft, found, status=409)
    try:
        run = drafts.deploy_draft(
            actor=actor,
            draft=draft,
            name=found.name,
            environment=found.environment,
            spec=found.spec,
            description=found.description,
            note=note,
            approved_plan=request.POST.get("plan", ""),
            loss_accepted="accepted" in request.POST,
        )
    except drafts.LossNotAccepted:
        return _show(request, actor, draft, found, unaccepted=True, status=422)
    except plans.PlanChanged:
        messages.warning(
            request, _("The plan has changed since it was shown to you, so nothing was started. This is the new one.")
        )
        return _show(request, actor, draft, found, status=409)
    except NotAllowed:
        raise
    except ConsoleError as error:
        say_error(request, error)
        return _show(request, actor, draft, found, status=error.status)
    return redirect("web:run", run.pk)


def _show(
    request: HttpRequest,
    actor: Actor,
    draft: Draft,
    found: Assessment,
    *,
    unaccepted: bool = False,
    status: int = 200,
) -> HttpResponse:
    checks = preflight(found, base=draft.data.get("base"))
    plan = _plan(request, actor, found)
    context: dict[str, Any] = {
        **frame(draft, found, REVIEW, fails=len(checks.fails)),
        "checks": checks,
        "planned": plan,
        "plan": plans_drawn.lay_out(plan) if plan else None,
        "newest": draft.deployment.latest_revision() if draft.deployment else None,
        "same_spec": _is_same(found),
        "nothing_to_do": plan is not None and _is_same(found) and _changes_nothing(plan),
        "unaccepted": unaccepted,
        "note": draft.data.get("note", ""),
        "yaml": _yaml(found, found.spec) if found.spec else "",
        **_kept_and_executed(draft, found),
    }
    return render(request, "wizard/review.html", context, status=status)


def _kept_and_executed(draft: Draft, found: Assessment) -> dict[str, Any]:
    """What the definition keeps of inputs, and which form will execute, beside the one that executes now."""
    if found.spec is None:
        return {}
    cache = found.spec.cache
    live = draft.deployment is not None and draft.deployment.live_revision_id is not None
    rules = found.environment.rules if found.environment else EnvironmentSettings()
    return {
        "stored": stored_words(cache) if cache.policy != "off" else _("nothing, the cache is off"),
        "digests": digest_words(cache) if cache.policy != "off" else "",
        "expected": will_execute(found.spec, rules),
        "executes": execution_of(draft.deployment) if live and draft.deployment else None,
    }


def _plan(request: HttpRequest, actor: Actor, found: Assessment) -> plans.Plan | None:
    """None while there is nothing that could be planned."""
    if not found.is_valid or found.spec is None or found.environment is None:
        return None
    try:
        return plans.plan(
            actor=actor,
            environment=found.environment,
            spec=found.spec,
            name=found.name,
            deployment=found.situation.deployment,
        )
    except NotAllowed:
        raise
    except ConsoleError as error:
        say_error(request, error)
        return None


def _is_same(found: Assessment) -> bool:
    deployment = found.situation.deployment
    if deployment is None or found.spec is None or found.description != deployment.description:
        return False
    return found.spec.digest() == deployment.latest_revision().spec.digest()


def _changes_nothing(plan: plans.Plan) -> bool:
    return all(change.action in ("unchanged", "keep") for change in plan.changes)


def _yaml(found: Assessment, spec: Spec) -> str:
    environment = found.environment
    return yaml_file.write(
        name=found.name,
        environment=environment.name if environment else "",
        description=found.description,
        spec=spec,
    )
