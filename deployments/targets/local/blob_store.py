"""Where a deployment's blobs are: in a folder of its own, or in a Blob service that the console was given."""

from collections.abc import Iterator
from pathlib import Path
from typing import Protocol

from .azure_blobs import AzureBlobs
from .blob_folder import Blob, BlobFolder

BLOBS = "blobs"
CONNECTION = "storage"  # the file with the connection string, where there is one


class BlobStore(Protocol):
    """Containers of blobs. Every method may raise OSError, of which StoreAway is one, and Changed."""

    def make(self, container: str) -> object:
        """The container is there afterwards."""

    def blobs(self, container: str, unseen: list[str]) -> Iterator[Blob]:
        """Every blob; where it could not look is added to `unseen`."""

    def find(self, container: str, name: str) -> Blob | None: ...

    def read(self, container: str, blob: Blob) -> bytes:
        """The content of that version. Raises Changed."""

    def write(self, container: str, name: str, content: bytes) -> str:
        """Whole or not at all; returns the etag."""

    def tidy(self) -> None:
        """Remove what a writer that was killed left."""


def store_of(folder: Path) -> BlobStore:
    """The store of the trigger in that folder."""
    try:
        connection = (folder / CONNECTION).read_text()
    except FileNotFoundError:
        return BlobFolder(folder / BLOBS)
    return AzureBlobs(connection)
