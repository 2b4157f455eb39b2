"""The function step: its name, what calls it, and what one process of it may take."""

from typing import Any, ClassVar

from django import forms
from django.core.exceptions import ValidationError
from django.utils.text import slugify
from django.utils.translation import gettext as _now
from django.utils.translation import gettext_lazy as _

from console.web.wizard.forms import StepForm
from console.web.wizard.situation import Situation, Values
from deployments.domain import limits
from deployments.domain.names import is_slug
from deployments.domain.spec import (
    BlobTrigger,
    HostingPart,
    HttpTrigger,
    InputPart,
    ServiceBusTrigger,
    Spec,
    Trigger,
)
from deployments.models import Deployment

MIB = 1024 * 1024


class FunctionForm(StepForm):
    """The fields of all three triggers are kept side by side, so that trying another one loses nothing."""

    paths: ClassVar = {
        "name": "name",
        "trigger": "trigger",
        "trigger.route": "route",
        "trigger.methods": "methods",
        "trigger.auth_level": "auth_level",
        "trigger.path_in": "path_in",
        "trigger.path_out": "path_out",
        "trigger.queue_in": "queue_in",
        "trigger.queue_out": "queue_out",
        "input": "parameter",
        "input.missing": "missing",
        "input.max_rows": "max_rows",
        "input.max_body_bytes": "max_body_mib",
        "hosting": "processes",
        "hosting.memory_mb": "memory_mb",
        "hosting.predict_seconds": "predict_seconds",
    }

    name = forms.CharField(
        label=_("Name"),
        help_text=_(
            "1 to 40 lower-case letters, digits and hyphens, beginning with a letter. It cannot be changed later."
        ),
        error_messages={"required": _("Give the deployment a name, for example iris.")},
        widget=forms.TextInput(attrs={"autocomplete": "off", "spellcheck": "false"}),
    )
    description = forms.CharField(label=_("Description"), required=False, max_length=400)
    trigger = forms.ChoiceField(
        label=_("Called by"),
        choices=[
            ("http", _("HTTP requests")),
            ("blob", _("Blobs that arrive")),
            ("service_bus", _("Messages of a queue")),
        ],
    )
    route = forms.CharField(label=_("Route"), required=False)
    methods = forms.MultipleChoiceField(
        label=_("HTTP methods"),
        required=False,
        choices=[("POST", "POST"), ("GET", "GET"), ("PUT", "PUT")],
        widget=forms.CheckboxSelectMultiple,
    )
    auth_level = forms.ChoiceField(
        label=_("Who may call"),
        required=False,
        choices=[
            ("function", _("Whoever has the function key")),
            ("admin", _("Whoever has the host’s key")),
            ("anonymous", _("Anybody")),
        ],
    )
    path_in = forms.CharField(
        label=_("Blobs read from"),
        help_text=_("A container and a path in it. {name} stands for the blob’s name, with folders."),
        required=False,
        widget=forms.TextInput(attrs={"spellcheck": "false"}),
    )
    path_out = forms.CharField(
        label=_("Answers written to"),
        help_text=_("In another container; {name} is what it was in the first. {datetime} and {rand-guid} too."),
        required=False,
        widget=forms.TextInput(attrs={"spellcheck": "false"}),
    )
    queue_in = forms.CharField(label=_("Queue read from"), required=False)
    queue_out = forms.CharField(label=_("Queue written to"), required=False)
    max_rows = forms.IntegerField(label=_("Rows a request"), min_value=1, max_value=limits.MAX_ROWS)
    max_body_mib = forms.FloatField(
        label=_("Size of a request"), min_value=1024 / MIB, max_value=limits.MAX_BODY_BYTES / MIB
    )
    processes = forms.IntegerField(
        label=_("Processes"),
        min_value=0,
        max_value=limits.MAX_INSTANCES,
        help_text=_("0: as many as the machine has cores, which on this machine is 4 at most."),
    )
    memory_mb = forms.IntegerField(label=_("Memory of a process"), min_value=256, max_value=65_536)
    predict_seconds = forms.IntegerField(
        label=_("Time of a prediction"),
        min_value=1,
        max_value=limits.MAX_PREDICT_SECONDS,
        help_text=_(
            "A prediction that takes longer is answered with 504, and a model that stays stuck is started anew."
        ),
    )
    parameter = forms.CharField(
        label=_("Parameter"),
        help_text=_("The key of the request’s JSON that holds the rows."),
    )
    missing = forms.ChoiceField(
        label=_("Missing values"),
        choices=[
            ("auto", _("As the model takes them")),
            ("allow", _("Allow null and NaN")),
            ("refuse", _("Refuse null and NaN")),
        ],
    )

    def prepare(self) -> None:
        if self.situation.deployment:
            self.fields["name"].disabled = True
            self.fields["name"].initial = self.situation.deployment.name
            self.initial["name"] = self.situation.deployment.name

    @classmethod
    def defaults(cls, situation: Situation) -> Values:
        deployment = situation.deployment
        return {
            "name": deployment.name if deployment else "",
            "description": deployment.description if deployment else "",
            **_triggers(HttpTrigger()),
            **_limits(InputPart(), HostingPart()),
        }

    @classmethod
    def values(cls, spec: Spec) -> Values:
        return {**_triggers(spec.trigger), **_limits(spec.input, spec.hosting)}

    def clean_name(self) -> str:
        name = str(self.cleaned_data["name"]).strip()
        if not self.situation.deployment and (problem := name_problem(name)):
            raise ValidationError(problem)
        return name

    def part(self) -> dict[str, Any]:
        kind = self.got("trigger", "http")
        match kind:
            case "blob":
                trigger = {"path_in": self.got("path_in", ""), "path_out": self.got("path_out", "")}
            case "service_bus":
                trigger = {"queue_in": self.got("queue_in", ""), "queue_out": self.got("queue_out", "")}
            case _:
                trigger = {
                    "route": self.got("route", ""),
                    "methods": self.got("methods", []),
                    "auth_level": self.got("auth_level", "function"),
                }
        return {
            "trigger": {"kind": kind, **trigger},
            "input": {
                "parameter": self.got("parameter", "data"),
                "missing": self.got("missing", "auto"),
                "max_rows": self.got("max_rows", 1),
                "max_body_bytes": round(self.got("max_body_mib", 1.0) * MIB),
            },
            "hosting": {
                "processes": self.got("processes", 0),
                "memory_mb": self.got("memory_mb", 2048),
                "predict_seconds": self.got("predict_seconds", HostingPart().predict_seconds),
            },
        }


def name_problem(name: str) -> str:
    """Why a new deployment cannot have this name, and one that it can have; empty when it can."""
    if not is_slug(name):
        better = suggestion(name)
        rule = _now("Use lower-case letters, digits and single hyphens; begin with a letter, end without a hyphen.")
        return f"{rule} {_now('For example %(name)s.') % {'name': better}}" if better else rule
    if Deployment.objects.filter(name=name).exists():
        return _now("%(name)s is taken: names are unique in the whole console. %(other)s is free.") % {
            "name": name,
            "other": suggestion(name),
        }
    return ""


def suggestion(name: str) -> str:
    """A free name that is close to what was typed; empty where nothing of it can be used."""
    base = slugify(name).replace("_", "-").lstrip("-0123456789")
    while "--" in base:
        base = base.replace("--", "-")
    base = base[:36].rstrip("-")
    if not is_slug(base):
        return ""
    taken = set(Deployment.objects.filter(name__startswith=base).values_list("name", flat=True))
    free = (f"{base}-{number}" if number > 1 else base for number in range(1, len(taken) + 3))
    return next(name for name in free if name not in taken)


def _triggers(chosen: Trigger) -> Values:
    """The fields of every kind of trigger, the chosen one's as they are and the others' as they begin."""
    values: Values = {}
    for trigger in (HttpTrigger(), BlobTrigger(), ServiceBusTrigger(), chosen):
        values |= trigger.model_dump(mode="json", exclude={"kind"})
    return {"trigger": chosen.kind, **values}


def _limits(given: InputPart, hosting: HostingPart) -> Values:
    return {
        "parameter": given.parameter,
        "missing": given.missing,
        "max_rows": given.max_rows,
        "max_body_mib": f"{given.max_body_bytes / MIB:.15g}",
        "processes": hosting.processes,
        "memory_mb": hosting.memory_mb,
        "predict_seconds": hosting.predict_seconds,
    }
