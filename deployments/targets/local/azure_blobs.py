"""Containers of a Blob service - Azurite, or any that its protocol speaks - seen as folders of blobs are."""

import contextlib
from collections.abc import Iterator
from typing import Any

from .blob_folder import Blob, Changed, StoreAway

_CONNECT_SECONDS = 5
_READ_SECONDS = 60


class AzureBlobs:
    """What `BlobFolder` does, by a connection string; every method may raise StoreAway."""

    def __init__(self, connection: str) -> None:
        # Takes a second to import, and most deployments on this machine never need it.
        from azure.storage.blob import BlobServiceClient

        with _told():
            self._service = BlobServiceClient.from_connection_string(
                connection, retry_total=1, connection_timeout=_CONNECT_SECONDS, read_timeout=_READ_SECONDS
            )

    def make(self, container: str) -> None:
        from azure.core.exceptions import ResourceExistsError

        with _told(), contextlib.suppress(ResourceExistsError):
            self._service.create_container(container)

    def blobs(self, container: str, unseen: list[str]) -> Iterator[Blob]:
        """Every blob of the container, none where there is no container; the service shows none half written."""
        with contextlib.suppress(Changed), _told():
            for found in self._service.get_container_client(container).list_blobs():
                yield _blob(found)

    def find(self, container: str, name: str) -> Blob | None:
        try:
            with _told():
                return _blob(self._service.get_blob_client(container, name).get_blob_properties())
        except Changed:
            return None

    def read(self, container: str, blob: Blob) -> bytes:
        """The content of that version. Raises Changed."""
        from azure.core import MatchConditions

        with _told():
            download = self._service.get_blob_client(container, blob.name).download_blob(
                etag=f'"{blob.etag}"', match_condition=MatchConditions.IfNotModified
            )
            return download.readall()

    def write(self, container: str, name: str, content: bytes) -> str:
        """Returns the etag of the new version, which readers see whole or not at all."""
        self.make(container)
        with _told():
            return _plain(self._service.get_blob_client(container, name).upload_blob(content, overwrite=True)["etag"])

    def tidy(self) -> None:
        """Nothing is left half written."""


@contextlib.contextmanager
def _told() -> Iterator[None]:
    """What the SDK raises, as what a folder would."""
    from azure.core.exceptions import AzureError, ResourceModifiedError, ResourceNotFoundError

    try:
        yield
    except (ResourceModifiedError, ResourceNotFoundError) as error:
        raise Changed(str(error.message)[:200]) from error
    except (AzureError, ValueError) as error:
        raise StoreAway(f"the Blob service: {str(error)[:200]}") from error


def _blob(found: Any) -> Blob:
    settings = found.content_settings
    properties = {"ContentType": settings.content_type, "CacheControl": settings.cache_control}
    return Blob(
        name=found.name,
        etag=_plain(found.etag),
        size=found.size,
        modified=found.last_modified.timestamp(),
        stable=True,
        properties={name: value for name, value in properties.items() if value},
    )


def _plain(etag: str) -> str:
    return etag.strip('"')
