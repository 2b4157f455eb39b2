"""Files that come with the model step: stored at once, so that an error elsewhere never costs an upload."""

from django.core.files.uploadedfile import UploadedFile
from django.utils.datastructures import MultiValueDict
from django.utils.translation import gettext as _

from console.web.wizard.situation import CODE_FORMATS, Values
from deployments.domain.errors import ConsoleError, NotAllowed
from deployments.models import Artifact
from deployments.services.access import Actor
from deployments.services.artifacts import upload_artifact


def keep_uploads(
    actor: Actor, files: "MultiValueDict[str, UploadedFile]", values: Values
) -> tuple[Values, dict[str, str]]:
    """Store each file and name it in the values. Returns the new values, and a sentence for each input that failed.

    Raises NotAllowed.
    """
    values, problems = dict(values), {}
    for source, target in (("artifact_file", "artifact"), ("code_file", "code"), ("wheel_files", "wheels")):
        for file in files.getlist(source):
            try:
                artifact = _store(actor, file)
            except NotAllowed:
                raise
            except ConsoleError as error:
                sentences = (str(error), error.detail.action)
                problems[source] = " ".join(f"{part.rstrip('.')}." for part in sentences if part)
                continue
            if problem := _misplaced(source, artifact):
                problems[source] = problem
            elif target == "wheels":
                values[target] = list(dict.fromkeys([*(values.get(target) or []), artifact.pk]))
            else:
                values[target] = artifact.pk
    return values, problems


def _store(actor: Actor, file: UploadedFile) -> Artifact:
    artifact, _created = upload_artifact(actor=actor, name=file.name or "", chunks=file.chunks())
    return artifact


def _misplaced(source: str, artifact: Artifact) -> str:
    """Why a file does not belong where it was put; empty where it may."""
    name = {"name": artifact.name}
    if source == "artifact_file" and artifact.format in ("python", "wheel", "tar"):
        return _("%(name)s is code, not a model: upload it as helper code or as a wheel.") % name
    if source == "code_file" and artifact.format not in CODE_FORMATS:
        return _("%(name)s is neither a .py file nor a .zip or .tar.gz of them.") % name
    if source == "wheel_files" and artifact.format != "wheel":
        return _("%(name)s is not a wheel: its name ends in .whl, and pip wheel makes one.") % name
    return ""
