"""The content of the files of one plan: fetched once, read while it is sent."""

from collections.abc import Iterable
from typing import BinaryIO

from ftp_deploy.deploys.plan import Change, is_pointer
from ftp_deploy.exceptions import UnresolvedPointer
from ftp_deploy.repository.snapshot import Snapshot

POINTER_BYTES = 1024
"""A Git LFS pointer is never larger (Git LFS specification)."""


class Contents:
    """Sizes and openers of blobs, by blob id."""

    def __init__(self, snapshot: Snapshot) -> None:
        self._snapshot = snapshot
        self.sizes: dict[str, int] = {}

    def prepare(self, changes: Iterable[Change]) -> None:
        """Fetch what the changes put live. Raises ``UnresolvedPointer`` by file name."""
        puts = [change for change in changes if change.action != "delete"]
        self._snapshot.fetch_blobs({change.blob_id for change in puts})
        self.sizes = {change.blob_id: self._snapshot.size(change.blob_id) for change in puts}
        pointers = [change.path for change in puts if self._is_pointer(change.blob_id)]
        if pointers:
            raise UnresolvedPointer(
                f"{', '.join(pointers[:5])}: a Git LFS pointer would go live instead of the file's content.",
                advice="Store the file in git itself, or exclude it in the service.",
            )

    def _is_pointer(self, blob_id: str) -> bool:
        return self.sizes[blob_id] <= POINTER_BYTES and is_pointer(self._snapshot.read(blob_id, POINTER_BYTES))

    def open(self, blob_id: str) -> BinaryIO:
        """Return the content as a file, from its start."""
        return self._snapshot.open(blob_id)
