"""The manifest: what a server holds, path by path. Pure; stored as one compressed value per service."""

import json
import zlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Entry:
    """One file on the server: which blob, with which git mode, how many bytes."""

    blob_id: str
    mode: int
    size: int


class Manifest(Mapping[str, Entry]):
    """An immutable mapping of paths, relative to the service's path, to entries."""

    def __init__(self, entries: Mapping[str, Entry] | None = None) -> None:
        self._entries = dict(entries or {})

    def __getitem__(self, path: str) -> Entry:
        return self._entries[path]

    def __iter__(self) -> Iterator[str]:
        return iter(self._entries)

    def __len__(self) -> int:
        return len(self._entries)

    @property
    def directories(self) -> set[str]:
        """All directories that hold a file, directly or further down; without the root."""
        return parents_of(self._entries)

    def fold(self, put: Mapping[str, Entry], removed: "set[str] | frozenset[str]" = frozenset()) -> "Manifest":
        """Return the manifest after ``put`` was uploaded and ``removed`` was deleted."""
        kept = {path: entry for path, entry in self._entries.items() if path not in removed}
        return Manifest({**kept, **put})

    def dump(self) -> bytes:
        """Return the stored form."""
        rows = [[path, entry.blob_id, entry.mode, entry.size] for path, entry in sorted(self._entries.items())]
        return zlib.compress(json.dumps(rows, ensure_ascii=False, separators=(",", ":")).encode(), 6)

    @classmethod
    def load(cls, stored: bytes) -> "Manifest":
        """Read the stored form; empty bytes are an empty manifest."""
        if not stored:
            return cls()
        rows = json.loads(zlib.decompress(stored))
        return cls({path: Entry(blob_id, mode, size) for path, blob_id, mode, size in rows})


def parents_of(paths: "Mapping[str, object] | set[str]") -> set[str]:
    """Return every directory above the given paths, without the root."""
    found: set[str] = set()
    for path in paths:
        parent = path.rpartition("/")[0]
        while parent and parent not in found:
            found.add(parent)
            parent = parent.rpartition("/")[0]
    return found
