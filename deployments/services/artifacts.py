"""Uploads: streamed to disk, hashed on the way, judged by their first bytes, never opened."""

import hashlib
import os
import tempfile
from collections.abc import Iterable
from pathlib import Path, PurePath

from django.conf import settings
from django.db import transaction
from django.db.models import Q, QuerySet

from .. import audit
from ..domain.environments import Role
from ..domain.errors import ConsoleError
from ..models import Artifact, Membership, Revision, Upload
from ..models.artifacts import artifact_path
from ..policy import NEEDED_ROLE, Actor, Verb
from .access import require

HEAD = 16
UNKNOWN = "unknown"


class TooLarge(ConsoleError):
    """The upload is over the site's limit."""

    code = "too_large"
    status = 413


def upload_artifact(*, actor: Actor, name: str, chunks: Iterable[bytes]) -> tuple[Artifact, bool]:
    """Store a file by its sha256. Returns the row and whether it is new.

    Raises NotAllowed, TooLarge, or ConsoleError for an empty file. Nothing half-written stays behind.
    """
    require(actor, Verb.UPLOAD, subject=name)
    root = Path(settings.ARTIFACT_ROOT)
    root.mkdir(parents=True, exist_ok=True)
    digest, size, head = hashlib.sha256(), 0, b""
    handle, path = tempfile.mkstemp(dir=root, prefix="upload-")
    try:
        with os.fdopen(handle, "wb") as file:
            for chunk in chunks:
                size += len(chunk)
                if size > settings.MAX_ARTIFACT_BYTES:
                    raise TooLarge(
                        f"The file is larger than {settings.MAX_ARTIFACT_BYTES:,} bytes",
                        action="Compress the model, or ask for a higher MAX_ARTIFACT_BYTES.",
                        field="file",
                    )
                head = (head + chunk)[:HEAD] if len(head) < HEAD else head
                digest.update(chunk)
                file.write(chunk)
            file.flush()
            os.fsync(file.fileno())
        if not size:
            raise ConsoleError(
                "The file is empty", action="Choose the file again; saving it may have failed.", field="file"
            )
        final = artifact_path(digest.hexdigest())
        final.parent.mkdir(parents=True, exist_ok=True)
        Path(path).replace(final)
    finally:
        Path(path).unlink(missing_ok=True)
    clean = _safe_name(name)
    found = {"name": clean, "size": size, "format": guess_format(clean, head)}
    with transaction.atomic():
        artifact, created = Artifact.objects.get_or_create(
            pk=digest.hexdigest(), defaults={**found, "uploaded_by": actor.user}
        )
        if artifact.format == UNKNOWN and found["format"] != UNKNOWN:
            # The same bytes under a name that tells what they are: features.txt, now features.py.
            artifact.name, artifact.format = clean, str(found["format"])
            artifact.save(update_fields=["name", "format"])
        Upload.objects.get_or_create(artifact=artifact, user=actor.user)
        audit.record(actor, "upload", f"{artifact.name} {artifact.pk[:12]}")
    return artifact, created


def usable_artifacts(actor: Actor) -> QuerySet[Artifact]:
    """Files that the actor may put into a Spec: their own uploads, and what is deployed where they may deploy.

    An id is no secret - whoever may look at a deployment reads it - so knowing it gives no right to the file.
    """
    if actor.is_site_admin:
        return Artifact.objects.all()
    held = Membership.objects.filter(user_id=actor.user.pk)
    allowed = [found.environment_id for found in held if Role(found.role).includes(NEEDED_ROLE[Verb.DEPLOY])]
    revisions = Revision.objects.filter(deployment__environment__in=allowed)
    deployed = {digest for revision in revisions for digest in revision.spec.artifact_ids()}
    return Artifact.objects.filter(Q(uploads__user_id=actor.user.pk) | Q(pk__in=deployed)).distinct()


def guess_format(name: str, head: bytes) -> str:
    """What a file claims to be, by its first bytes and its name; the sandboxed child finds out the truth."""
    suffix = PurePath(name).suffix.lower()
    if head[:4] == b"PK\x03\x04":
        return {".whl": "wheel", ".skops": "skops"}.get(suffix, "zip")
    if suffix == ".onnx":
        return "onnx"
    if suffix == ".py":
        return "python"
    if (suffix in (".gz", ".tgz") and head[:2] == b"\x1f\x8b" and ".tar" in name) or suffix == ".tgz":
        return "tar"
    if head[:1] == b"\x80" and suffix in (".pkl", ".pickle"):
        return "pickle"
    compressed = head[:2] in (b"\x1f\x8b", b"x\x9c", b"x^", b"x\x01", b"x\xda") or head[:6] in (b"\xfd7zXZ\x00",)
    if head[:1] == b"\x80" or compressed or suffix in (".joblib", ".z", ".lzma", ".bz2"):
        return "joblib"
    return UNKNOWN


def _safe_name(name: str) -> str:
    """The last part of a file name, without control characters; it is shown and used as a file's name."""
    last = PurePath(name.replace("\\", "/")).name
    clean = "".join(sign if sign.isalnum() or sign in "._-+" else "_" for sign in last).lstrip(".")
    return clean[-120:] or "model"
