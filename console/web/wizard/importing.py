"""A YAML file taken as a draft."""

from django.core.files.uploadedfile import UploadedFile
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils.translation import gettext as _
from django.views.decorators.http import require_http_methods

from console.web.pages import page
from console.web.wizard import yaml_file
from console.web.wizard.steps import REVIEW, values_of
from deployments.domain.errors import SpecInvalid
from deployments.services import drafts
from deployments.services.access import Actor


@page
@require_http_methods(["GET", "POST"])
def wizard_import(request: HttpRequest, actor: Actor) -> HttpResponse:
    """Ask for a file or its text; what is wrong with it is said with the path of each field."""
    drafts.require_deployer(actor)
    text, problems = "", []
    if request.method == "POST":
        try:
            text = _text(request)
            wish = yaml_file.read(text)
        except SpecInvalid as error:
            problems = error.problems
        else:
            steps = values_of(wish.spec)
            if not wish.has_model:
                steps["model"]["artifact"] = ""
            steps["function"] |= {"name": wish.name, "description": wish.description}
            if wish.environment:
                steps["environment"]["environment"] = wish.environment
            draft = drafts.create_draft(actor=actor, data={"steps": steps, "name": wish.name})
            return redirect("web:wizard_step", draft.pk, REVIEW if wish.has_model else "model")
    context = {
        "text": text,
        "problems": problems,
        "crumbs": [
            (_("Deployments"), reverse("web:deployments")),
            (_("Deploy a model"), reverse("web:wizard_new")),
            (_("Import YAML"), ""),
        ],
    }
    return render(request, "wizard/import.html", context, status=422 if problems else 200)


def _text(request: HttpRequest) -> str:
    """The file's text, else what was typed. Raises SpecInvalid."""
    file = request.FILES.get("file")
    if not isinstance(file, UploadedFile):
        text = request.POST.get("text", "")
        if not text.strip():
            raise SpecInvalid([("", _("Choose a file, or paste its text."))])
        return text
    if (file.size or 0) > yaml_file.MAX_BYTES:
        raise SpecInvalid([("", _("The file is larger than 256 kB, which no definition needs."))])
    try:
        return file.read().decode()
    except UnicodeDecodeError:
        raise SpecInvalid([("", _("The file is not text in UTF-8."))]) from None
