"""What the git side is given and what it gives: where a repository is, and the entries of a tree."""

from dataclasses import dataclass, field, replace
from urllib.parse import unquote, urlsplit, urlunsplit

from dulwich.errors import GitProtocolError

from ftp_deploy.exceptions import ConfigurationError

GIGABYTE = 1024**3
LARGEST_TALK = GIGABYTE // 4
"""Bytes that a server may send in one answer beside the pack, such as its references: these are kept in memory."""


@dataclass(frozen=True, slots=True)
class TreeEntry:
    """One file, symlink or submodule of a tree; ``mode`` is git's."""

    path: bytes
    mode: int
    blob_id: str


@dataclass(frozen=True, slots=True)
class GitSource:
    """A repository that can be read over the git protocol.

    ``url`` is http(s) or ssh (``ssh://git@host/path`` or ``git@host:path``); a login inside it is moved to ``username``
    and ``password`` by ``cleaned``. Time-outs are in seconds, sizes in bytes. ``certificate_authority`` is PEM text,
    trusted besides the public authorities. For ssh only: ``private_key`` with its ``passphrase``, and ``fingerprint``,
    the SHA-256 fingerprint of the accepted host key.
    """

    url: str
    username: str = ""
    password: str = field(default="", repr=False)
    private_key: str = field(default="", repr=False)
    passphrase: str = field(default="", repr=False)
    fingerprint: str = ""
    connect_timeout: float = 15.0
    reply_timeout: float = 60.0
    certificate_authority: str = field(default="", repr=False)
    depth: int = 1
    total_timeout: float = 3600.0
    max_bytes: int = 8 * GIGABYTE
    max_files: int = 500_000
    allow_private_addresses: bool = True
    """Whether the host may be a private, loopback or link-local address; the caller knows who entered the URL."""

    @property
    def is_ssh(self) -> bool:
        """Whether the URL is an ssh one, in either of its two forms."""
        return self.url.startswith("ssh://") or is_scp_style(self.url)

    def cleaned(self) -> "GitSource":
        """Return the source with any login taken out of its URL.

        Raises ``ConfigurationError`` for a URL that is neither http(s) nor ssh.
        """
        if self.is_ssh:
            return self
        try:
            parts = urlsplit(self.url.strip())
            host, port = parts.hostname, parts.port
        except ValueError as error:
            raise ConfigurationError(f"{self.shown_url} is not a URL.") from error
        if parts.scheme not in ("http", "https") or not host:
            raise ConfigurationError(f"{self.shown_url} is not an http(s) or ssh URL of a git repository.")
        netloc = f"[{host}]" if ":" in host else host
        netloc += f":{port}" if port else ""
        return replace(
            self,
            url=urlunsplit((parts.scheme, netloc, parts.path, "", "")),
            username=self.username or unquote(parts.username or ""),
            password=self.password or unquote(parts.password or ""),
        )

    @property
    def shown_url(self) -> str:
        """The URL for messages, without any login in it."""
        scheme, separator, rest = self.url.partition("://")
        if not separator:
            return self.url
        netloc, slash, path = rest.partition("/")
        return f"{scheme}://{netloc.rpartition('@')[2]}{slash}{path.partition('?')[0]}"


def plain(text: str) -> str:
    """Return a server's own words on one line, bounded, without characters that would steer a terminal."""
    return " ".join("".join(c if c.isprintable() else " " for c in text).split())[:500]


class ServerRefusal(GitProtocolError):
    """The server answered with an ``ERR`` packet; the message is the server's own."""


@dataclass(frozen=True, slots=True)
class SSHAddress:
    """The parts of an ssh URL. ``path`` is as the server's command takes it, ``port`` None for the usual one."""

    username: str
    host: str
    port: int | None
    path: str


def ssh_address(url: str) -> SSHAddress:
    """Take an ssh URL of either form apart, as git-clone(1) does. Raises ``ConfigurationError``."""
    text = url.strip()
    if "://" not in text:
        login, _, path = text.partition(":")
        username, _, host = login.rpartition("@")
        return SSHAddress(username, host, None, path)
    try:
        parts = urlsplit(text)
        host, port = parts.hostname or "", parts.port
    except ValueError as error:
        raise ConfigurationError("The repository's URL cannot be read.") from error
    path = unquote(parts.path)
    path = path[1:] if path.startswith("/~") else path
    return SSHAddress(unquote(parts.username or ""), host, port, path)


def is_scp_style(url: str) -> bool:
    """Say whether ``url`` is of the form ``git@host:owner/name.git``."""
    host, colon, path = url.partition(":")
    return bool(colon and path and "@" in host and "/" not in host and not path.startswith("//"))
