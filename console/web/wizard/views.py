"""The wizard's pages: begun, resumed, saved at every post, discarded."""

from collections.abc import Mapping

from django.contrib import messages
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils.translation import gettext as _
from django.views.decorators.http import require_GET, require_http_methods, require_POST

from console.web.pages import page
from console.web.wizard.forms import StepForm
from console.web.wizard.frame import after, before, frame
from console.web.wizard.function_form import name_problem, suggestion
from console.web.wizard.review import leave, review
from console.web.wizard.situation import Situation, Values
from console.web.wizard.steps import REVIEW, STEPS, Assessment, assess, steps_of, values_of
from console.web.wizard.uploads import keep_uploads
from deployments.models import Draft
from deployments.services import access, drafts
from deployments.services.access import Actor
from deployments.services.findings import findings

FIRST = next(iter(STEPS))


@page
@require_http_methods(["GET", "POST"])
def wizard_new(request: HttpRequest, actor: Actor) -> HttpResponse:
    """The first step of a new deployment, and the drafts that were left; nothing is kept before it is sent."""
    drafts.require_deployer(actor)
    situation = Situation.of(actor, None, {})
    if request.method == "POST":
        return _save(request, actor, None, situation, FIRST)
    return _show(request, None, assess(situation, {}), FIRST, {"drafts": drafts.drafts(actor)})


@page
@require_http_methods(["GET", "POST"])
def wizard_step(request: HttpRequest, actor: Actor, draft_id: int, step: str) -> HttpResponse:
    """One step of a draft; `?check` shows what is still missing in a step that was never sent."""
    draft = drafts.draft(actor, draft_id)
    if step == REVIEW:
        return review(request, actor, draft)
    if step not in STEPS:
        raise Http404(step)
    steps = steps_of(draft)
    situation = Situation.of(actor, draft.deployment, steps)
    if request.method == "POST":
        return _save(request, actor, draft, situation, step)
    found = assess(situation, steps)
    return _show(request, draft, found, step, {"checked": "check" in request.GET})


@page
@require_GET
def deployment_change(request: HttpRequest, actor: Actor, name: str) -> HttpResponse:
    """Go to the actor's draft of a change, begun from the newest revision where there is none."""
    deployment = access.deployment(actor, name)
    newest = deployment.latest_revision()
    values = values_of(newest.spec)
    values["function"]["description"] = deployment.description
    draft, is_new = drafts.change_draft(
        actor=actor, deployment=deployment, data={"steps": values, "name": name, "base": newest.number}
    )
    if not is_new:
        messages.info(request, _("You had begun to change %(name)s: here is your draft.") % {"name": name})
    return redirect("web:wizard_step", draft.pk, FIRST)


@page
@require_POST
def wizard_discard(request: HttpRequest, actor: Actor, draft_id: int) -> HttpResponse:
    """Forget a draft."""
    draft = drafts.draft(actor, draft_id)
    name, deployment = str(draft), draft.deployment
    drafts.discard_draft(actor=actor, draft=draft)
    messages.success(request, _("The draft of %(name)s was discarded.") % {"name": name})
    return redirect("web:deployment", deployment.name) if deployment else redirect("web:wizard_new")


@page
@require_GET
def wizard_name(request: HttpRequest, actor: Actor) -> HttpResponse:
    """What there is to say of a name while it is typed."""
    drafts.require_deployer(actor)
    name = request.GET.get("name", "").strip()
    context = {"name": name, "problem": name_problem(name), "suggestion": suggestion(name)} if name else {}
    return render(request, "wizard/name_said.html", context)


def _save(request: HttpRequest, actor: Actor, draft: Draft | None, situation: Situation, step: str) -> HttpResponse:
    """Keep what was typed, whatever it is worth, then go where the pressed button leads."""
    steps = steps_of(draft) if draft else {}
    typed = STEPS[step].form(request.POST.dict() | _lists(request), situation=situation).typed()
    typed, problems = keep_uploads(actor, request.FILES, typed)
    steps[step] = typed
    data = {**(draft.data if draft else {}), "steps": steps}
    if draft is None:
        draft = drafts.create_draft(actor=actor, data=data)
    elif step == "function" and not draft.deployment:
        data["name"] = typed.get("name") or ""
    drafts.save_draft(actor=actor, draft=draft, data=data)
    found = assess(Situation.of(actor, draft.deployment, steps), steps)
    if problems:
        for name, sentence in problems.items():
            found.forms[step].errors.pop(name, None)
            found.forms[step].add_error(name, sentence)
        return _show(request, draft, found, step, status=422)
    return _go(request, draft, found, step)


def _go(request: HttpRequest, draft: Draft, found: Assessment, step: str) -> HttpResponse:
    where = request.POST.get("go", "next")
    if where == "leave":
        return leave(request, draft)
    if where == "back":
        return redirect("web:wizard_step", draft.pk, before(step))
    if where in STEPS or where == REVIEW:
        return redirect("web:wizard_step", draft.pk, where)
    if where == "stay" or found.forms[step].errors:
        return redirect("web:wizard_step", draft.pk, step)
    return redirect("web:wizard_step", draft.pk, after(step))


def _show(
    request: HttpRequest,
    draft: Draft | None,
    found: Assessment,
    step: str,
    more: Mapping[str, object] | None = None,
    *,
    status: int = 200,
) -> HttpResponse:
    context = {**frame(draft, found, step), **(more or {})}
    form: StepForm = found.forms[step]
    if step not in found.filled and not context.get("checked"):
        form = STEPS[step].form(situation=found.situation)
    form.focus_first_error()
    file = found.model.chosen() if step == FIRST else None
    context |= {"form": form, "found": found, "situation": found.situation, "file": file}
    if file:
        context["said"] = findings(file)
    return render(request, f"wizard/{step}.html", context, status=status)


def _lists(request: HttpRequest) -> Values:
    """The fields that may hold several values; `QueryDict.dict` keeps only the last of each."""
    return {name: request.POST.getlist(name) for name in ("methods", "wheels")}
