"""SFTP version 3 as bytes: requests to send and replies to read. No network.

The packets are those of draft-ietf-secsh-filexfer-02 and of the extensions in OpenSSH's ``PROTOCOL`` file. Doing this
here, and not through a client library, is what lets many requests travel in one SSH packet.
"""

import stat
import struct
from dataclasses import dataclass
from enum import IntEnum

VERSION = 3

LENGTH = struct.Struct(">I")
_HEADER = struct.Struct(">IBI")
_TWO = struct.Struct(">II")
_LONG = struct.Struct(">Q")
_WRITE_AT = struct.Struct(">QI")


class Kind(IntEnum):
    """The packet types that are used (section 3 of the draft)."""

    INIT = 1
    VERSION = 2
    OPEN = 3
    CLOSE = 4
    READ = 5
    WRITE = 6
    LSTAT = 7
    FSTAT = 8
    SETSTAT = 9
    FSETSTAT = 10
    OPENDIR = 11
    READDIR = 12
    REMOVE = 13
    MKDIR = 14
    RMDIR = 15
    REALPATH = 16
    STAT = 17
    RENAME = 18
    STATUS = 101
    HANDLE = 102
    DATA = 103
    NAME = 104
    ATTRIBUTES = 105
    EXTENDED = 200
    EXTENDED_REPLY = 201


class Status(IntEnum):
    """The status codes that decide something here; all others are only words in the error table."""

    OK = 0
    EOF = 1
    NO_SUCH_FILE = 2
    PERMISSION_DENIED = 3
    FAILURE = 4
    BAD_MESSAGE = 5
    UNSUPPORTED = 8
    NO_SUCH_PATH = 10
    ALREADY_EXISTS = 11


READ_FLAG = 0x01
WRITE_FLAG = 0x02
CREATE_FLAG = 0x08
TRUNCATE_FLAG = 0x10

_SIZE = 0x01
_OWNER = 0x02
_PERMISSIONS = 0x04
_TIMES = 0x08
_EXTENDED_ATTRIBUTES = 0x80000000


class StatusError(Exception):
    """The server answered a request with a status other than OK."""

    def __init__(self, code: int, reason: str) -> None:
        super().__init__(code, reason)
        self.code = code
        self.reason = reason


class ProtocolBroken(Exception):
    """What the server sent is not SFTP, or not an answer to what was asked."""


@dataclass(frozen=True, slots=True)
class Attributes:
    """What a server tells about one file, or is asked to set. None: not told, not to be changed."""

    size: int | None = None
    permissions: int | None = None
    modified: int | None = None
    """Seconds since 1970, UTC."""

    @property
    def is_directory(self) -> bool:
        """Whether this is a directory."""
        return self.permissions is not None and stat.S_ISDIR(self.permissions)

    @property
    def is_link(self) -> bool:
        """Whether this is a symbolic link."""
        return self.permissions is not None and stat.S_ISLNK(self.permissions)

    def encode(self) -> bytes:
        """Return the ATTRS structure (section 5)."""
        flags, parts = 0, [b""]
        if self.size is not None:
            flags |= _SIZE
            parts.append(_LONG.pack(self.size))
        if self.permissions is not None:
            flags |= _PERMISSIONS
            parts.append(LENGTH.pack(self.permissions))
        if self.modified is not None:
            flags |= _TIMES
            parts.append(_TWO.pack(self.modified, self.modified))
        parts[0] = LENGTH.pack(flags)
        return b"".join(parts)


@dataclass(frozen=True, slots=True)
class Name:
    """One entry of a directory listing."""

    name: bytes
    attributes: Attributes


@dataclass(frozen=True, slots=True)
class Limits:
    """What ``limits@openssh.com`` tells; without it the sizes that every server has to take."""

    packet: int = 34000
    read: int = 32768
    write: int = 32768
    handles: int = 0
    """How many files may be open at a time; 0: not told."""


class Reader:
    """Reads the fields of one packet. Raises ``ProtocolBroken`` where it ends too early."""

    def __init__(self, packet: bytes) -> None:
        self._packet = packet
        self._at = 0

    def _take(self, count: int) -> bytes:
        end = self._at + count
        if end > len(self._packet):
            raise ProtocolBroken("A packet of the server ends in the middle of a field.")
        taken = self._packet[self._at : end]
        self._at = end
        return taken

    def rest(self) -> bytes:
        """Read all that is left."""
        return self._take(self.left)

    @property
    def left(self) -> int:
        """Bytes not read yet."""
        return len(self._packet) - self._at

    def byte(self) -> int:
        """Read one byte."""
        return self._take(1)[0]

    def number(self) -> int:
        """Read a 32-bit number."""
        return int(LENGTH.unpack(self._take(4))[0])

    def long(self) -> int:
        """Read a 64-bit number."""
        return int(_LONG.unpack(self._take(8))[0])

    def string(self) -> bytes:
        """Read a string with its length in front."""
        return self._take(self.number())

    def attributes(self) -> Attributes:
        """Read an ATTRS structure (section 5)."""
        flags = self.number()
        size = self.long() if flags & _SIZE else None
        if flags & _OWNER:
            self._take(8)
        permissions = self.number() if flags & _PERMISSIONS else None
        modified = None
        if flags & _TIMES:
            self.number()
            modified = self.number()
        if flags & _EXTENDED_ATTRIBUTES:
            for _ in range(self.number()):
                self.string()
                self.string()
        return Attributes(size, permissions, modified)

    def status(self) -> StatusError:
        """Read a STATUS body (section 7). Some servers leave the words out."""
        code = self.number()
        return StatusError(code, self.string().decode("utf-8", "replace") if self.left >= 4 else "")

    def names(self) -> list[Name]:
        """Read a NAME body (section 7)."""
        found = []
        for _ in range(self.number()):
            name = self.string()
            self.string()  # the same as ``ls -l`` would show it
            found.append(Name(name, self.attributes()))
        return found

    def limits(self) -> Limits:
        """Read the reply of ``limits@openssh.com``; a zero means that the server sets no limit."""
        usual = Limits()
        packet, read, write, handles = self.long(), self.long(), self.long(), self.long()
        return Limits(packet or usual.packet, read or usual.read, write or usual.write, handles)

    def extensions(self) -> dict[str, str]:
        """Read the name and version pairs that follow the version number (section 4)."""
        found = {}
        while self.left:
            name = self.string().decode("utf-8", "replace")
            found[name] = self.string().decode("utf-8", "replace")
        return found


def string(value: bytes) -> bytes:
    """Return a string with its length in front."""
    return LENGTH.pack(len(value)) + value


def request(kind: int, number: int, *fields: bytes) -> bytes:
    """Return a whole request packet; ``number`` comes back in its reply."""
    body = b"".join(fields)
    return _HEADER.pack(len(body) + 5, kind, number) + body


def init() -> bytes:
    """Return the first packet of a session (section 4)."""
    return LENGTH.pack(5) + bytes([Kind.INIT]) + LENGTH.pack(VERSION)


def open_fields(path: bytes, flags: int) -> tuple[bytes, bytes]:
    """Return the fields of an OPEN request (section 6.3). The attributes are left to the server."""
    return string(path), _TWO.pack(flags, 0)


def write_fields(handle: bytes, offset: int, data: bytes) -> tuple[bytes, bytes, bytes]:
    """Return the fields of a WRITE request (section 6.4)."""
    return string(handle), _WRITE_AT.pack(offset, len(data)), data


def read_fields(handle: bytes, offset: int, length: int) -> tuple[bytes, bytes]:
    """Return the fields of a READ request (section 6.4)."""
    return string(handle), _WRITE_AT.pack(offset, length)


def check_range() -> bytes:
    """Return the range fields of ``check-file-name`` that mean the whole file in one block: offset, length, block."""
    return _LONG.pack(0) + _LONG.pack(0) + LENGTH.pack(0)


WRITE_OVERHEAD = _HEADER.size + 4 + _WRITE_AT.size
"""Bytes of a WRITE packet beside the handle and the data."""
