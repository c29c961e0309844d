"""A server in memory: the same contract as the real ones, for tests and rehearsals.

Each host name is one server, kept for the life of the process: ``store("example.test")`` is what transports to that
host see. Register it with ``FTP_DEPLOY_TRANSPORTS = {"memory": "ftp_deploy.transports.memory.Memory"}``.
"""

import threading
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from io import BytesIO
from typing import Any, TypeVar

from ftp_deploy.exceptions import LoginRefused, PermissionRefused, TransportError, VerificationFailed
from ftp_deploy.transports.base import (
    Enough,
    Guard,
    Progress,
    RemoteFile,
    Rename,
    Traits,
    Transport,
    Upload,
    never_enough,
)
from ftp_deploy.transports.hashes import digest_of
from ftp_deploy.transports.names import check, join, normal_root

Item = TypeVar("Item")

BLOCK = 64 * 1024
BATCH = 50


@dataclass(frozen=True, slots=True)
class StoredFile:
    """One file in the store."""

    content: bytes
    mode: int | None = None
    modified: datetime | None = None


@dataclass(slots=True)
class Store:
    """One server. ``files`` and ``directories`` are keyed by absolute path; ``calls`` are the operations, in order."""

    files: dict[str, StoredFile] = field(default_factory=dict)
    directories: set[str] = field(default_factory=lambda: {"/"})
    calls: list[tuple[str, str]] = field(default_factory=list)
    faults: list[tuple[str, str, TransportError]] = field(default_factory=list)
    hash_kind: str = ""
    """The hash that the server can compute, such as "sha256"."""
    password: str | None = None
    """The only password that is let in; None lets everybody in."""
    lock: threading.RLock = field(default_factory=threading.RLock, repr=False)

    def fail(self, operation: str, path: str, error: TransportError, times: int = 1) -> None:
        """Let the next ``times`` operations of this kind on ``path`` ("" for any) raise ``error``."""
        self.faults.extend([(operation, path, error)] * times)

    def note(self, operation: str, path: str) -> None:
        """Record an operation; raises the next fault that was asked for it."""
        self.calls.append((operation, path))
        for fault in self.faults:
            if fault[0] == operation and fault[1] in ("", path):
                self.faults.remove(fault)
                raise fault[2]

    def tree(self, root: str = "/") -> dict[str, bytes]:
        """Return all files below ``root`` by their path relative to it."""
        prefix = root.rstrip("/") + "/"
        return {path[len(prefix) :]: stored.content for path, stored in self.files.items() if path.startswith(prefix)}


STORES: dict[str, Store] = {}


def store(host: str) -> Store:
    """Return the server of that name; it is made, empty, when it is first asked for."""
    return STORES.setdefault(host, Store())


class Memory(Transport):
    """The contract, on a dictionary."""

    label = "In memory"
    encrypted = True

    def connect(self) -> None:
        """Log in; in a store that nobody has used yet, the target's path is made.

        Raises ``LoginRefused`` where the store wants another password.
        """
        self.store = store(self.target.host)
        self.store.note("connect", "")
        if self.store.password not in (None, self.target.password):
            raise LoginRefused(f"{self.target.host} refused the login of {self.target.username}.", code=530)
        self.root = normal_root(self.target.path)
        if not self.store.files and self.store.directories == {"/"}:
            self.store.directories.update(_parents(f"{self.root}/x"))

    def close(self) -> None:
        """Nothing is held."""

    def probe(self) -> Traits:
        """Return the traits of a server that can do everything."""
        if self._note("probe", "") not in self.store.directories:
            raise PermissionRefused(f"The path {self.target.path} does not exist.", code=550)
        self.traits = Traits(banner="memory", rename_over=True, utf8=True, chmod=True, set_time=True)
        return self.traits

    def make_directories(self, paths: Sequence[str]) -> None:
        """Make directories. Raises ``PermissionRefused`` where a file or nothing is in the parent's place."""
        for path in paths:
            place = self._note("mkdir", path)
            with self.store.lock:
                if place in self.store.files or place.rpartition("/")[0] not in {*self.store.directories, ""}:
                    raise PermissionRefused(f"The directory {path} could not be made.", path=path, code=550)
                self.store.directories.add(place)

    def upload(self, uploads: Sequence[Upload], enough: Enough = never_enough) -> Iterator[Progress]:
        """Store the files, largest first."""
        self._check(upload.path for upload in uploads)
        for upload in sorted(uploads, key=lambda one: -one.size):
            if enough():
                return
            place = self._note("upload", upload.path)
            if place.rpartition("/")[0] not in {*self.store.directories, ""} or place in self.store.directories:
                raise PermissionRefused(f"{upload.shown} could not be written.", path=upload.shown, code=553)
            blocks = []
            with upload.open() as stream:
                while block := stream.read(BLOCK):
                    blocks.append(block)
                    yield Progress(bytes_sent=len(block), current=upload.shown)
            content = b"".join(blocks)
            if len(content) != upload.size:
                raise VerificationFailed(
                    f"{upload.shown} has {len(content)} bytes instead of {upload.size}.", path=upload.shown
                )
            mode = upload.mode if upload.mode is not None else self.target.file_mode
            with self.store.lock:
                self.store.files[place] = StoredFile(content, mode, upload.modified)
            yield Progress(done=(upload.path,), current=upload.shown)

    def rename(self, renames: Sequence[Rename], guard: Guard) -> Iterator[Progress]:
        """Move the files over their final names."""
        self._check(path for rename in renames for path in (rename.source, rename.path))
        for batch in _batches(renames):
            guard()
            for rename in batch:
                place = self._note("rename", rename.path)
                source = join(self.root, rename.source)
                with self.store.lock:
                    if source not in self.store.files or place in self.store.directories:
                        raise PermissionRefused(
                            f"{rename.path} could not be replaced.", path=rename.path, reply="550", code=550
                        )
                    self.store.files[place] = self.store.files.pop(source)
            yield Progress(done=tuple(rename.path for rename in batch))

    def delete(self, paths: Sequence[str], guard: Guard) -> Iterator[Progress]:
        """Remove the files."""
        self._check(paths)
        for batch in _batches(paths):
            guard()
            for path in batch:
                place = self._note("delete", path)
                if place in self.store.directories:
                    raise PermissionRefused(f"{path} is a directory.", path=path, code=550)
                self.store.files.pop(place, None)
            yield Progress(done=tuple(batch))

    def prune(self, directories: Sequence[str]) -> tuple[str, ...]:
        """Remove those directories that hold nothing."""
        removed = []
        for path in sorted(directories, key=lambda one: (-one.count("/"), one)):
            place = self._note("rmdir", path)
            everything = [*self.store.files, *self.store.directories]
            if place in self.store.directories and not any(one.startswith(f"{place}/") for one in everything):
                self.store.directories.discard(place)
                removed.append(path)
        return tuple(removed)

    def sizes(self, paths: Sequence[str]) -> dict[str, int | None]:
        """Return the sizes."""
        found = {path: self.store.files.get(self._note("size", path)) for path in paths}
        return {path: len(stored.content) if stored else None for path, stored in found.items()}

    @property
    def hash_kind(self) -> str:
        """What the store says."""
        return self.store.hash_kind

    def matches(self, digests: Mapping[str, str]) -> dict[str, bool | None]:
        """Hash the files."""
        found: dict[str, bool | None] = dict.fromkeys(digests)
        for path, digest in digests.items():
            stored = self.store.files.get(self._note("hash", path))
            if stored and self.hash_kind:
                found[path] = digest_of(BytesIO(stored.content), self.hash_kind) == digest
        return found

    def walk(self) -> Iterator[RemoteFile]:
        """List everything below the root."""
        self._note("walk", "")
        prefix = f"{self.root}/"
        for place in sorted(self.store.directories):
            if place.startswith(prefix) and place != "/":
                yield RemoteFile(place[len(prefix) :], is_directory=True)
        for place, stored in sorted(self.store.files.items()):
            if place.startswith(prefix):
                yield RemoteFile(place[len(prefix) :], len(stored.content), modified=stored.modified)

    def download(self, path: str) -> Iterator[bytes]:
        """Read one file."""
        stored = self.store.files.get(self._note("download", path))
        if stored is None:
            raise PermissionRefused(f"{path} does not exist.", path=path, code=550)
        for start in range(0, len(stored.content), BLOCK):
            yield stored.content[start : start + BLOCK]

    def _check(self, paths: Iterable[str]) -> None:
        for path in paths:
            check(path)

    def _note(self, operation: str, path: str) -> str:
        place = join(self.root, path)
        self.store.note(operation, path)
        return place


def put(host: str, path: str, content: bytes, **details: Any) -> None:
    """Put a file into a store behind the transports' back; ``path`` is absolute."""
    kept = store(host)
    kept.directories.update(_parents(path))
    kept.files[path] = replace(StoredFile(content), **details)


def _parents(path: str) -> set[str]:
    parts = path.split("/")[1:-1]
    return {"/"} | {"/" + "/".join(parts[: count + 1]) for count in range(len(parts))}


def _batches(items: Sequence[Item]) -> Iterator[Sequence[Item]]:
    return (items[start : start + BATCH] for start in range(0, len(items), BATCH))
