"""The content of the files of one plan: fetched once, read while it is sent."""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import BinaryIO

from ftp_deploy.conf import conf
from ftp_deploy.deploys.plan import Change, is_pointer
from ftp_deploy.deploys.source import git_source
from ftp_deploy.deploys.waiting import wait_for
from ftp_deploy.exceptions import UnresolvedPointer
from ftp_deploy.models import Service
from ftp_deploy.repository import lfs
from ftp_deploy.repository.lfs import Pointer, Tick, parse_pointer
from ftp_deploy.repository.snapshot import Snapshot
from ftp_deploy.transports.base import Guard
from ftp_deploy.transports.hashes import digest_of

POINTER_BYTES = 1024
"""A Git LFS pointer is never larger (Git LFS specification)."""


class Contents:
    """Sizes and openers of blobs, by blob id. A Git LFS pointer counts as the object that it stands for."""

    def __init__(self, snapshot: Snapshot) -> None:
        self._snapshot = snapshot
        self.sizes: dict[str, int] = {}
        self._pointers: dict[str, Pointer] = {}
        self._objects: dict[str, Path] = {}

    def prepare(self, changes: Iterable[Change], guard: Guard) -> None:
        """Fetch what the changes put live, except the objects of pointers; ``guard`` may end that.

        Raises ``UnresolvedPointer``, by file name, for a pointer that cannot be read.
        """
        puts = [change for change in changes if change.action != "delete"]
        blob_ids = {change.blob_id for change in puts}
        wait_for(lambda: self._snapshot.fetch_blobs(blob_ids), guard)
        for change in puts:
            self.sizes[change.blob_id] = self._snapshot.size(change.blob_id)
            pointer = self._pointer(change)
            if pointer is not None:
                self._pointers[change.blob_id] = pointer
                self.sizes[change.blob_id] = pointer.size

    def _pointer(self, change: Change) -> Pointer | None:
        if self.sizes[change.blob_id] > POINTER_BYTES:
            return None
        content = self._snapshot.read(change.blob_id, POINTER_BYTES)
        if not is_pointer(content):
            return None
        try:
            return parse_pointer(content)
        except UnresolvedPointer as error:
            raise UnresolvedPointer(
                f"{change.path}: {error.message}", advice="Commit the file again with Git LFS, or exclude it."
            ) from error

    def fetch_objects(self, service: Service, blobs: Mapping[str, str], tick: Tick) -> int:
        """Download the Git LFS objects of those files (path: blob id) that are pointers; return how many there are.

        Raises ``UnresolvedPointer`` by file name where the forge lacks one, ``RepositoryError`` and below.
        """
        wanted = {path: self._pointers[blob_id] for path, blob_id in blobs.items() if blob_id in self._pointers}
        if wanted:
            self._objects |= lfs.fetch_objects(
                git_source(service),
                wanted,
                self._snapshot.folder / "lfs",
                allow_private=conf.ALLOW_PRIVATE_ADDRESSES,
                tick=tick,
            )
        return len(wanted)

    def digest(self, blob_id: str, kind: str) -> str:
        """Return the hash (``hashes.KINDS``) of a content that was prepared; empty where that needs a download."""
        pointer = self._pointers.get(blob_id)
        if pointer is not None:
            return pointer.oid if kind == "sha256" else ""
        with self.open(blob_id) as stream:
            return digest_of(stream, kind)

    def open(self, blob_id: str) -> BinaryIO:
        """Return the content as a file, from its start."""
        pointer = self._pointers.get(blob_id)
        if pointer is not None:
            return self._objects[pointer.oid].open("rb")
        return self._snapshot.open(blob_id)
