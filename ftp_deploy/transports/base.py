"""The contract between a deploy and a server: what every protocol can do, in terms of paths and batches.

A transport knows neither models nor settings. It is given a ``Target`` and works on paths relative to the target's
own path. It may use as many connections as help; the caller sees one object, used from one thread.

All long operations are generators: they yield at least twice a second, in the caller's thread, so that the caller can
record progress, keep its lease, and stop. Closing the generator aborts the operation and its connections.
"""

import secrets
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from enum import StrEnum
from types import TracebackType
from typing import Any, BinaryIO, Self

Guard = Callable[[], None]
"""Called before each batch of renames and deletes; raises to stop it (a lost lease, a cancelled deploy)."""
Enough = Callable[[], bool]
"""Asked now and then during an upload; once it says so no further file is begun, and those under way are finished."""


def never_enough() -> bool:
    """Let an upload go on to its end."""
    return False


class Drift(StrEnum):
    """What to do with a file on the server that somebody changed by hand."""

    OVERWRITE = "overwrite"
    STOP = "stop"
    KEEP_COPY = "keep_copy"


@dataclass(frozen=True, slots=True)
class Traits:
    """What was learnt about one server. None means: not known yet. Stored with the service as JSON."""

    banner: str = ""
    features: tuple[str, ...] = ()
    rename_over: bool | None = None
    epsv: bool | None = None
    tls_1_2: bool | None = None
    """TLS 1.3 was seen to break on this server, so 1.2 is spoken. False: 1.2 was no better."""
    utf8: bool | None = None
    chmod: bool | None = None
    set_time: bool | None = None
    machine_listing: bool | None = None
    hash_command: str | None = None
    """How the server hashes files: an FTP command, or an SFTP extension with its algorithm; None: it does not."""
    connection_ceiling: int | None = None

    def as_json(self) -> dict[str, Any]:
        """Return the known traits for storage."""
        values = {name: getattr(self, name) for name in self.__dataclass_fields__}
        values["features"] = list(self.features)
        return {name: value for name, value in values.items() if value not in (None, "", [])}

    @classmethod
    def from_json(cls, stored: dict[str, Any]) -> Self:
        """Read stored traits; unknown names are left out, so that an older version can read a newer row."""
        known = {name: value for name, value in stored.items() if name in cls.__dataclass_fields__}
        if "features" in known:
            known["features"] = tuple(known["features"])
        return cls(**known)

    def learn(self, **changes: Any) -> Self:
        """Return a copy with something new."""
        return replace(self, **changes)


@dataclass(frozen=True, slots=True)
class Target:
    """One place on one server, and how to get there. Secrets are left out of ``repr``."""

    protocol: str
    host: str
    username: str
    path: str
    port: int | None = None
    password: str = field(default="", repr=False)
    private_key: str = field(default="", repr=False)
    passphrase: str = field(default="", repr=False)
    verify_certificate: bool = True
    certificate_authority: str = field(default="", repr=False)
    """PEM text of a private certificate authority; empty: the public ones."""
    fingerprint: str = ""
    """The pinned SHA-256 fingerprint of the TLS certificate or SSH host key, as the server check shows it."""
    max_connections: int = 16
    connect_timeout: float = 15.0
    reply_timeout: float = 60.0
    allow_private_addresses: bool = False
    file_mode: int | None = None
    """Mode bits for uploaded files, or None to leave them to the server."""
    traits: Traits = field(default_factory=Traits)
    probe_name: str = ""
    """Part of the probe files' names: what a cut probe left is then overwritten and removed by the next one."""


def probe_names(target: Target) -> list[tuple[str, str]]:
    """Return pairs of names for the two files of a probe, the second pair for when the first one does not work out.

    Two probes of the same service at the same time would be in each other's way under the fixed names.
    """
    tokens = [target.probe_name] if target.probe_name else []
    tokens.append(secrets.token_hex(6))
    return [(f".ftp-deploy-probe-{token}-1", f".ftp-deploy-probe-{token}-2") for token in tokens]


@dataclass(frozen=True, slots=True)
class Upload:
    """One file to send. ``open`` gives its content, from the start, each time it is called."""

    path: str
    size: int
    open: Callable[[], BinaryIO] = field(repr=False)
    mode: int | None = None
    modified: datetime | None = None
    name: str = ""
    """What people know the file as, where ``path`` is a temporary one; empty: the path itself."""

    @property
    def shown(self) -> str:
        """The name for messages and for the progress."""
        return self.name or self.path


@dataclass(frozen=True, slots=True)
class Rename:
    """``source`` becomes ``path``; an existing file at ``path`` is replaced."""

    source: str
    path: str


@dataclass(frozen=True, slots=True)
class Progress:
    """What happened since the last one was yielded.

    ``done`` are the paths now complete on the server: for uploads, sent and size-checked.
    """

    done: tuple[str, ...] = ()
    bytes_sent: int = 0
    current: str = ""
    """The file under way, by the name that people know."""
    message: str = ""
    """A line for the deploy's log, such as a retried file; mostly empty."""


@dataclass(frozen=True, slots=True)
class RemoteFile:
    """One file or directory that the server lists."""

    path: str
    size: int = 0
    is_directory: bool = False
    modified: datetime | None = None


class Transport(ABC):
    """One protocol. Use as a context manager: connecting happens on entry.

    A subclass writes the abstract methods; the caller never asks which protocol it is. Errors are those of
    ``ftp_deploy.exceptions.TransportError`` and below. Retries on fresh connections happen inside.
    """

    label: str = ""
    default_port: int = 0
    encrypted: bool = False

    def __init__(self, target: Target) -> None:
        self.target = target
        self.traits = target.traits
        self.expected = 1

    def __enter__(self) -> Self:
        self.connect()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def expect(self, files: int) -> None:
        """Say how many files there will be to send, before ``connect`` or after: a hint to open connections early."""
        self.expected = files

    @abstractmethod
    def connect(self) -> None:
        """Connect and log in once.

        Raises ``ConnectionFailed``, ``LoginRefused``, ``IdentityRefused``, ``AddressRefused``.
        """

    @abstractmethod
    def close(self) -> None:
        """Close all connections; harmless when called twice or after an error."""

    @abstractmethod
    def probe(self) -> Traits:
        """Check that the target's path exists and can be written, and learn the server's traits.

        Puts a probe file, renames it over another, and removes it. Raises ``PermissionRefused`` where that fails.
        """

    @abstractmethod
    def make_directories(self, paths: Sequence[str]) -> None:
        """Make directories, parents before children as given; one that exists is fine."""

    @abstractmethod
    def upload(self, uploads: Sequence[Upload], enough: Enough = never_enough) -> Iterator[Progress]:
        """Send files to exactly the given paths, in parallel, each one checked for its size on the server.

        Where ``enough`` becomes true the generator ends early, once the files under way are complete.
        """

    @abstractmethod
    def rename(self, renames: Sequence[Rename], guard: Guard) -> Iterator[Progress]:
        """Rename files over their final names as fast as the server allows; ``done`` holds the final paths."""

    @abstractmethod
    def delete(self, paths: Sequence[str], guard: Guard) -> Iterator[Progress]:
        """Delete files; one that is already gone counts as done."""

    @abstractmethod
    def prune(self, directories: Sequence[str]) -> tuple[str, ...]:
        """Remove those directories that a listing proves empty, deepest first; return the removed ones."""

    @abstractmethod
    def sizes(self, paths: Sequence[str]) -> dict[str, int | None]:
        """Return the size of each file in bytes, None for one that does not exist."""

    @property
    def hash_kind(self) -> str:
        """Which hash of a file the server can compute (one of ``hashes.KINDS``); empty where it cannot."""
        return ""

    def matches(self, digests: Mapping[str, str]) -> dict[str, bool | None]:
        """Let the server hash files; say for each path whether its content has this digest of ``hash_kind``.

        None: the server did not say, such as for a file that does not exist.
        """
        return dict.fromkeys(digests)

    @abstractmethod
    def walk(self) -> Iterator[RemoteFile]:
        """List everything below the target's path, hidden files included where the server shows them."""

    @abstractmethod
    def download(self, path: str) -> Iterator[bytes]:
        """Read one file in blocks. Raises ``PermissionRefused`` where it does not exist."""
