"""What a server's replies mean: RFC 959 section 4.2, RFC 2228, RFC 2428, and what servers do in practice."""

import re
from collections.abc import Callable
from dataclasses import dataclass

from ftp_deploy.exceptions import (
    ConnectionFailed,
    FeatureMissing,
    LoginRefused,
    PermissionRefused,
    StorageFull,
    TooManyConnections,
    TransferFailed,
    TransportError,
)

LONGEST_TEXT = 300

_CLASSES: dict[int, type[TransportError]] = {
    421: ConnectionFailed,
    425: TransferFailed,
    426: TransferFailed,
    430: LoginRefused,
    450: TransferFailed,
    451: TransferFailed,
    452: StorageFull,
    500: FeatureMissing,
    501: PermissionRefused,
    502: FeatureMissing,
    503: TransferFailed,
    504: FeatureMissing,
    522: FeatureMissing,
    530: LoginRefused,
    534: FeatureMissing,
    552: StorageFull,
}

_MEANINGS = {
    421: "the server closed the connection",
    425: "the server could not open the data connection",
    426: "the data connection was cut",
    450: "the file is busy",
    451: "the server had an error of its own",
    452: "the server's disk is full",
    500: "the server does not know the command",
    502: "the server does not know the command",
    521: "the directory exists",
    522: "the server insists on another kind of data connection",
    530: "not logged in",
    532: "an account is needed for storing files",
    550: "the path does not exist or the user has no right to it",
    551: "the server does not accept this kind of file",
    552: "the quota or the disk is full",
    553: "the server does not accept this name, or the user may not write here",
}

_TOO_MANY = re.compile(r"too many|maximum|max\.? |limit|connections|already logged|slots", re.IGNORECASE)
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f]+")


@dataclass(frozen=True, slots=True)
class Reply:
    """One reply: the code, and the text without line ends; further lines follow after " / "."""

    code: int
    text: str
    lines: tuple[str, ...] = ()

    @property
    def preliminary(self) -> bool:
        """1xx: a further reply will follow."""
        return self.code < 200

    @property
    def good(self) -> bool:
        """2xx and 3xx."""
        return 200 <= self.code < 400

    @property
    def unknown_command(self) -> bool:
        """The server cannot do this at all."""
        return self.code in (500, 502, 504)

    @property
    def too_many(self) -> bool:
        """The server turned us away because of a limit; the text is only a hint, for codes that mean other things."""
        return self.code == 421 or (self.code in (430, 530) and bool(_TOO_MANY.search(self.text)))

    def __str__(self) -> str:
        return f"{self.code} {self.text}".strip()


@dataclass(frozen=True, slots=True)
class Question:
    """A command, and what its reply decides."""

    command: str
    judge: Callable[[Reply], None]


def clean(text: str, secrets: tuple[str, ...] = ()) -> str:
    """Return a server's words fit for a log: no control characters, no secret, not endless."""
    for secret in secrets:
        if secret:
            text = text.replace(secret, "***")
    return _CONTROL.sub(" ", text).strip()[:LONGEST_TEXT]


def refusal(reply: Reply, doing: str, path: str = "") -> TransportError:
    """Return the error for a bad reply. ``doing`` says what was tried, such as "upload index.html"."""
    kind = _CLASSES.get(reply.code)
    if kind is None:
        kind = TransferFailed if 400 <= reply.code < 500 else PermissionRefused
    if kind is LoginRefused and reply.too_many:
        kind = TooManyConnections
    meaning = _MEANINGS.get(reply.code, "")
    hint = f" ({meaning})" if meaning else ""
    return kind(f"The server refused to {doing}: {reply}{hint}.", path=path, reply=str(reply), code=reply.code)
