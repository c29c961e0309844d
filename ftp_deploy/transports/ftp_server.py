"""What all connections to one FTP server share: its addresses, the TLS context, and what was learnt about it."""

import re
import socket
import ssl
import threading
from typing import TYPE_CHECKING, Any

from ftp_deploy.transports.addresses import Address, resolve
from ftp_deploy.transports.base import Target
from ftp_deploy.transports.ftp_early import EarlyPort
from ftp_deploy.transports.ftp_replies import Reply
from ftp_deploy.transports.ftp_tls import guess_p256, make_context
from ftp_deploy.transports.names import normal_root

if TYPE_CHECKING:
    from ftp_deploy.transports.ftp_control import Control

LONGEST_BANNER = 120
TLS_TRIES = 2
"""How often TLS 1.3 has to break before 1.2 is tried."""
WINDOW = 900
WIDE_WINDOW = 7000


class Server:
    """Shared by the threads of one transport. ``root`` is the target's path as an absolute one, once logged in."""

    def __init__(self, target: Target, *, tls: bool, implicit: bool, default_port: int) -> None:
        self.target = target
        self.implicit = implicit
        self._contexts = self._make_contexts() if tls else None
        self._tls_failures = 0
        self.tls_works = False
        self._may_guess = tls
        self._guessed = False
        self.traits = target.traits
        self.root: str | None = None
        self.size_works = True
        self.early_port = EarlyPort()
        self._lock = threading.Lock()
        self._opening: set[Control] = set()
        self.reached = threading.Event()
        """The first connection was greeted."""
        self.admitted = threading.Event()
        """It is logged in, and the server is known."""
        self.addresses = resolve(target.host, target.port or default_port, allow_private=target.allow_private_addresses)
        self._guess()

    @property
    def context(self) -> ssl.SSLContext | None:
        """The TLS context for new connections; None without TLS. There is no way from TLS to clear text."""
        if not self._contexts or not self.traits.tls_1_2:
            return self._contexts[0] if self._contexts else None
        with self._lock:  # made only when it is needed: reading the authorities takes time
            older = self._contexts[1] or make_context(self.target, ssl.TLSVersion.TLSv1_2)
            self._contexts = (self._contexts[0], older)
            return older

    def _make_contexts(self) -> tuple[ssl.SSLContext, ssl.SSLContext | None]:
        return make_context(self.target), None

    def doubt_tls(self, context: ssl.SSLContext | None) -> bool:
        """TLS broke on a connection with this context, before anything had worked: after the second time try 1.2.

        Some servers, and boxes in between, break on TLS 1.3. Where 1.2 breaks as well it was not the version. Returns
        whether a further try goes another way, or is the second one.
        """
        with self._lock:
            if self._guessed and (self.implicit or not self.tls_works):  # later ones offer every curve again
                self._contexts, self._guessed = self._make_contexts(), False
                return True
            if not self._contexts or self.tls_works or self.traits.tls_1_2 is False:
                return False
            if context is self._contexts[1]:
                self.traits = self.traits.learn(tls_1_2=False)
                return True
            self._tls_failures += 1
            if self._tls_failures >= TLS_TRIES:
                self.traits = self.traits.learn(tls_1_2=True)
            return True

    def address_of(self, connection: socket.socket) -> Address:
        """Return the address that a socket is connected to; further connections go there first."""
        where = connection.getpeername()
        peer = Address(connection.family, where)
        with self._lock:
            self.addresses = (peer,)
        return peer

    def learn(self, **traits: Any) -> None:
        """Remember something about the server."""
        with self._lock:
            self.traits = self.traits.learn(**traits)

    def has(self, feature: str) -> bool:
        """Return whether FEAT (RFC 2389) listed this feature."""
        return any(line.split(" ")[0].upper() == feature for line in self.traits.features)

    def greeted(self, banner: str) -> None:
        """Remember how the server introduced itself."""
        first = banner.partition(" / ")[0][:LONGEST_BANNER]
        if self.traits.banner != first:
            self.learn(banner=first)
        self._guess()
        self.reached.set()

    def _guess(self) -> None:
        with self._lock:
            if self._may_guess and self._contexts and self._is("vsftpd"):
                guess_p256(self._contexts[0])
                self._may_guess, self._guessed = False, True

    def _is(self, name: str) -> bool:
        return name in self.traits.banner.lower()

    def introduced(self, features: Reply, directory: Reply) -> None:
        """Remember what the server can do, and where its root is."""
        lines = tuple(line.strip() for line in features.lines[1:-1] if line.strip()) if features.good else ()
        quoted = re.search(r'"((?:[^"]|"")*)"', directory.text) if directory.good else None
        login_directory = quoted[1].replace('""', '"') if quoted else "/"
        self.learn(features=lines)
        names = {line.split(" ")[0].upper() for line in lines}
        self.learn(
            utf8="UTF8" in names,
            machine_listing="MLST" in names or "MLSD" in names,
            hash_command=best_hash(lines),
            set_time="MFMT" in names,
        )
        self.root = normal_root(self.target.path, login_directory)
        self.admitted.set()

    @property
    def options(self) -> list[str]:
        """What each connection has to be told about the features in use."""
        hashing, _, algorithm = (self.traits.hash_command or "").partition(" ")
        options = ["OPTS UTF8 ON"] if self.has("UTF8") else []
        return [*options, f"OPTS HASH {algorithm}"] if hashing == "HASH" else options

    @property
    def reads_ahead(self) -> bool:
        """Whether the next EPSV may be sent while a transfer still runs.

        vsftpd reads it after the transfer; ProFTPD refuses it, and pyftpdlib would drop the running transfer.
        """
        return self._is("vsftpd")

    @property
    def tells_too_early(self) -> bool:
        """Whether an EPSV that comes too early is refused and does no harm; see ``EarlyPort``."""
        return self._is("proftpd")

    @property
    def starts_late(self) -> bool:
        """Whether data must not be sent before the 150: pyftpdlib may look at the data before it looks at the STOR.

        It says 150 without waiting for the data connection, so this costs no time there.
        """
        return self._is("pyftpdlib")

    @property
    def window(self) -> int:
        """Bytes of commands that may be under way on one connection.

        ProFTPD misreads commands once in a while with more, unless each one comes alone; see ``one_by_one``.
        """
        return WIDE_WINDOW if self._is("vsftpd") or self._is("pure-ftpd") or self.one_by_one else WINDOW

    @property
    def one_by_one(self) -> bool:
        """Whether each command goes out in a TLS record of its own.

        ProFTPD was seen to misread a command that its read buffer cut in two. It reads a record at a time, so one that
        holds a single command is never cut.
        """
        return self._contexts is not None and self._is("proftpd")

    def doubt_epsv(self) -> None:
        """EPSV did not work on its first try: use PASV from now on, where there is such a thing."""
        if all(address.family == socket.AF_INET for address in self.addresses):
            self.learn(epsv=False)

    # Connections that are still being opened can be cut as well

    def opening(self, control: "Control") -> None:
        """Remember a connection that is being opened by the current thread."""
        with self._lock:
            self._opening.add(control)

    def opened(self, control: "Control") -> None:
        """Forget it."""
        with self._lock:
            self._opening.discard(control)

    def abort_opening(self) -> None:
        """Cut all connections that are being opened."""
        with self._lock:
            waiting = list(self._opening)
        for control in waiting:
            control.abort()


def best_hash(features: tuple[str, ...]) -> str | None:
    """Return the strongest way to have the server hash a file, as FEAT offers it, or None.

    ``HASH <algorithm>`` (draft-bryan-ftpext-hash) or one of the older XSHA256, XSHA1, XSHA, XMD5 and XCRC.
    """
    names = {line.split(" ")[0].upper(): line for line in features}
    if "HASH" in names:
        offered = names["HASH"].partition(" ")[2].upper().replace("*", "").split(";")
        for algorithm in ("SHA-256", "SHA-512", "SHA-1", "MD5", "CRC32"):
            if algorithm in offered:
                return f"HASH {algorithm}"
    return next((name for name in ("XSHA256", "XSHA512", "XSHA1", "XSHA", "XMD5", "XCRC") if name in names), None)
