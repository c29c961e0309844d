"""Git over SSH without a git binary: dulwich's protocol on a channel of the SSH room.

The server runs ``git-upload-pack``; what is said then is described in gitprotocol-pack(5) and gitprotocol-v2(5). The
version is asked for by the variable ``GIT_PROTOCOL``; a server that does not take it over speaks the older one.
"""

import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

from dulwich.client import LsRemoteResult, TraditionalGitClient
from dulwich.protocol import Protocol

from ftp_deploy.exceptions import (
    ConfigurationError,
    ConnectionFailed,
    LoginRefused,
    RepositoryError,
    RepositoryLoginRefused,
    RepositoryMissing,
    RepositoryUnavailable,
    TooManyConnections,
)
from ftp_deploy.repository.allowance import Allowance
from ftp_deploy.repository.base import GitSource, ServerRefusal, SSHAddress, ssh_address
from ftp_deploy.transports.base import Target
from ftp_deploy.transports.ssh_command import Command, SSHConnection

MISSING = ("not found", "does not appear to be a git repository", "no such", "does not exist", "could not be found")
REFUSED = ("permission denied", "access denied", "not allowed", "unauthorized", "access rights", "denied to")
"""What git and the forges write, in lower case, before they hang up."""


class SSHGitClient(TraditionalGitClient):
    """A dulwich client for one repository. The references are asked for once and kept."""

    def __init__(self, source: GitSource) -> None:
        super().__init__(quiet=True)
        self.source = source
        self.allowance = Allowance(source)
        self.address = ssh_address(source.url)
        self.connection = SSHConnection(target_of(source, self.address))
        self._known: LsRemoteResult | None = None
        self._heard: list[bytes] = []
        self._last: Protocol | None = None

    @property
    def capabilities(self) -> set[bytes]:
        """What the server says it can do; empty before the first request."""
        return {name.strip() for name in self._heard}

    def close(self) -> None:
        """Close the connection."""
        self._finish()
        self.connection.close()

    def _finish(self) -> None:
        """End the last command; dulwich leaves one open that never said a word."""
        if self._last is not None:
            self._last.close()
            self._last = None

    def get_refs(
        self, path: bytes, protocol_version: int | None = None, ref_prefix: Sequence[bytes] | None = None
    ) -> LsRemoteResult:
        """Return the references, asked for once."""
        if self._known is None:
            self._heard = []
            self._known = super().get_refs(path, protocol_version, ref_prefix)
        return self._known

    def _connect(
        self, cmd: bytes, path: str | bytes, protocol_version: int | None = None
    ) -> tuple[Protocol, Callable[[], bool], None]:
        self._finish()
        self.allowance.begin_answer()
        command = start(self.source, self.connection, f"git-{cmd.decode()} {quoted(self.address.path)}")
        heard = None if self._heard else self._heard
        self._last = protocol = Listening(self._reader(command), command, heard)
        return protocol, lambda: command.has_data, None

    def _reader(self, command: Command) -> Callable[[int], bytes]:
        """Return a read function that keeps to the limits, and tells why a server hung up before its first word."""
        spoken = False

        def read(size: int) -> bytes:
            nonlocal spoken
            self.allowance.check_time()
            try:
                data = command.read(size, self.allowance.deadline)
            except ConnectionFailed as error:
                raise RepositoryUnavailable(error.message) from error
            if not data and not spoken:
                raise refusal(self.source, command.complaint())
            spoken = True
            self.allowance.take(len(data))
            return data

        return read


class Listening(Protocol):
    """Packets on a command's channel; keeps the server's capabilities and notices its ``ERR`` packets."""

    def __init__(self, read: Callable[[int], bytes], command: Command, heard: list[bytes] | None) -> None:
        super().__init__(read, command.write, command.close, shutdown_write=command.end_input)
        self._heard = heard

    def read_pkt_line(self) -> bytes | None:
        """Return the next packet. Raises ``ServerRefusal``."""
        packet = super().read_pkt_line()
        if packet is not None and packet.startswith(b"ERR "):
            raise ServerRefusal(packet[4:4100].decode("utf-8", "replace").strip())
        return packet

    def read_pkt_seq(self) -> Iterable[bytes]:
        """Yield packets up to a flush; those of the first list tell what the server can do."""
        heard, self._heard = self._heard, None
        return super().read_pkt_seq() if heard is None else self._overheard(heard)

    def _overheard(self, heard: list[bytes]) -> Iterator[bytes]:
        for number, packet in enumerate(super().read_pkt_seq()):
            _, separator, behind = packet.partition(b"\0")
            if separator and number == 0:  # protocol versions 0 and 1: behind the first reference
                heard.extend(behind.split())
            elif not separator:
                heard.append(packet)
            yield packet


def start(source: GitSource, connection: SSHConnection, command: str) -> Command:
    """Start a command. The error for a host key that is not accepted is that of the SSH room."""
    try:
        return connection.run(command, {"GIT_PROTOCOL": "version=2"})
    except LoginRefused as error:
        raise RepositoryLoginRefused(
            f"{source.shown_url} refused the login: {error.message}",
            advice="Check the user name in the address, and the private key or password in the account.",
        ) from error
    except (ConnectionFailed, TooManyConnections) as error:
        raise RepositoryUnavailable(f"{source.shown_url}: {error.message}") from error


def refusal(source: GitSource, said: str) -> RepositoryError:
    """Return the error for a server that hung up before its first word, going by what it wrote."""
    where, words = source.shown_url, f" It said: {said}" if said else ""
    if any(word in said.lower() for word in MISSING):
        return RepositoryMissing(f"There is no repository at {where}, or the key may not read it.{words}")
    if any(word in said.lower() for word in REFUSED):
        return RepositoryLoginRefused(f"{where} does not let this login read the repository.{words}")
    return RepositoryUnavailable(f"{where} hung up before its first word.{words}")


def quoted(path: str) -> str:
    """Return a path as one word for the server's shell, as git itself quotes it.

    Raises ``ConfigurationError`` for one that the command would take for an option, or that ends a line.
    """
    if path.startswith("-") or not path.isprintable() or not path:
        raise ConfigurationError("The repository's URL names no path that can be asked for.")
    return "'" + path.replace("'", "'\\''").replace("!", "'\\!'") + "'"


def target_of(source: GitSource, address: SSHAddress) -> Target:
    """Return what the SSH room needs to know."""
    return Target(
        protocol="ssh",
        host=address.host,
        port=address.port,
        username=address.username or source.username,
        path=address.path,
        password=source.password,
        private_key=source.private_key,
        passphrase=source.passphrase,
        fingerprint=source.fingerprint,
        connect_timeout=source.connect_timeout,
        reply_timeout=source.reply_timeout,
        allow_private_addresses=source.allow_private_addresses,
    )


def run_for_answer(source: GitSource, command: str, limit: int) -> Any:
    """Run a command on the source's server and return its whole output, at most ``limit`` bytes of it.

    It has to end within the source's ``reply_timeout``.

    Raises ``RepositoryError`` and below, and where it writes nothing what ``refusal`` makes of its complaint.
    """
    with SSHConnection(target_of(source, ssh_address(source.url))) as connection:
        running = start(source, connection, command)
        running.end_input()
        try:
            answer = running.read(limit, time.monotonic() + source.reply_timeout)
        except ConnectionFailed as error:
            raise RepositoryUnavailable(error.message) from error
        if not answer:
            raise refusal(source, running.complaint())
        return answer
