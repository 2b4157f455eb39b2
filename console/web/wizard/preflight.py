"""The checks before an approval: each passes, warns or fails, and names the step where it is cured."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta

from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from console.web.wizard.model_form import ModelForm
from console.web.wizard.steps import STEPS, Assessment
from deployments.services.findings import Findings, findings
from deployments.services.runs import worker_seen

WORKER_LATELY = timedelta(seconds=20)


@dataclass(frozen=True, slots=True)
class Check:
    """`verdict` is pass, warn or fail; `step` is where to change it, empty where that is not in the wizard."""

    verdict: str
    title: str
    detail: str = ""
    step: str = ""
    anchor: str = ""


@dataclass(frozen=True, slots=True)
class Preflight:
    """All checks, the worst first."""

    checks: list[Check]

    def having(self, verdict: str) -> list[Check]:
        return [check for check in self.checks if check.verdict == verdict]

    @property
    def fails(self) -> list[Check]:
        return self.having("fail")

    @property
    def warns(self) -> list[Check]:
        return self.having("warn")

    @property
    def passes(self) -> list[Check]:
        return self.having("pass")

    @property
    def summary(self) -> str:
        words = (
            (len(self.fails), ngettext("%(n)d fails", "%(n)d fail", len(self.fails))),
            (len(self.warns), ngettext("%(n)d warns", "%(n)d warn", len(self.warns))),
            (len(self.passes), ngettext("%(n)d passes", "%(n)d pass", len(self.passes))),
        )
        return ", ".join(word % {"n": count} for count, word in words if count)


def preflight(found: Assessment, *, base: int | None) -> Preflight:
    """Check a draft; `base` is the revision that the draft of a change was begun from."""
    checks = [*_fields(found), *_name(found), *_model(found), *_environment(found), *_revision(found, base), _worker()]
    order = ("fail", "warn", "pass")
    return Preflight(sorted(checks, key=lambda check: order.index(check.verdict)))


def _fields(found: Assessment) -> Iterator[Check]:
    for key, form in found.forms.items():
        for name, errors in form.errors.items():
            label = form.fields[name].label if name in form.fields else ""
            yield Check("fail", str(label or STEPS[key].title), " ".join(map(str, errors)), key, f"id_{name}")
    for problem in found.loose:
        yield Check("fail", _("The definition contradicts itself"), problem)
    if found.is_valid:
        yield Check("pass", _("Every field can be read"), _("and the definition does not contradict itself"))


def _name(found: Assessment) -> Iterator[Check]:
    if "name" in found.forms["function"].errors or found.situation.deployment:
        return
    yield Check("pass", _("The name is free"), found.name)


def _model(found: Assessment) -> Iterator[Check]:
    file = found.model.chosen()
    if file is None:
        return
    if not file.path.is_file():
        yield Check(
            "fail",
            _("The model’s file is gone"),
            _("%(name)s is no longer in the console’s store: upload it again.") % {"name": file.name},
            "model",
            "id_artifact_file",
        )
        return
    yield Check("pass", _("The model’s file is here"), f"{file.name}, {file.format}, {file.pk[:8]}")
    if said := findings(file):
        yield from _said(found.model, said)


def _said(form: ModelForm, said: Findings) -> Iterator[Check]:
    """What the file's bytes say, held against what will be there when it is opened."""
    listed = form.listed_packages()
    if said.scikit_learn:
        yield Check("pass", _("The scikit-learn version is known"), said.scikit_learn)
    elif "scikit-learn" not in listed:
        yield Check(
            "warn",
            _("The file names no scikit-learn version"),
            _("The console’s own opens it; list scikit-learn with its version where it was trained with another."),
            "model",
            "id_requirements",
        )
    if missing := [package for package in said.packages if package not in listed]:
        yield Check(
            "warn",
            _("%(packages)s may be missing") % {"packages": ", ".join(missing)},
            _("The file refers to it, and no requirement or wheel brings it."),
            "model",
            "id_requirements",
        )
    if said.names_notebook:
        yield Check(
            "warn",
            _("The model refers to code of the notebook or script that saved it"),
            _("Move that code into a module, save the model again, and upload the module as helper code."),
            "model",
            "id_code_file",
        )


def _environment(found: Assessment) -> Iterator[Check]:
    environment = found.environment
    if environment is None or "environment" in found.forms["environment"].errors:
        return
    yield Check("pass", _("You may deploy here"), _("your role in %(name)s allows it") % {"name": environment.name})


def _revision(found: Assessment, base: int | None) -> Iterator[Check]:
    deployment = found.situation.deployment
    if deployment is None:
        return
    newest = deployment.latest_revision().number
    if base is not None and newest != base:
        yield Check(
            "warn",
            _("Revision %(number)d was made since this draft was begun") % {"number": newest},
            _("The draft began as revision %(base)d; what changed in between is undone by it.") % {"base": base},
        )
    if active := deployment.active_run():
        yield Check(
            "fail",
            _("A run is under way"),
            _("%(run)s has to end first: wait for it, or cancel it on its page.") % {"run": active},
        )


def _worker() -> Check:
    if worker_seen(within=WORKER_LATELY):
        return Check("pass", _("A worker answers"), _("so the run starts at once"))
    return Check(
        "warn",
        _("No worker has answered lately"),
        _("The run waits until one does. Whoever runs the console finds its log in var/log/worker.log."),
    )
