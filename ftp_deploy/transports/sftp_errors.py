"""What the errors of asyncssh mean to a deploy: one table for SFTP statuses and for SSH disconnects.

SFTP statuses: draft-ietf-secsh-filexfer-02 section 7 (version 3) and draft-ietf-secsh-filexfer-13 section 9.1 (later
ones). SSH disconnect codes: RFC 4253 section 11.1.
"""

import asyncssh

from ftp_deploy.exceptions import (
    ConnectionFailed,
    FeatureMissing,
    IdentityRefused,
    LoginRefused,
    PermissionRefused,
    StorageFull,
    TooManyConnections,
    TransferFailed,
    TransportError,
)
from ftp_deploy.transports.sftp_protocol import ProtocolBroken, StatusError

Meaning = tuple[type[TransportError], str]

STATUSES: dict[int, Meaning] = {
    1: (TransferFailed, "the file ended early"),
    2: (PermissionRefused, "there is no such file or directory"),
    3: (PermissionRefused, "the server does not allow it"),
    4: (TransferFailed, "the server failed without saying why"),
    5: (ConnectionFailed, "the server could not read the request"),
    6: (ConnectionFailed, "the connection is gone"),
    7: (ConnectionFailed, "the connection was lost"),
    8: (FeatureMissing, "the server cannot do this"),
    9: (TransferFailed, "the server lost track of the open file"),
    10: (PermissionRefused, "there is no such directory"),
    11: (PermissionRefused, "something with this name is in the way"),
    12: (PermissionRefused, "the file system is read-only"),
    13: (PermissionRefused, "the server's drive holds no medium"),
    14: (StorageFull, "the server's disk is full"),
    15: (StorageFull, "the quota on the server is used up"),
    16: (PermissionRefused, "the server does not know this owner"),
    17: (TransferFailed, "another program has locked the file"),
    18: (PermissionRefused, "the directory is not empty"),
    19: (PermissionRefused, "a part of the path is not a directory"),
    20: (PermissionRefused, "the server does not take this name"),
    21: (PermissionRefused, "symbolic links on the server lead in a circle"),
    22: (PermissionRefused, "the server does not let it be deleted"),
    23: (FeatureMissing, "the server does not take these parameters"),
    24: (PermissionRefused, "a directory with this name is in the way"),
    25: (TransferFailed, "another program has locked the file"),
    26: (TransferFailed, "another program has locked the file"),
    27: (TransferFailed, "the file is being deleted"),
    28: (PermissionRefused, "the server's file system is damaged"),
    29: (PermissionRefused, "the server does not take this owner"),
    30: (PermissionRefused, "the server does not take this group"),
    31: (TransferFailed, "the server lost track of a lock"),
}
"""SFTP status code: our error, and half a sentence."""

DISCONNECTS: dict[type[Exception], Meaning] = {
    asyncssh.ConnectionLost: (ConnectionFailed, "the connection was lost"),
    asyncssh.CompressionError: (ConnectionFailed, "the server's compressed data cannot be read"),
    asyncssh.HostKeyNotVerifiable: (IdentityRefused, "the server's host key is not the accepted one"),
    asyncssh.IllegalUserName: (LoginRefused, "the server does not take this user name"),
    asyncssh.KeyExchangeFailed: (FeatureMissing, "the server offers no cipher or key exchange that is still safe"),
    asyncssh.MACError: (ConnectionFailed, "the server's data was damaged on the way"),
    asyncssh.PermissionDenied: (LoginRefused, "the server refused the user name, the password or the key"),
    asyncssh.ProtocolError: (ConnectionFailed, "the server does not keep to the SSH protocol"),
    asyncssh.ProtocolNotSupported: (FeatureMissing, "the server speaks no SSH version 2"),
    asyncssh.ServiceNotAvailable: (ConnectionFailed, "the server offers no login now"),
    asyncssh.ChannelOpenError: (FeatureMissing, "the server opened no SFTP session"),
    asyncssh.PasswordChangeRequired: (LoginRefused, "the server wants the password to be changed first"),
}

TOO_MANY_CONNECTIONS = 12
"""SSH_DISCONNECT_TOO_MANY_CONNECTIONS, RFC 4253 section 11.1; asyncssh has no class for it."""


FAILURES = (StatusError, asyncssh.Error, asyncssh.PasswordChangeRequired, ProtocolBroken, OSError, EOFError)
"""Everything that an operation on a server may raise; time-outs are ``OSError`` too."""


def meaning_of(error: BaseException) -> Meaning:
    """Return our class and half a sentence for one of ``FAILURES``."""
    if isinstance(error, StatusError):
        return STATUSES.get(error.code, (TransferFailed, "the server refused it"))
    if isinstance(error, Exception) and type(error) in DISCONNECTS:
        return DISCONNECTS[type(error)]
    if isinstance(error, asyncssh.Error):
        if getattr(error, "code", None) == TOO_MANY_CONNECTIONS:
            return TooManyConnections, "the server allows no further connection"
        return ConnectionFailed, "the server ended the connection"
    if isinstance(error, TimeoutError):
        return ConnectionFailed, "the server did not answer in time"
    if isinstance(error, EOFError):
        return ConnectionFailed, "the server closed the connection"
    if isinstance(error, ProtocolBroken):
        return ConnectionFailed, "the server does not keep to the SFTP protocol"
    return ConnectionFailed, "the connection failed"


def translate(error: BaseException, act: str, path: str = "") -> TransportError:
    """Return our error for one of ``FAILURES``; our own errors come back as they are.

    ``act`` starts the sentence, such as ``"Uploading index.html"``.
    """
    if isinstance(error, TransportError):
        return error
    kind, words = meaning_of(error)
    reply = reply_of(error)
    message = f"{act}: {words} ({reply})." if reply else f"{act}: {words}."
    return kind(message, path=path, reply=reply, code=getattr(error, "code", None))


def reply_of(error: BaseException) -> str:
    """Return what the server or the system said, on one line and cut to 300 characters."""
    if isinstance(error, StatusError):
        said = f"SFTP status {error.code}: {error.reason}" if error.reason else f"SFTP status {error.code}"
    else:
        said = getattr(error, "reason", "") or str(error)
    return " ".join("".join(c if c.isprintable() else " " for c in said).split())[:300]
