"""Hashes of file contents, as servers compute them: the same on our side, block by block."""

import hashlib
import zlib
from typing import BinaryIO

KINDS = ("sha256", "sha512", "sha384", "sha224", "sha1", "md5", "crc32")
"""What is known here. A CRC finds what was damaged on the way, not what somebody wants to hide."""
BLOCK = 1024 * 1024


class Hasher:
    """One hash over the blocks that are given to it. ``kind`` is one of ``KINDS``."""

    def __init__(self, kind: str) -> None:
        self.kind = kind
        self._crc = 0
        self._hash = None if kind == "crc32" else hashlib.new(kind, usedforsecurity=False)

    def update(self, block: bytes | memoryview) -> None:
        """Add a block of content."""
        if self._hash is None:
            self._crc = zlib.crc32(block, self._crc)
        else:
            self._hash.update(block)

    def hexdigest(self) -> str:
        """Return the hash of all blocks so far, in small hexadecimal digits."""
        return f"{self._crc:08x}" if self._hash is None else self._hash.hexdigest()


def digest_of(stream: BinaryIO, kind: str) -> str:
    """Return the hash of a stream from here to its end; one block is in memory at a time."""
    hasher = Hasher(kind)
    while block := stream.read(BLOCK):
        hasher.update(block)
    return hasher.hexdigest()
