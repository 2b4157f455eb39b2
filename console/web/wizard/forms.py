"""The base of the wizard's forms: one step each, filled from a Spec and giving its part of one."""

from collections.abc import Mapping
from typing import Any, ClassVar

from django import forms
from django.utils.translation import gettext as _

from console.web.wizard.situation import Situation, Values
from deployments.domain.spec import Spec


class StepForm(forms.Form):
    """One step. Bound to what was typed, wherever that is kept; never required in the browser, so that an
    unfinished step can be saved."""

    use_required_attribute = False
    # Where a path of the Spec is shown: the longest one that a problem's path begins with.
    paths: ClassVar[Mapping[str, str]] = {}

    def __init__(self, data: Values | None = None, *, situation: Situation) -> None:
        self.situation = situation
        super().__init__(data, initial=None if data else self.defaults(situation))
        self.prepare()

    def prepare(self) -> None:
        """Fill in what depends on the situation."""

    @classmethod
    def defaults(cls, situation: Situation) -> Values:
        """What the step holds before anybody has filled it in."""
        raise NotImplementedError

    @classmethod
    def values(cls, spec: Spec) -> Values:
        """The step filled in as it would have to be for this Spec."""
        raise NotImplementedError

    def part(self) -> dict[str, Any]:
        """This step's part of a Spec, from those of its fields that can be read."""
        raise NotImplementedError

    def typed(self) -> Values:
        """What was typed, for keeping; files are kept by themselves."""
        return {
            name: self[name].data
            for name, field in self.fields.items()
            if not isinstance(field, forms.FileField) and not field.disabled
        }

    def got(self, name: str, default: Any = None) -> Any:
        """A field's cleaned value; the default where it is empty or could not be read."""
        value = self.cleaned_data.get(name)
        return default if value is None or value == "" else value

    def focus_first_error(self) -> None:
        for name, field in self.fields.items():
            if name in self.errors:
                field.widget.attrs["autofocus"] = True
                return

    @property
    def error_count(self) -> int:
        return sum(len(found) for found in self.errors.values())


def choice_label(form: forms.Form, name: str) -> str:
    """The words of the choice that a field holds now; empty where it holds none of its choices."""
    return next((str(option.choice_label) for option in form[name].subwidgets if option.data["selected"]), "")


def lines(text: str) -> list[str]:
    """The lines of a text area that say something; a line that begins with # is a comment."""
    return [line.strip() for line in text.splitlines() if line.strip() and not line.strip().startswith("#")]


def file_label(name: str, digest: str) -> str:
    """An uploaded file in a list of choices."""
    return _("%(name)s (%(digest)s)") % {"name": name, "digest": digest[:8]}
