"""The steps in their order, and what they make together: a Spec, or problems at the fields they belong to."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import cast

from django.template.defaultfilters import filesizeformat
from django.utils.functional import Promise
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, ngettext

from console.web.wizard.cache_form import OTHER, PRESETS, CacheForm
from console.web.wizard.environment_form import EnvironmentForm
from console.web.wizard.forms import StepForm, choice_label
from console.web.wizard.function_form import FunctionForm
from console.web.wizard.model_form import ModelForm
from console.web.wizard.situation import Situation, Values
from deployments.domain.errors import SecretUnavailable, SpecInvalid
from deployments.domain.spec import Spec
from deployments.models import Draft, Environment
from deployments.services.deployments import check

REVIEW = "review"


@dataclass(frozen=True, slots=True)
class Step:
    """One page of the wizard."""

    key: str
    title: str | Promise
    form: type[StepForm]


STEPS: Mapping[str, Step] = {
    step.key: step
    for step in (
        Step("model", gettext_lazy("Model"), ModelForm),
        Step("function", gettext_lazy("Function"), FunctionForm),
        Step("cache", gettext_lazy("Cache"), CacheForm),
        Step("environment", gettext_lazy("Environment"), EnvironmentForm),
    )
}
ORDER = (*STEPS, REVIEW)


@dataclass
class Assessment:
    """A draft looked at as a whole: a bound form for every step, its errors in it, and the Spec if there is one."""

    situation: Situation
    filled: frozenset[str]
    forms: dict[str, StepForm]
    spec: Spec | None = None
    loose: list[str] = field(default_factory=list)  # problems that belong to no field

    @property
    def model(self) -> ModelForm:
        return cast(ModelForm, self.forms["model"])

    @property
    def name(self) -> str:
        deployment = self.situation.deployment
        return deployment.name if deployment else str(self.forms["function"]["name"].value() or "")

    @property
    def description(self) -> str:
        return str(self.forms["function"].got("description", ""))

    @property
    def environment(self) -> Environment | None:
        return cast(EnvironmentForm, self.forms["environment"]).chosen()

    @property
    def is_valid(self) -> bool:
        return self.spec is not None and not self.loose and not any(form.errors for form in self.forms.values())

    def summary(self, key: str) -> str:
        """A filled step in a few words."""
        if key not in self.filled:
            return ""
        form = self.forms[key]
        match form:
            case ModelForm():
                file, registered = form.chosen(), form["registered_name"].value()
                return f"{file.name}, {filesizeformat(file.size)}" if file else str(registered or "")
            case FunctionForm():
                kind = form["trigger"].value()
                return f"/api/{form['route'].value()}" if kind == "http" else str(choice_label(form, "trigger"))
            case CacheForm():
                return _cache_summary(form)
            case EnvironmentForm():
                return str(form["environment"].value() or "")
        return ""


def steps_of(draft: Draft) -> dict[str, Values]:
    """What is kept of each step that was filled in."""
    kept = draft.data.get("steps")
    return dict(kept) if isinstance(kept, dict) else {}


def values_of(spec: Spec) -> dict[str, Values]:
    """Every step filled in as it would have to be for this Spec."""
    return {key: step.form.values(spec) for key, step in STEPS.items()}


def assess(situation: Situation, steps: Mapping[str, Values]) -> Assessment:
    """Bind every step, with what it begins with where nobody has filled it in, and hold all of it together
    against the Spec's rules, the environment's and the target's."""
    forms = {
        key: step.form({**step.form.defaults(situation), **steps.get(key, {})}, situation=situation)
        for key, step in STEPS.items()
    }
    found = Assessment(situation, frozenset(steps), forms)
    data: dict[str, object] = {}
    for form in forms.values():
        form.full_clean()
        data |= form.part()
    try:
        found.spec = Spec.load(data)
        if found.environment:
            check(found.spec, found.environment, actor=situation.actor)
    except SpecInvalid as error:
        for path, sentence in error.problems:
            _place(found, path, sentence)
    except SecretUnavailable as error:
        _place(found, "runtime.index.credentials", f"{error}. {error.detail.action}")
    return found


def error_words(count: int) -> str:
    return ngettext("%(n)d error", "%(n)d errors", count) % {"n": count}


def _place(found: Assessment, path: str, sentence: str) -> None:
    """Put a problem at the field that its path, or else its sentence's first word, belongs to."""
    wanted = path or next((word for word in sentence.split() if _owner(word)), "")
    owner = _owner(wanted)
    if owner is None:
        found.loose.append(f"{path}: {sentence}" if path else sentence)
        return
    form, name = found.forms[owner[0]], owner[1]
    # A field that cannot be read at all has said so itself; what follows from that is noise.
    if name not in form.errors and not (name == "artifact" and "artifact_file" in form.errors):
        form.add_error(name, _sentence(sentence))


def _owner(path: str) -> tuple[str, str] | None:
    candidates = [
        (known, key, name)
        for key, step in STEPS.items()
        for known, name in step.form.paths.items()
        if path == known or path.startswith(f"{known}.")
    ]
    return max(candidates, key=lambda found: len(found[0]))[1:] if candidates else None


def _sentence(text: str) -> str:
    text = text.strip()
    return f"{text[:1].upper()}{text[1:]}{'' if text.endswith(('.', '!', '?')) else '.'}"


def _cache_summary(form: CacheForm) -> str:
    if form["policy"].value() == "off":
        return _("off")
    size, kept = form["size"].value(), form["ttl"].value()
    megabytes = form["size_mb"].value() if size == OTHER else size
    if kept == OTHER:
        duration = f"{form['ttl_amount'].value()} {choice_label(form, 'ttl_unit')}"
    else:
        duration = str(PRESETS.get(str(kept), ""))
    return _("%(size)s MB, %(time)s") % {"size": megabytes, "time": duration}
