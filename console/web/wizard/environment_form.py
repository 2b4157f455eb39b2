"""The environment step: where the deployment lives, and its tags."""

from typing import Any, ClassVar

from django import forms
from django.core.exceptions import ValidationError
from django.utils.translation import gettext as _now
from django.utils.translation import gettext_lazy as _

from console.web.wizard.forms import StepForm, lines
from console.web.wizard.situation import Situation, Values
from deployments.domain.spec import Spec
from deployments.models import Environment


class EnvironmentForm(StepForm):
    """An environment is one in which the actor is a deployer; a deployment never moves to another one."""

    paths: ClassVar = {"environment": "environment", "tags": "tags"}

    environment = forms.CharField(
        label=_("Environment"),
        error_messages={"required": _("Choose where it shall live.")},
    )
    tags = forms.CharField(
        label=_("Tags"),
        required=False,
        widget=forms.Textarea(attrs={"rows": 4, "spellcheck": "false"}),
        help_text=_("One a line, such as owner = vision. They are put on everything that is made."),
    )

    @classmethod
    def defaults(cls, situation: Situation) -> Values:
        if not situation.environments:
            return {"environment": "", "tags": ""}
        # This machine costs nothing, so it is proposed before the others.
        first = min(situation.environments, key=lambda env: (env.target != Environment.Kind.LOCAL, env.name))
        return {"environment": first.name, "tags": "".join(f"{tag} = \n" for tag in first.rules.required_tags)}

    @classmethod
    def values(cls, spec: Spec) -> Values:
        return {"tags": "\n".join(f"{name} = {value}" for name, value in spec.tags.items())}

    def prepare(self) -> None:
        if self.situation.deployment:
            self.fields["environment"].disabled = True
            self.initial["environment"] = self.situation.deployment.environment.name

    def clean_environment(self) -> str:
        name = str(self.cleaned_data["environment"])
        if self.situation.environment(name) is None:
            raise ValidationError(
                _now("There is no environment %(name)s in which you are a deployer.") % {"name": name}
            )
        return name

    def clean_tags(self) -> str:
        text = str(self.cleaned_data["tags"])
        for line in lines(text):
            name, separator, value = (part.strip() for part in line.partition("="))
            if not separator or not name:
                raise ValidationError(_now("“%(line)s” is not a tag: write name = value.") % {"line": line[:60]})
            if not value:
                raise ValidationError(_now("The tag %(name)s needs a value.") % {"name": name[:60]})
        return text

    def part(self) -> dict[str, Any]:
        pairs = (line.partition("=") for line in lines(self.got("tags", "")))
        return {"tags": {name.strip(): value.strip() for name, _separator, value in pairs}}

    def chosen(self) -> Environment | None:
        return self.situation.environment(str(self["environment"].value() or ""))
