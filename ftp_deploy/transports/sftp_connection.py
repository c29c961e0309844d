"""One SSH connection with an SFTP session: the socket, the host key, the login, and what the server can do."""

import asyncio
import base64
import binascii
import hmac
import socket
import string
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import asyncssh

from ftp_deploy.exceptions import ConnectionFailed, IdentityRefused, LoginRefused, TransportError
from ftp_deploy.transports.addresses import Address, open_socket
from ftp_deploy.transports.base import Target
from ftp_deploy.transports.sftp_channel import SFTPChannel
from ftp_deploy.transports.sftp_errors import FAILURES, translate

CIPHERS = [
    # The hardware does AES-GCM; asyncssh's own first choice, ChaCha20, moves half as many bytes a second.
    "aes128-gcm@openssh.com",
    "aes256-gcm@openssh.com",
    "chacha20-poly1305@openssh.com",
    "aes128-ctr",
    "aes192-ctr",
    "aes256-ctr",
]
HOST_KEY_FAMILIES = {
    "ssh-ed25519": ["ssh-ed25519"],
    "ecdsa": ["ecdsa-sha2-nistp256", "ecdsa-sha2-nistp384", "ecdsa-sha2-nistp521"],
    "rsa": ["rsa-sha2-512", "rsa-sha2-256"],
}
"""Server host keys by kind, the preferred kind first. SHA-1 signatures and DSA keys are not taken."""
ALL_ALGORITHMS = [name for family in HOST_KEY_FAMILIES.values() for name in family]
LOGIN_METHODS = "publickey,password,keyboard-interactive"
LOGIN_SECONDS = 20.0
"""For the key exchange and the login, beside the connect time-out: servers hold back the answer to a wrong password."""
MSG_IGNORE = 2
KEEPALIVE_SECONDS = 15
KEEPALIVE_MISSES = 3


class HostKey(asyncssh.SSHClient):
    """Compares the server's host key with the pinned fingerprint."""

    def __init__(self, pinned: str) -> None:
        self.pinned = pinned
        self.seen = ""
        self.kind = ""
        self.owns_socket = False

    def connection_made(self, conn: asyncssh.SSHClientConnection) -> None:
        """Note that asyncssh closes the socket from here on."""
        self.owns_socket = True

    def validate_host_public_key(self, host: str, addr: str, port: int, key: asyncssh.SSHKey) -> bool:
        """Say whether this key is the accepted one; remember it either way."""
        self.seen = key.get_fingerprint("sha256")
        self.kind = key.get_algorithm()
        return same_fingerprint(self.seen, self.pinned)


@dataclass(frozen=True, slots=True)
class Session:
    """A logged-in connection with SFTP started."""

    connection: asyncssh.SSHClientConnection
    channel: SFTPChannel
    banner: str

    def abort(self) -> None:
        """Drop the connection at once."""
        self.connection.abort()

    async def close(self) -> None:
        """End the connection in good order, but wait at most two seconds for the server."""
        self.connection.close()
        try:
            async with asyncio.timeout(2):
                await self.connection.wait_closed()
        except (TimeoutError, OSError, asyncssh.Error):
            self.connection.abort()


def digest_of(fingerprint: str) -> bytes:
    """Return the 32 bytes of a SHA-256 fingerprint, as ``ssh-keygen -l`` or in hexadecimal; empty if it is neither."""
    text = fingerprint.strip()
    hexadecimal = text.removeprefix("SHA256:").replace(":", "")
    if len(hexadecimal) == 64 and set(hexadecimal) <= set(string.hexdigits):
        return bytes.fromhex(hexadecimal)
    bare = text.removeprefix("SHA256:").rstrip("=")
    try:
        digest = base64.b64decode(bare + "=" * (-len(bare) % 4), validate=True)
    except (binascii.Error, ValueError):
        return b""
    return digest if len(digest) == 32 else b""


def same_fingerprint(seen: str, pinned: str) -> bool:
    """Compare two fingerprints, in whatever form the pinned one was entered. An unreadable one is never the same."""
    expected = digest_of(pinned)
    return bool(expected) and hmac.compare_digest(digest_of(seen), expected)


def read_key(target: Target) -> asyncssh.SSHKey | None:
    """Return the target's private key, None where it has none. Raises ``LoginRefused`` where it cannot be read."""
    if not target.private_key.strip():
        return None
    try:
        return asyncssh.import_private_key(target.private_key.strip() + "\n", target.passphrase or None)
    except asyncssh.KeyEncryptionError:
        raise LoginRefused(
            "The private key cannot be opened with this passphrase.",
            advice="Enter the passphrase of the private key, or a key that has none.",
        ) from None
    except (asyncssh.KeyImportError, ValueError):
        # The text of these errors may quote the key.
        raise LoginRefused(
            "The private key cannot be read.",
            advice="Enter the whole private key in OpenSSH or PEM format, with its first and last line"
            " and, where it is encrypted, its passphrase.",
        ) from None


async def open_session(target: Target, addresses: Sequence[Address], key: asyncssh.SSHKey | None) -> Session:
    """Connect, check the host key, log in and start SFTP.

    Raises ``ConnectionFailed``, ``LoginRefused``, ``IdentityRefused``, ``FeatureMissing``.
    """
    connection = await open_connection(target, addresses, key)
    try:
        async with asyncio.timeout(target.reply_timeout):
            return await _start_sftp(connection)
    except FAILURES as error:
        failure = session_failure(connection, error, f"Starting SFTP on {target.host}")
        connection.abort()
        raise failure from error


def session_failure(connection: asyncssh.SSHClientConnection, error: BaseException, doing: str) -> TransportError:
    """Return our error for a session that could not be opened: asyncssh calls it refused where the line was lost."""
    if connection.is_closed() and isinstance(error, asyncssh.ChannelOpenError):
        return ConnectionFailed(f"{doing}: the connection was lost.")
    return translate(error, doing)


async def open_connection(
    target: Target, addresses: Sequence[Address], key: asyncssh.SSHKey | None
) -> asyncssh.SSHClientConnection:
    """Connect, check the host key and log in.

    A pinned key of another kind than the one that the server presents first is looked for among its other keys.
    Raises ``ConnectionFailed``, ``LoginRefused``, ``IdentityRefused``, ``FeatureMissing``.
    """
    first = HostKey(target.fingerprint)
    try:
        return await _attempt(target, addresses, key, first, ALL_ALGORITHMS)
    except IdentityRefused:
        if not digest_of(target.fingerprint):
            raise
        for family in HOST_KEY_FAMILIES.values():
            if first.kind in family or not first.kind:
                continue
            try:
                return await _attempt(target, addresses, key, HostKey(target.fingerprint), family)
            except (IdentityRefused, ConnectionFailed):
                # A server without a key of this kind may just hang up.
                continue
        raise


async def _attempt(
    target: Target, addresses: Sequence[Address], key: asyncssh.SSHKey | None, host_key: HostKey, algorithms: list[str]
) -> asyncssh.SSHClientConnection:
    opened: list[socket.socket] = []
    where = f"Connecting to {target.host}"
    try:
        sock = await asyncio.to_thread(open_socket, addresses, target.connect_timeout, opened.append)
        async with asyncio.timeout(target.connect_timeout + LOGIN_SECONDS):
            return await _log_in(target, sock, key, host_key, algorithms)
    except BaseException as error:
        if not host_key.owns_socket:
            for sock in opened:
                sock.close()
        if isinstance(error, asyncssh.HostKeyNotVerifiable):
            raise _refused(target, host_key) from None
        if isinstance(error, asyncssh.KeyExchangeFailed) and algorithms != ALL_ALGORITHMS:
            raise IdentityRefused("The server has no host key of this kind.") from error
        if isinstance(error, (*FAILURES, ValueError)):
            raise translate(error, where) from error
        raise


async def _log_in(
    target: Target, sock: socket.socket, key: asyncssh.SSHKey | None, host_key: HostKey, algorithms: list[str]
) -> asyncssh.SSHClientConnection:
    """Run the SSH handshake over ``sock``. Nothing of this machine's own SSH configuration, keys or agent is used."""
    return await asyncssh.connect(
        target.host,
        target.port or 22,
        sock=sock,
        config=None,
        client_factory=lambda: host_key,
        known_hosts=([], [], []),
        x509_trusted_certs=None,
        server_host_key_algs=algorithms,
        encryption_algs=CIPHERS,
        compression_algs=["none"],
        username=target.username,
        password=target.password or None,
        client_keys=[key] if key else None,
        preferred_auth=LOGIN_METHODS,
        agent_path=None,
        gss_kex=False,
        gss_auth=False,
        keepalive_interval=KEEPALIVE_SECONDS,
        keepalive_count_max=KEEPALIVE_MISSES,
    )


def _stop_ignoring(connection: asyncssh.SSHClientConnection) -> None:
    """Send no empty IGNORE packet in front of each packet.

    asyncssh does that for CBC ciphers (RFC 4251 section 9.3.1). None of ours is one, and it costs as much again.
    """
    send = connection.send_packet

    def send_packet(kind: int, *fields: bytes, **options: Any) -> None:
        if kind != MSG_IGNORE:
            send(kind, *fields, **options)

    connection.send_packet = send_packet  # type: ignore[method-assign,assignment]


async def _start_sftp(connection: asyncssh.SSHClientConnection) -> Session:
    _stop_ignoring(connection)
    channel = SFTPChannel()
    await connection.create_session(lambda: channel, subsystem="sftp", encoding=None)
    await channel.start()
    return Session(connection, channel, str(connection.get_extra_info("server_version", "")))


def _refused(target: Target, host_key: HostKey) -> IdentityRefused:
    """Return the error for a host key that is not accepted; ``reply`` holds its fingerprint."""
    presented = f"{host_key.kind} {host_key.seen}"
    if not target.fingerprint.strip():
        return IdentityRefused(
            f"The host key of {target.host} is not accepted yet. The server presents {presented}.",
            reply=host_key.seen,
            advice="Compare it with the fingerprint that the server's operator gives, and enter it in the service.",
        )
    return IdentityRefused(
        f"The host key of {target.host} is not the accepted one. The server presents {presented},"
        f" the service accepts {target.fingerprint.strip()}.",
        reply=host_key.seen,
    )
