"""Comparing contents with a server that can hash files: HASH (draft-bryan-ftpext-hash), XSHA256, XMD5, XCRC and kin."""

import hashlib
import re
import zlib

_ALGORITHMS = {
    "HASH SHA-256": "sha256",
    "HASH SHA-512": "sha512",
    "HASH SHA-1": "sha1",
    "HASH MD5": "md5",
    "HASH CRC32": "crc32",
    "XSHA256": "sha256",
    "XSHA512": "sha512",
    "XSHA1": "sha1",
    "XSHA": "sha1",
    "XMD5": "md5",
    "XCRC": "crc32",
}


class Hasher:
    """The same hash as the server's, over what is sent. ``command`` is what asks the server for its own."""

    def __init__(self, name: str) -> None:
        self.command = name.partition(" ")[0]
        self.algorithm = name.partition(" ")[2]
        self._crc = 0
        kind = _ALGORITHMS[name]
        self._hash = None if kind == "crc32" else hashlib.new(kind, usedforsecurity=False)

    def update(self, block: bytes | memoryview) -> None:
        """Add a block of content."""
        if self._hash is None:
            self._crc = zlib.crc32(block, self._crc)
        else:
            self._hash.update(block)

    def hexdigest(self) -> str:
        """Return the hash of all blocks so far."""
        return f"{self._crc:08x}" if self._hash is None else self._hash.hexdigest()


def hasher_for(name: str | None) -> Hasher | None:
    """Return a hasher for a server's way to hash, or None where it has none that we know."""
    return Hasher(name) if name in _ALGORITHMS else None


def read_hash(text: str, hasher: Hasher) -> bool:
    """Return whether a server's reply holds the hash, whatever it writes around it.

    A CRC may come without its leading zeros, and any hash in capitals.
    """
    expected = hasher.hexdigest()
    words = re.findall(r"\b(?:0x)?([0-9a-f]{1,128})\b", text.lower())
    if len(expected) == 8:
        return any(word.rjust(8, "0") == expected for word in words)
    return expected in words
