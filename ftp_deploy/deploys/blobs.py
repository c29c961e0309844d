"""Which git blob a content is: so what a server holds is compared with the manifest, without the repository. Pure."""

import hashlib
from collections.abc import Iterable

from ftp_deploy.deploys.manifest import Entry

POINTER = "version https://git-lfs.github.com/spec/v1\noid sha256:{oid}\nsize {size}\n"
"""The one way to write a Git LFS pointer without extensions (Git LFS specification)."""


def is_blob(entries: "list[Entry]", blocks: Iterable[bytes]) -> bool:
    """Say whether a content is one of these blobs, or the Git LFS object that one of them points at.

    All entries have the same size; a content that goes beyond it is another one and is not read to its end.
    """
    size = entries[0].size
    kinds = {entry.blob_id: kind_of(entry.blob_id) for entry in entries}
    running = {kind: hashlib.new(kind, b"blob %d\0" % size, usedforsecurity=False) for kind in set(kinds.values())}
    whole = hashlib.sha256()
    count = 0
    for block in blocks:
        count += len(block)
        if count > size:
            return False
        whole.update(block)
        for one in running.values():
            one.update(block)
    pointer = POINTER.format(oid=whole.hexdigest(), size=size).encode()
    found = {one.hexdigest() for one in running.values()} | {blob_id(pointer, kind) for kind in running}
    return not found.isdisjoint(kinds)


def kind_of(object_id: str) -> str:
    """Return the hash that a repository uses, from the length of one of its ids."""
    return "sha1" if len(object_id) == 40 else "sha256"


def blob_id(content: bytes, kind: str) -> str:
    """Return the id of a blob with this content."""
    return hashlib.new(kind, b"blob %d\0" % len(content) + content, usedforsecurity=False).hexdigest()
