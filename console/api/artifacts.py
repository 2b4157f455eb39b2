"""Uploads."""

from http import HTTPStatus

from django.conf import settings
from django.http import HttpRequest
from ninja import Router, Status

from console.api.auth import actor_of
from console.api.operations import refusals
from console.api.schemas import ArtifactOut
from deployments.domain.errors import SpecInvalid
from deployments.models import Artifact
from deployments.services.access import Verb, require
from deployments.services.artifacts import TooLarge, upload_artifact

router = Router()

FORM_OVERHEAD = 64 * 1024  # the multipart envelope around the file
BODY = {
    "requestBody": {
        "required": True,
        "content": {
            "multipart/form-data": {
                "schema": {
                    "type": "object",
                    "required": ["file"],
                    "properties": {"file": {"type": "string", "format": "binary"}},
                }
            }
        },
    }
}


@router.post(
    "",
    operation_id="upload_artifact",
    summary="Upload a file",
    response={200: ArtifactOut, 201: ArtifactOut, **refusals(400, 403, 413, 422)},
    openapi_extra=BODY,
)
def upload(request: HttpRequest) -> Status[ArtifactOut]:
    """Streams a model, script, wheel or archive to disk and stores it by its sha256; nothing opens it here.

    201 for a new file, 200 for one that is known already.
    """
    actor = actor_of(request)
    # Asked before the body is read, so that nobody fills the disk with what would be refused anyway.
    require(actor, Verb.UPLOAD, subject="a file")
    if int(request.headers.get("Content-Length") or 0) > settings.MAX_ARTIFACT_BYTES + FORM_OVERHEAD:
        raise TooLarge(
            f"The file is larger than {settings.MAX_ARTIFACT_BYTES:,} bytes",
            action="Compress the model, or ask for a higher MAX_ARTIFACT_BYTES.",
            field="file",
        )
    file = request.FILES.get("file")
    if file is None:
        raise SpecInvalid([("file", "send the file as multipart/form-data in the field file")])
    artifact, created = upload_artifact(actor=actor, name=file.name or "", chunks=file.chunks())
    return Status(HTTPStatus.CREATED if created else HTTPStatus.OK, _shown(artifact))


def _shown(artifact: Artifact) -> ArtifactOut:
    return ArtifactOut(id=artifact.pk, name=artifact.name, size=artifact.size, format=artifact.format)
