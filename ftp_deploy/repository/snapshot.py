"""One commit's tree and the blobs fetched for it, in a temporary folder."""

import stat
import tempfile
import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import BinaryIO, Protocol, Self

from dulwich.objects import Commit, parse_tree

from ftp_deploy.exceptions import RepositoryError
from ftp_deploy.repository.base import TreeEntry
from ftp_deploy.repository.pack import BLOB, COMMIT, KINDS, TREE, Entry, Pack
from ftp_deploy.repository.scratch import ScratchFolder

LARGEST_TREE = 64 * 1024 * 1024
LONGEST_PATH = 65_536


class BlobSource(Protocol):
    """Where blobs come from that are not here yet."""

    def fetch_blobs(self, store: "ObjectStore", commit: str, blob_ids: Iterable[str]) -> None:
        """Put those blobs into the store that it lacks."""

    def close(self) -> None:
        """Close the connections."""


class ObjectStore:
    """Packs in a temporary folder."""

    def __init__(self, folder: str | None = None, max_bytes: int = 1 << 40) -> None:
        self._scratch = ScratchFolder(folder or "")
        self.folder = self._scratch.path
        self.algorithm = "sha1"
        self._max_bytes = max_bytes
        self._packs: list[Pack] = []

    def close(self) -> None:
        """Remove everything; harmless when called twice."""
        for pack in self._packs:
            pack.close()
        self._scratch.remove()

    @contextmanager
    def incoming(self) -> Iterator[BinaryIO]:
        """Give a file for one pack; it is read when the block ends well and removed otherwise."""
        file = tempfile.TemporaryFile(dir=self.folder)  # noqa: SIM115
        try:
            yield file
            if not file.tell():
                file.close()
                return
            file.flush()
            pack = Pack(file, self.algorithm, self.folder)
            pack.index(self._max_bytes)
            self._packs.append(pack)
        except BaseException:
            file.close()
            raise

    def _find(self, object_id: str) -> tuple[Pack, Entry] | None:
        for pack in self._packs:
            entry = pack.entries.get(object_id)
            if entry:
                return pack, entry
        return None

    def __contains__(self, object_id: str) -> bool:
        return self._find(object_id) is not None

    def entry(self, object_id: str, kind: int) -> tuple[Pack, Entry]:
        """Return where an object lies. Raises ``RepositoryError`` where it is not here or of another kind."""
        found = self._find(object_id)
        if found is None:
            raise RepositoryError(f"The {KINDS[kind].decode()} {object_id} is not among what the forge sent.")
        if found[1].kind != kind:
            raise RepositoryError(f"{object_id} is not a {KINDS[kind].decode()}.")
        return found

    def open(self, object_id: str, kind: int) -> BinaryIO:
        """Return an object's content as a file."""
        pack, entry = self.entry(object_id, kind)
        return pack.open(entry)

    def read(self, object_id: str, kind: int) -> bytes:
        """Return the whole content of a commit or a tree."""
        pack, entry = self.entry(object_id, kind)
        if entry.size > LARGEST_TREE:
            raise RepositoryError(f"The {KINDS[kind].decode()} {object_id} is larger than {LARGEST_TREE} bytes.")
        with pack.open(entry) as file:
            return file.read()


class Snapshot:
    """A commit's tree; blobs can be read once they were fetched. Reading is safe from several threads."""

    def __init__(self, store: ObjectStore, source: BlobSource, commit: str, *, exact: bool) -> None:
        self.commit = commit
        self.exact = exact
        self.tree: tuple[TreeEntry, ...] = ()
        self._store = store
        self._source = source
        self._fetching = threading.Lock()

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
        commit = Commit.from_string(self._store.read(self.commit, COMMIT))
        self.tree = tuple(self._entries(commit.tree.decode("ascii"), max_files))
        self.fetch_blobs(entry.blob_id for entry in self.tree if stat.S_ISLNK(entry.mode))

    def _entries(self, root: str, max_files: int) -> Iterator[TreeEntry]:
        """Walk the trees from ``root``; bounded, as a tree may be hostile."""
        waiting = [(b"", root)]
        found = 0
        while waiting:
            prefix, tree_id = waiting.pop()
            for name, mode, object_id in parse_tree(self._store.read(tree_id, TREE), sha_len=len(tree_id) // 2):
                found += 1
                path = prefix + name
                if found > max_files:
                    raise RepositoryError(f"The commit {self.commit} holds more than {max_files} files.")
                if len(path) > LONGEST_PATH:
                    raise RepositoryError(f"The commit {self.commit} holds a path of more than {LONGEST_PATH} bytes.")
                if stat.S_ISDIR(mode):
                    waiting.append((path + b"/", object_id.decode("ascii")))
                else:
                    yield TreeEntry(path, mode, object_id.decode("ascii"))

    def fetch_blobs(self, blob_ids: Iterable[str]) -> None:
        """Fetch those blobs that are not here yet, in few requests. Raises ``RepositoryError`` and below."""
        with self._fetching:
            self._source.fetch_blobs(self._store, self.commit, blob_ids)

    def size(self, blob_id: str) -> int:
        """Return the size of a fetched blob in bytes. Raises ``RepositoryError`` for one that is not here."""
        return self._store.entry(blob_id, BLOB)[1].size

    def open(self, blob_id: str) -> BinaryIO:
        """Return a fetched blob as a file, at its start. Close it after use."""
        return self._store.open(blob_id, BLOB)

    def read(self, blob_id: str, limit: int) -> bytes:
        """Return the first ``limit`` bytes of a fetched blob."""
        with self.open(blob_id) as file:
            return file.read(limit)
