"""The model step: the file that answers, the code it needs, and the Python that opens it."""

import re
from collections.abc import Iterable
from typing import Any, ClassVar, cast

from django import forms
from django.utils.translation import gettext_lazy as _

from console.web.wizard.forms import StepForm, file_label, lines
from console.web.wizard.situation import Situation, Values
from deployments.domain.spec import Spec
from deployments.models import Artifact

_NAME_END = re.compile(r"[^A-Za-z0-9._-]")


class ManyFilesInput(forms.FileInput):
    """A file input that takes several files at once."""

    allow_multiple_selected = True


class ModelForm(StepForm):
    """`artifact`, `code` and `wheels` hold sha256 digests; the file inputs beside them add to the choices."""

    paths: ClassVar = {
        "model": "artifact",
        "model.method": "method",
        "model.registered": "registered_name",
        "model.registered.workspace": "registered_workspace",
        "model.registered.version": "registered_version",
        "code": "code",
        "code.entry_script": "entry_script",
        "code.deterministic": "deterministic",
        "runtime": "requirements",
        "runtime.python": "python",
        "runtime.conda": "conda",
        "runtime.wheels": "wheels",
        "runtime.index": "index_url",
        "runtime.index.credentials": "index_credentials",
        "execution": "execution",
    }

    artifact_file = forms.FileField(
        label=_("Upload the model"),
        required=False,
        help_text=_(
            "A model saved with joblib, pickle or skops, or an ONNX file. It is stored as it is and never opened here."
        ),
        widget=forms.FileInput(attrs={"accept": ".joblib,.pkl,.pickle,.skops,.onnx,.gz,.z"}),
    )
    artifact = forms.CharField(label=_("Or one uploaded before"), required=False)
    method = forms.ChoiceField(
        label=_("Method"),
        choices=[
            ("predict", _("predict: the label or the value")),
            ("predict_proba", _("predict_proba: a probability for each class")),
            ("decision_function", _("decision_function: the distance from the boundary")),
            ("transform", _("transform: the rows transformed")),
        ],
        help_text=_("What is called on the model for each request."),
    )
    code_file = forms.FileField(
        label=_("Upload helper code"),
        required=False,
        help_text=_("A .py file, or a .zip of modules, that the model's file refers to, such as features.py."),
        widget=forms.FileInput(attrs={"accept": ".py,.zip,.tar.gz,.tgz"}),
    )
    code = forms.CharField(label=_("Helper code"), required=False)
    entry_script = forms.CharField(
        label=_("Entry script"),
        required=False,
        help_text=_("Path of a script with init() and run() in that code; empty when it only helps the model."),
    )
    deterministic = forms.BooleanField(label=_("The same request always gets the same answer"), required=False)
    requirements = forms.CharField(
        label=_("Requirements"),
        required=False,
        widget=forms.Textarea(attrs={"rows": 4, "spellcheck": "false"}),
        help_text=_(
            "Packages beside scikit-learn, one a line, such as xgboost==2.1.3. Name the versions you trained with."
        ),
    )
    python = forms.ChoiceField(label=_("Python"), choices=[("3.10", "3.10"), ("3.11", "3.11"), ("3.12", "3.12")])
    wheel_files = forms.FileField(
        label=_("Upload wheels"),
        required=False,
        widget=ManyFilesInput(attrs={"accept": ".whl"}),
        help_text=_("Packages of your own that no index has."),
    )
    wheels = forms.MultipleChoiceField(label=_("Wheels"), required=False, widget=forms.CheckboxSelectMultiple)
    conda = forms.CharField(
        label=_("conda.yaml"),
        required=False,
        widget=forms.Textarea(attrs={"rows": 4, "spellcheck": "false"}),
        help_text=_("Instead of requirements. Its pip part is used on this machine."),
    )
    index_url = forms.CharField(
        label=_("Private index"),
        required=False,
        help_text=_("Address of a package index, https, without user and password."),
    )
    index_credentials = forms.CharField(
        label=_("Its credentials"),
        required=False,
        help_text=_("A reference, never the secret: env:SCORING_SECRET_NAME or keyvault:vault/name."),
    )
    execution = forms.ChoiceField(
        label=_("Execution"),
        choices=[
            ("auto", _("Automatic")),
            ("original", _("As it was trained")),
            ("onnx", _("ONNX")),
        ],
        widget=forms.RadioSelect,
    )
    registered_workspace = forms.CharField(label=_("Workspace"), required=False, max_length=260)
    registered_name = forms.CharField(label=_("Registered model"), required=False, max_length=255)
    registered_version = forms.IntegerField(label=_("Version"), required=False, min_value=1)

    def prepare(self) -> None:
        self._offer("artifact", self.situation.models, _("None yet"))
        self._offer("code", self.situation.code, _("None"))
        wheels = cast(forms.MultipleChoiceField, self.fields["wheels"])
        wheels.choices = [(file.pk, file_label(file.name, file.pk)) for file in self.situation.wheels]

    def _offer(self, name: str, files: Iterable[Artifact], none: Any) -> None:
        choices = [("", none), *((file.pk, file_label(file.name, file.pk)) for file in files)]
        self.fields[name].widget = forms.Select(choices=choices)

    @classmethod
    def defaults(cls, situation: Situation) -> Values:
        return {"method": "predict", "python": "3.11", "execution": "auto"}

    @classmethod
    def values(cls, spec: Spec) -> Values:
        registered, index, code = spec.model.registered, spec.runtime.index, spec.code
        return {
            "artifact": spec.model.artifact or "",
            "method": spec.model.method,
            "registered_workspace": registered.workspace if registered else "",
            "registered_name": registered.name if registered else "",
            "registered_version": registered.version if registered and registered.version else "",
            "code": code.artifact if code else "",
            "entry_script": (code.entry_script or "") if code else "",
            "deterministic": bool(code and code.deterministic),
            "python": spec.runtime.python,
            "requirements": "\n".join(spec.runtime.requirements),
            "conda": spec.runtime.conda or "",
            "wheels": list(spec.runtime.wheels),
            "index_url": index.url if index else "",
            "index_credentials": (index.credentials or "") if index else "",
            "execution": spec.execution,
        }

    def clean(self) -> None:
        super().clean()
        if not self.got("artifact") and not self._registered():
            self.add_error("artifact_file", _("Upload the model’s file, or choose one that is here already."))
        if not self.got("code") and (self.got("entry_script") or self.got("deterministic")):
            self.add_error("code_file", _("An entry script is part of uploaded code: upload it, or empty its path."))
        if self.got("index_credentials") and not self.got("index_url"):
            self.add_error("index_url", _("Name the index that the credentials are for."))

    def part(self) -> dict[str, Any]:
        runtime: dict[str, Any] = {
            "python": self.got("python", "3.11"),
            "requirements": lines(self.got("requirements", "")),
            "conda": self.got("conda"),
            "wheels": self.got("wheels", []),
        }
        if url := self.got("index_url"):
            runtime["index"] = {"url": url, "credentials": self.got("index_credentials")}
        part: dict[str, Any] = {
            "model": {
                "artifact": self.got("artifact"),
                "registered": self._registered(),
                "method": self.got("method", "predict"),
            },
            "runtime": runtime,
            "execution": self.got("execution", "auto"),
        }
        if code := self.got("code"):
            part["code"] = {
                "artifact": code,
                "entry_script": self.got("entry_script"),
                "deterministic": self.got("deterministic", False),
            }
        return part

    def _registered(self) -> dict[str, Any] | None:
        workspace, name = self.got("registered_workspace"), self.got("registered_name")
        if not workspace and not name:
            return None
        return {"workspace": workspace or "", "name": name or "", "version": self.got("registered_version")}

    def listed_packages(self) -> frozenset[str]:
        """The packages that the requirements, the wheels or the conda file bring, by pip's spelling of names."""
        names = [_NAME_END.split(line, maxsplit=1)[0] for line in lines(self.got("requirements", ""))]
        names += [_NAME_END.split(line.removeprefix("- "), maxsplit=1)[0] for line in lines(self.got("conda", ""))]
        names += [file.name.split("-")[0] for file in self.situation.wheels if file.pk in self.got("wheels", [])]
        return frozenset(re.sub(r"[-_.]+", "-", name).lower() for name in names)

    def chosen(self) -> Artifact | None:
        """The model's file, as far as it is known."""
        return self.situation.upload(str(self["artifact"].value() or ""))
