"""Comparing contents with a server that can hash files: HASH (draft-bryan-ftpext-hash), XSHA256, XMD5, XCRC and kin."""

import re

from ftp_deploy.transports import hashes

_KINDS = {
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


class Hasher(hashes.Hasher):
    """The same hash as the server's, over what is sent. ``command`` is what asks the server for its own."""

    def __init__(self, name: str) -> None:
        super().__init__(_KINDS[name])
        self.command = command_of(name)


def command_of(name: str) -> str:
    """Return the command that asks for a file's hash, for a server's way to hash."""
    return name.partition(" ")[0]


def kind_of(name: str | None) -> str:
    """Return which hash a server's way to hash gives; empty where it has none that we know."""
    return _KINDS.get(name or "", "")


def hasher_for(name: str | None) -> Hasher | None:
    """Return a hasher for a server's way to hash, or None where it has none that we know."""
    return Hasher(name) if name in _KINDS else None


def read_hash(text: str, expected: str) -> bool:
    """Return whether a server's reply holds the hash ``expected``, whatever it writes around it.

    A CRC may come without its leading zeros, and any hash in capitals.
    """
    words = re.findall(r"\b(?:0x)?([0-9a-f]{1,128})\b", text.lower())
    if len(expected) == 8:
        return any(word.rjust(8, "0") == expected for word in words)
    return expected in words
