"""Environments: where one may deploy, by which rules, and who has which role there."""

from typing import Any

from django import forms
from django.contrib import messages
from django.db.models import Count
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from django.views.decorators.http import require_GET, require_http_methods, require_POST

from console.web.pages import page, told
from deployments.domain import limits
from deployments.domain.environments import EnvironmentSettings
from deployments.domain.errors import Conflict, SpecInvalid
from deployments.models import Environment, Membership
from deployments.services import access
from deployments.services.access import Actor, Verb
from deployments.services.environments import remove_member, save_environment, set_member

FACE = ("title", "target", "tone")
LISTS = ("required_tags", "allowed_secrets", "allowed_vaults", "allowed_indexes")


class EnvironmentForm(forms.Form):
    """An environment's face and its rules; the services judge what is in it."""

    title = forms.CharField(label=gettext_lazy("Title"), max_length=120, required=False)
    target = forms.ChoiceField(
        label=gettext_lazy("Target"),
        choices=Environment.Kind.choices,
        help_text=gettext_lazy("Where its functions run; fixed once something is deployed."),
    )
    tone = forms.ChoiceField(
        label=gettext_lazy("Kind"),
        choices=Environment.Tone.choices,
        help_text=gettext_lazy("How firmly its name is framed, so that production is never mistaken."),
    )
    max_cache_mb = forms.IntegerField(
        label=gettext_lazy("Largest cache, MB"), min_value=limits.MIN_CACHE_MB, max_value=limits.MAX_CACHE_MB
    )
    max_memory_mb = forms.IntegerField(label=gettext_lazy("Most memory of a process, MB"), min_value=256)
    max_processes = forms.IntegerField(
        label=gettext_lazy("Most processes"), min_value=1, max_value=limits.MAX_INSTANCES
    )
    required_tags = forms.CharField(
        label=gettext_lazy("Required tags"), required=False, help_text=gettext_lazy("Names, separated by commas.")
    )
    allowed_secrets = forms.CharField(
        label=gettext_lazy("Secrets that may be named"),
        required=False,
        help_text=gettext_lazy("Names like SCORING_SECRET_INDEX, separated by commas. Nothing else can be read."),
    )
    allowed_vaults = forms.CharField(
        label=gettext_lazy("Vaults that may be named"), required=False, help_text=gettext_lazy("Separated by commas.")
    )
    allowed_indexes = forms.CharField(
        label=gettext_lazy("Package indexes that credentials may be sent to"),
        required=False,
        help_text=gettext_lazy("Addresses like https://packages.example.com/simple, separated by commas."),
    )
    execution = forms.ChoiceField(
        label=gettext_lazy("Execution"),
        required=False,
        choices=[
            ("", gettext_lazy("as each deployment says")),
            ("auto", gettext_lazy("auto")),
            ("original", gettext_lazy("original")),
            ("onnx", gettext_lazy("ONNX")),
        ],
    )
    allow_code = forms.BooleanField(
        label=gettext_lazy("Helper modules and entry scripts may be uploaded"), required=False
    )

    def wish(self) -> dict[str, Any]:
        """What the services are asked for."""
        rules = {name: value for name, value in self.cleaned_data.items() if name not in (*FACE, "name")}
        for name in LISTS:
            rules[name] = [part.strip() for part in rules[name].split(",") if part.strip()]
        rules["execution"] = rules["execution"] or None
        return {**{name: self.cleaned_data[name] for name in FACE}, "rules": rules}

    def blame(self, error: SpecInvalid) -> None:
        """Put each sentence beside the field it is about."""
        for path, sentence in error.problems:
            field = path.removeprefix("rules.").partition(".")[0]
            self.add_error(field if field in self.fields else None, sentence)


class NewEnvironmentForm(EnvironmentForm):
    """The same with a name, which never changes."""

    name = forms.SlugField(label=gettext_lazy("Name"), max_length=40, help_text=gettext_lazy("Never changes."))
    field_order = ("name",)


@page
@require_GET
def environments(request: HttpRequest, actor: Actor) -> HttpResponse:
    """The environments that the actor is a member of, with the role there."""
    found = access.environments(actor).annotate(count=Count("deployments", distinct=True))
    roles = dict(Membership.objects.filter(user=actor.user).values_list("environment_id", "role"))
    words = dict(Membership.ROLES)
    rows = [
        (env, _("administrator of the site") if actor.is_site_admin else words.get(roles.get(env.pk, ""), ""))
        for env in found
    ]
    context = {
        "crumbs": [(_("Environments"), "")],
        "rows": rows,
        "may_create": access.may(actor, Verb.CREATE_ENVIRONMENT),
    }
    return render(request, "environments/list.html", context)


@page
@require_GET
def environment(request: HttpRequest, actor: Actor, name: str) -> HttpResponse:
    """One environment: its rules, members and deployments."""
    found = access.environment(actor, name)
    context = {
        "crumbs": [(_("Environments"), reverse("web:environments")), (found.name, "")],
        "environment": found,
        "rules": _told_rules(found.rules),
        "members": found.memberships.select_related("user"),
        "roles": Membership.ROLES,
        "input_rights": Membership.Inputs.choices,
        "deployments": access.deployments(actor).filter(environment=found),
        "may_manage": access.may(actor, Verb.MANAGE, found),
    }
    return render(request, "environments/detail.html", context)


@page
@require_http_methods(["GET", "POST"])
def environment_new(request: HttpRequest, actor: Actor) -> HttpResponse:
    """Make an environment; for administrators of the site."""
    access.require(actor, Verb.CREATE_ENVIRONMENT)
    form = NewEnvironmentForm(request.POST or None, initial=_initial(EnvironmentSettings()))
    if request.method == "POST" and form.is_valid():
        saved = _saved(actor, form, form.cleaned_data["name"], new=True)
        if saved:
            return redirect("web:environment", saved.name)
    context = {"crumbs": [(_("Environments"), reverse("web:environments")), (_("New"), "")], "form": form}
    return render(request, "environments/edit.html", context, status=422 if form.errors else 200)


@page
@require_http_methods(["GET", "POST"])
def environment_edit(request: HttpRequest, actor: Actor, name: str) -> HttpResponse:
    """Change an environment's rules; for its administrators."""
    found = access.environment(actor, name, Verb.MANAGE)
    face = {"title": found.title, "target": found.target, "tone": found.tone}
    form = EnvironmentForm(request.POST or None, initial={**face, **_initial(found.rules)})
    if request.method == "POST" and form.is_valid() and _saved(actor, form, name):
        messages.success(request, _("The rules of %(name)s are saved.") % {"name": name})
        return redirect("web:environment", name)
    context = {
        "crumbs": [
            (_("Environments"), reverse("web:environments")),
            (found.name, reverse("web:environment", args=[name])),
            (_("Edit"), ""),
        ],
        "form": form,
        "environment": found,
    }
    return render(request, "environments/edit.html", context, status=422 if form.errors else 200)


@page
@require_POST
def member_set(request: HttpRequest, actor: Actor, name: str) -> HttpResponse:
    """Give somebody a role here, in place of the one they had."""
    found = access.environment(actor, name, Verb.MANAGE)
    user, role = request.POST.get("user", "").strip(), request.POST.get("role", "")
    with told(request):
        set_member(actor=actor, environment=found, username=user, role=role, inputs=request.POST.get("inputs") or None)
        messages.success(request, _("%(user)s is now %(role)s.") % {"user": user, "role": role})
    return redirect("web:environment", name)


@page
@require_POST
def member_remove(request: HttpRequest, actor: Actor, name: str) -> HttpResponse:
    """Take somebody's role here away."""
    found = access.environment(actor, name, Verb.MANAGE)
    user = request.POST.get("user", "")
    remove_member(actor=actor, environment=found, username=user)
    messages.success(request, _("%(user)s is no member any more.") % {"user": user})
    return redirect("web:environment", name)


def _saved(actor: Actor, form: EnvironmentForm, name: str, *, new: bool = False) -> Environment | None:
    """Ask the services; what they refuse is told in the form."""
    if new and Environment.objects.filter(name=name).exists():
        form.add_error("name", _("This name is taken."))
        return None
    try:
        return save_environment(actor=actor, name=name, **form.wish())
    except SpecInvalid as error:
        form.blame(error)
    except Conflict as error:
        form.add_error(error.field if error.field in form.fields else None, f"{error}. {error.detail.action}")
    return None


def _initial(rules: EnvironmentSettings) -> dict[str, Any]:
    data = rules.model_dump()
    return {**data, **{name: ", ".join(data[name]) for name in LISTS}}


def _told_rules(rules: EnvironmentSettings) -> list[tuple[str, str]]:
    """The rules as label and value, in the words of the form."""
    fields = EnvironmentForm.base_fields
    values: dict[str, Any] = _initial(rules)
    values["allow_code"] = _("yes") if rules.allow_code else _("no")
    values["execution"] = rules.execution or _("as each deployment says")
    return [(str(fields[name].label), str(value or "—")) for name, value in values.items() if name in fields]
