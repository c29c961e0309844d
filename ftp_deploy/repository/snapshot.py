"""One commit's tree and the blobs fetched for it, in a temporary folder."""

import shutil
import stat
import tempfile
import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from io import BytesIO
from pathlib import Path
from types import TracebackType
from typing import BinaryIO, Protocol, Self

from dulwich.object_store import DiskObjectStore
from dulwich.objects import Blob, Commit, ObjectID, parse_tree

from ftp_deploy.exceptions import RepositoryError
from ftp_deploy.repository.base import TreeEntry

SPOOL_BYTES = 1024 * 1024


class BlobSource(Protocol):
    """Where blobs come from that are not here yet."""

    def fetch_blobs(self, store: "ObjectStore", commit: str, blob_ids: Iterable[str]) -> None:
        """Put those blobs into the store that it lacks."""

    def close(self) -> None:
        """Close the connections."""


class ObjectStore:
    """Packs in a temporary folder."""

    def __init__(self, folder: str | None = None) -> None:
        self.folder = tempfile.mkdtemp(prefix="ftp-deploy-git-", dir=folder)
        self._store = DiskObjectStore.init(self.folder)
        self._lock = threading.Lock()

    def close(self) -> None:
        """Remove the folder; harmless when called twice."""
        self._store.close()
        shutil.rmtree(self.folder, ignore_errors=True)

    def __contains__(self, object_id: str) -> bool:
        with self._lock:
            return ObjectID(object_id.encode("ascii")) in self._store

    @contextmanager
    def incoming(self) -> Iterator[BinaryIO]:
        """Give a file for one pack; it is indexed when the block ends well and removed otherwise."""
        file, commit, abort = self._store.add_pack()
        try:
            yield file
        except BaseException:
            abort()
            raise
        with self._lock:
            commit()

    def raw(self, object_id: str) -> tuple[int, bytes]:
        """Return an object's type number and content. Raises ``KeyError``."""
        with self._lock:
            return self._store.get_raw(ObjectID(object_id.encode("ascii")))

    def commit_tree(self, commit: str) -> str:
        """Return the id of a commit's tree."""
        with self._lock:
            found = self._store[ObjectID(commit.encode("ascii"))]
        if not isinstance(found, Commit):
            raise RepositoryError(f"{commit} is not a commit.")
        tree: bytes = found.tree
        return tree.decode("ascii")


class Snapshot:
    """A commit's tree; blobs can be read once they were fetched. Reading is safe from several threads."""

    def __init__(self, store: ObjectStore, source: BlobSource, commit: str, *, exact: bool) -> None:
        self.commit = commit
        self.exact = exact
        self.tree: tuple[TreeEntry, ...] = ()
        self._store = store
        self._source = source

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the connection to the forge and remove all files."""
        self._source.close()
        self._store.close()

    @property
    def folder(self) -> Path:
        """Where the files of this snapshot lie; removed with it."""
        return Path(self._store.folder)

    def load_tree(self, max_files: int) -> None:
        """Read the tree, and the targets of its symlinks, which every plan needs."""
        try:
            tree = self._store.commit_tree(self.commit)
            self.tree = tuple(self._entries(tree, max_files))
        except KeyError as error:
            raise RepositoryError(f"The tree of {self.commit} is not complete: {error}") from error
        self.fetch_blobs(entry.blob_id for entry in self.tree if stat.S_ISLNK(entry.mode))

    def _entries(self, root: str, max_files: int) -> Iterator[TreeEntry]:
        """Walk the trees from ``root``, in git's order within each directory; bounded, as a tree may be hostile."""
        waiting = [(b"", root)]
        found = 0
        while waiting:
            prefix, tree_id = waiting.pop()
            _kind, data = self._store.raw(tree_id)
            for name, mode, blob_id in parse_tree(data, sha_len=len(tree_id) // 2):
                found += 1
                path = prefix + name
                if found > max_files or len(path) > 65_536:
                    raise RepositoryError(f"The tree of {self.commit} has more than {max_files} files.")
                if stat.S_ISDIR(mode):
                    waiting.append((path + b"/", blob_id.decode("ascii")))
                else:
                    yield TreeEntry(path, mode, blob_id.decode("ascii"))

    def fetch_blobs(self, blob_ids: Iterable[str]) -> None:
        """Fetch those blobs that are not here yet, in few requests. Raises ``RepositoryError`` and below."""
        self._source.fetch_blobs(self._store, self.commit, blob_ids)

    def size(self, blob_id: str) -> int:
        """Return the size of a fetched blob in bytes. Raises ``RepositoryError`` for one that is not here."""
        return len(self._blob(blob_id))

    def open(self, blob_id: str) -> BinaryIO:
        """Return a fetched blob as a file, at its start. Close it after use."""
        data = self._blob(blob_id)
        if len(data) <= SPOOL_BYTES:
            return BytesIO(data)
        file = tempfile.TemporaryFile(dir=self._store.folder)  # noqa: SIM115
        file.write(data)
        file.seek(0)
        return file

    def read(self, blob_id: str, limit: int) -> bytes:
        """Return the first ``limit`` bytes of a fetched blob."""
        return self._blob(blob_id)[:limit]

    def _blob(self, blob_id: str) -> bytes:
        try:
            kind, data = self._store.raw(blob_id)
        except KeyError as error:
            raise RepositoryError(f"The blob {blob_id} was not fetched.") from error
        if kind != Blob.type_num:
            raise RepositoryError(f"{blob_id} is not a blob.")
        return data
