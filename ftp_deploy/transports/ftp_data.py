"""One data connection: opened beside the command, TLS resumed from the control connection, ended properly.

The command (STOR, RETR, LIST) is sent before the data connection is opened, and the TLS handshake starts without
waiting for the 150: each saves a round trip. Nothing that is sent counts before the final reply has come.
"""

import contextlib
import selectors
import socket
import ssl
import sys
import time
from types import TracebackType
from typing import Self

from ftp_deploy.exceptions import TransferFailed, TransportError
from ftp_deploy.transports import addresses
from ftp_deploy.transports.ftp_control import Control
from ftp_deploy.transports.ftp_passive import UNCERTAIN_WAIT, ask_port, passive_command
from ftp_deploy.transports.ftp_replies import Reply, refusal
from ftp_deploy.transports.ftp_tls import check_pin

TLS_REFUSALS = (425, 426, 522, 534)
"""What servers say whose data connections could not be encrypted as they want it (RFC 2228, RFC 4217)."""
if sys.platform.startswith("linux"):
    import fcntl

CORK = getattr(socket, "TCP_CORK", None)
UNSENT = 0x894B
"""SIOCOUTQNSD of Linux: bytes in a socket's queue that have not been sent once."""
REASON_WAIT = 5.0
"""Seconds to wait for the server's own words after the data connection broke."""
LONGEST_LISTING = 64 * 1024 * 1024
"""Bytes of one directory's listing, which is held in memory."""


class DataConnection:
    """A data connection for one command. Use as a context manager; leaving it closes the socket.

    ``doing`` and ``path`` are for messages. Raises the error that fits the server's reply where there is one, else
    ``TransferFailed``.
    """

    def __init__(self, control: Control, port: int, command: str, *, doing: str, path: str = "") -> None:
        self.control = control
        self.doing = doing
        self.path = path
        self.started = False
        self.final: Reply | None = None
        self._doubted: bool | None = None
        control.send(command)
        self.connection = self._open(port)

    def _open(self, port: int) -> socket.socket:
        control = self.control
        uncertain = control.server.traits.epsv is None
        timeout = min(control.target.connect_timeout, UNCERTAIN_WAIT if uncertain else 3600.0)
        try:
            raw = addresses.connect(control.peer.with_port(port), timeout, control.watch)
        except OSError as error:
            if uncertain:
                control.server.doubt_epsv()
            raise self.failure(error) from error
        try:
            raw.settimeout(control.target.reply_timeout)
            return self._start_tls(raw, control.context) if control.context else raw
        except OSError as error:
            raw.close()
            if not isinstance(error, TimeoutError):
                self._doubt_tls()
            raise self.failure(error) from error
        except BaseException:
            raw.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.connection.close()

    def _start_tls(self, raw: socket.socket, context: ssl.SSLContext) -> ssl.SSLSocket:
        """Resume the control connection's session; watch the control connection for a refusal meanwhile."""
        control = self.control
        connection = context.wrap_socket(
            raw,
            server_hostname=control.target.host,
            session=control.tls_session,
            do_handshake_on_connect=False,
        )
        try:
            control.watch(connection)
            self._shake_hands(connection)
            connection.settimeout(control.target.reply_timeout)
            check_pin(connection, control.target)
        except BaseException:
            connection.close()
            raise
        return connection

    def _shake_hands(self, connection: ssl.SSLSocket) -> None:
        connection.settimeout(0)
        deadline = time.monotonic() + self.control.target.reply_timeout
        with selectors.DefaultSelector() as selector:
            selector.register(self.control.connection, selectors.EVENT_READ)
            selector.register(connection, selectors.EVENT_READ)
            while True:
                try:
                    connection.do_handshake()
                except ssl.SSLWantReadError:
                    events = selectors.EVENT_READ
                except ssl.SSLWantWriteError:
                    events = selectors.EVENT_WRITE
                else:
                    return
                selector.modify(connection, events)
                ready = selector.select(max(0.0, deadline - time.monotonic()))
                if not ready:
                    raise TimeoutError
                if any(key.fileobj is self.control.connection for key, _ in ready):
                    self._notice(self.control.reply_at_hand())

    def _notice(self, reply: Reply | None) -> None:
        """Take a reply that came before the transfer ended: 150, or a refusal."""
        if reply is None:
            return
        if not reply.preliminary:
            if not reply.good:
                raise self._refusal(reply)
            self.final = reply
        self.started = True

    def await_start(self) -> None:
        """Wait for the 150, before much is sent or anything is read. Raises the refusal if that comes instead.

        Some servers keep the data connection of a refused command open, so waiting on that alone would be for ever.
        """
        while not self.started:
            self._notice(self.control.read_reply())

    def fill_packets(self) -> None:
        """Let the kernel send full packets until the end; each record of TLS would be sent, and read, by itself."""
        if CORK is not None:
            with contextlib.suppress(OSError):
                self.connection.setsockopt(socket.IPPROTO_TCP, CORK, 1)

    def finish_sending(self) -> None:
        """Say that everything has been sent; the socket stays open, or unread TLS tickets would make it a reset."""
        try:
            if isinstance(self.connection, ssl.SSLSocket):
                self._notify_close(self.connection)
            socket.socket.shutdown(self.connection, socket.SHUT_WR)
        except OSError as error:
            raise self.failure(error) from error

    def outlast(self, seconds: float) -> bool:
        """Wait until everything, the end included, has been on its way for ``seconds``, so that it has arrived.

        Returns False where the final reply comes before that, where the server does not take the rest within the
        target's reply time-out, or where the system does not say what has left.
        """
        left_at: float | None = None
        deadline = time.monotonic() + self.control.target.reply_timeout
        while self.final is None and time.monotonic() < deadline:
            if left_at is None:
                unsent = self._unsent()
                if unsent is None:
                    return False
                left_at = None if unsent else time.monotonic()
            wait = seconds if left_at is None else left_at + seconds - time.monotonic()
            if wait <= 0:
                return True
            self._notice(self.control.reply_at_hand(wait))
        return False

    def _unsent(self) -> int | None:
        """Return how many bytes have not left yet, because the link's window is full; None: nobody knows."""
        if not sys.platform.startswith("linux"):
            return None
        answer = bytearray(4)
        try:
            fcntl.ioctl(self.connection.fileno(), UNSENT, answer)
        except OSError:
            return None
        return int.from_bytes(answer, sys.byteorder)

    def finish_receiving(self) -> Reply:
        """End a transfer to us. Over TLS, vsftpd says that it is done only after our close_notify."""
        with contextlib.suppress(OSError):
            if isinstance(self.connection, ssl.SSLSocket):
                self._notify_close(self.connection)
            socket.socket.shutdown(self.connection, socket.SHUT_WR)
        return self.finish()

    def _notify_close(self, connection: ssl.SSLSocket) -> None:
        """Send TLS's close_notify, and do not wait for the server's."""
        connection.settimeout(0)
        deadline = time.monotonic() + self.control.target.reply_timeout
        while time.monotonic() < deadline:
            try:
                connection.unwrap()
            except ssl.SSLWantWriteError:
                with selectors.DefaultSelector() as selector:
                    selector.register(connection, selectors.EVENT_WRITE)
                    selector.select(1.0)
                continue
            except (ssl.SSLError, ValueError):
                return
            return

    def finish(self) -> Reply:
        """Wait for the final reply and return it. Raises what it says if that is not success."""
        reply = self.final or self.control.final_reply()
        if not reply.good:
            raise self._refusal(reply)
        self.control.server.tls_works = True
        if self.control.server.traits.epsv is None and passive_command(self.control) == "EPSV":
            self.control.server.learn(epsv=True)
        return reply

    def _refusal(self, reply: Reply) -> TransportError:
        """Return the error for a transfer that failed by the server's word; it may pass where TLS may be the cause."""
        if reply.code in TLS_REFUSALS and self.control.context and self._doubt_tls():
            return TransferFailed(
                f"The server refused to {self.doing}: {reply}.", path=self.path, reply=str(reply), code=reply.code
            )
        return refusal(reply, self.doing, self.path)

    def _doubt_tls(self) -> bool:
        """Do what ``Server.doubt_tls`` does, once: a broken handshake and the server's word on it are one event."""
        if self._doubted is None:
            self._doubted = self.control.doubt_tls(self.control.context)
        return self._doubted

    def failure(self, error: OSError) -> TransportError:
        """Return what went wrong: the server's own words if it says some, else the socket's error."""
        with contextlib.suppress(TransportError):
            reply = self.control.read_reply(REASON_WAIT)
            while reply.preliminary:
                reply = self.control.read_reply(REASON_WAIT)
            if not reply.good:
                return self._refusal(reply)
        reason = addresses.describe(error, self.control.target.reply_timeout)
        return TransferFailed(f"The data connection broke; could not {self.doing}: {reason}.", path=self.path)


def fetch(control: Control, command: str, *, doing: str, path: str = "") -> bytes:
    """Run a command that sends data, such as a listing, and return all of it, at most ``LONGEST_LISTING`` bytes."""
    blocks = []
    size = 0
    with DataConnection(control, ask_port(control), command, doing=doing, path=path) as data:
        data.await_start()
        try:
            while block := data.connection.recv(256 * 1024):
                blocks.append(block)
                size += len(block)
                if size > LONGEST_LISTING:
                    raise TransferFailed(f"The server sends without end; could not {doing}.", path=path)
        except OSError as error:
            raise data.failure(error) from error
        data.finish_receiving()
    return b"".join(blocks)
