"""One control connection to an FTP server (RFC 959), with several commands in flight.

Measured on vsftpd, ProFTPD, Pure-FTPd and pyftpdlib: many short commands may be written before their replies are read,
as long as no more than about 1,000 bytes of them are under way. On Linux the delayed acknowledgement is switched off
before each wait: together with a server's Nagle delay it would cost 40 ms a file.
"""

import contextlib
import ftplib
import functools
import re
import selectors
import socket
import ssl
import threading
import time
from collections import deque
from collections.abc import Sequence

from ftp_deploy.exceptions import (
    ConnectionFailed,
    FeatureMissing,
    LoginRefused,
    TooManyConnections,
    TransportError,
    UnsafePath,
)
from ftp_deploy.transports import addresses
from ftp_deploy.transports.ftp_replies import Question, Reply, clean
from ftp_deploy.transports.ftp_server import Server
from ftp_deploy.transports.ftp_tls import wrap_control

LONGEST_LINE = ftplib.MAXLINE
LONGEST_REPLY = 64 * 1024
RECEIVE = 64 * 1024
QUICKACK = getattr(socket, "TCP_QUICKACK", None)
LOOK_EVERY = 0.1

_UNSAFE = re.compile(r"[\x00-\x1f\x7f-\x9f]")


class Control:
    """A connection, logged in and ready for absolute paths in binary mode.

    Used by one thread; ``abort`` may be called by any other. Every method raises ``ConnectionFailed`` where the
    connection breaks or the server talks nonsense; the connection is of no use then.
    """

    def __init__(self, server: Server, *, log_in: bool = True, follow: bool = False) -> None:
        """Connect and log in. With ``follow`` each step waits until the first connection has been that far."""
        self.server = server
        self.target = server.target
        self._buffer = bytearray()
        self._open_questions: deque[Question] = deque()
        self._watched: list[socket.socket] = []
        self._lock = threading.Lock()
        self._aborted = False
        self.context: ssl.SSLContext | None = None
        """The TLS context of this connection and its data connections."""
        server.opening(self)
        try:
            if follow:
                self._await(server.reached)
            self.connection: socket.socket = self._open()
            self._greet()
            if follow:
                self._await(server.admitted)
            if log_in:
                self._log_in()
                self._set_up()
        except BaseException:
            self.discard()
            raise
        finally:
            server.opened(self)

    def _await(self, event: threading.Event) -> None:
        """Wait for the first connection. Raises ``ConnectionFailed`` once aborted, or when it takes too long."""
        deadline = time.monotonic() + self.target.connect_timeout + self.target.reply_timeout
        while not event.wait(LOOK_EVERY):
            if self._aborted or time.monotonic() > deadline:
                raise ConnectionFailed("The connection was closed by us.")

    # Sockets

    def watch(self, connection: socket.socket) -> None:
        """Let ``abort`` reach this socket as well. Raises ``ConnectionFailed`` once aborted."""
        with self._lock:
            if self._aborted:
                raise ConnectionFailed("The connection was closed by us.")
            self._watched = [one for one in self._watched if one.fileno() >= 0]
            self._watched.append(connection)

    @property
    def aborted(self) -> bool:
        """Whether we cut the connection ourselves."""
        return self._aborted

    def abort(self) -> None:
        """Cut the connection and its data connection; a thread that waits on one of them gets an error."""
        with self._lock:
            self._aborted = True
            for connection in self._watched:
                with contextlib.suppress(OSError):
                    socket.socket.shutdown(connection, socket.SHUT_RDWR)

    def close(self) -> None:
        """Say goodbye without waiting for the answer, and close."""
        with contextlib.suppress(OSError, TransportError):
            self.connection.settimeout(1.0)
            self.connection.sendall(b"QUIT\r\n")
        self.discard()

    def is_stale(self) -> bool:
        """Whether the server spoke or hung up while nothing was asked: such a connection is not used again."""
        with selectors.PollSelector() as selector:  # select(2) takes no descriptor above 1023
            selector.register(self.connection, selectors.EVENT_READ)
            return bool(selector.select(0))

    def discard(self) -> None:
        """Cut the connection and free its sockets; only for the thread that uses it."""
        self.abort()
        for connection in self._watched:
            with contextlib.suppress(OSError):
                connection.close()
        with contextlib.suppress(OSError, AttributeError):
            self.connection.close()

    @functools.cached_property
    def tls_session(self) -> ssl.SSLSession | None:
        """The TLS session that data connections resume. Kept, because each look at it copies it at some expense."""
        return self.connection.session if isinstance(self.connection, ssl.SSLSocket) else None

    def _open(self) -> socket.socket:
        connection = addresses.open_socket(self.server.addresses, self.target.connect_timeout, self.watch)
        self.peer = self.server.address_of(connection)
        connection.settimeout(self.target.reply_timeout)
        if self.server.implicit and self.server.context:
            return self._start_tls(connection, self.server.context)
        return connection

    def _start_tls(self, raw: socket.socket, context: ssl.SSLContext) -> ssl.SSLSocket:
        raw.settimeout(self.target.connect_timeout)
        try:
            connection = wrap_control(raw, context, self.target)
        except OSError as error:
            if not isinstance(error, TimeoutError):
                self.doubt_tls(context)
            raise ConnectionFailed(f"TLS could not be started with {self.target.host}: {error}.") from error
        self.context = context
        self.watch(connection)
        connection.settimeout(self.target.reply_timeout)
        return connection

    def doubt_tls(self, context: ssl.SSLContext | None) -> bool:
        """Tell of TLS that broke here; where we cut the connection ourselves that says nothing about the server."""
        return not self._aborted and self.server.doubt_tls(context)

    # Log-in

    def _greet(self) -> None:
        greeting = self.read_reply()
        while greeting.preliminary:
            greeting = self.read_reply()
        if greeting.code != 220:
            kind = TooManyConnections if greeting.too_many or greeting.code >= 400 else ConnectionFailed
            raise kind(f"{self.target.host} turned us away: {greeting}.", reply=str(greeting), code=greeting.code)
        self.server.greeted(greeting.text)
        if self.server.context and not self.server.implicit:
            reply = self.ask("AUTH TLS")
            if reply.code != 234:
                raise FeatureMissing(
                    f"{self.target.host} offers no TLS: {reply}. Nothing was sent in clear text.",
                    reply=str(reply),
                    code=reply.code,
                    advice="Switch TLS on in the server, or choose another protocol for the service.",
                )
            if self._buffer:
                raise ConnectionFailed(f"{self.target.host} sent more in clear text after it had agreed to TLS.")
            self.connection = self._start_tls(self.connection, self.server.context)

    def _log_in(self) -> None:
        reply = self.ask(f"USER {self.target.username}")
        if reply.code == 331:
            reply = self.ask(f"PASS {self.target.password}")
        if reply.code in (230, 202, 232):
            return
        name = self.target.username
        if reply.too_many:
            raise TooManyConnections(
                f"{self.target.host} allows no further connection: {reply}.", reply=str(reply), code=reply.code
            )
        if reply.code < 500 and reply.code != 430:  # not now, or no answer to what was asked: neither is a refusal
            raise ConnectionFailed(f"{self.target.host} could not log in {name}: {reply}.", code=reply.code)
        raise LoginRefused(
            f"{self.target.host} refused the login of {name}: {reply}.", reply=str(reply), code=reply.code
        )

    def _set_up(self) -> None:
        """Set the modes, all in one round trip; the first connection also asks what the server can do."""
        commands = ["TYPE I"]
        if self.server.context:
            commands += ["PBSZ 0", "PROT P"]
        if self.server.root is None:
            commands += ["PWD", "FEAT"]
        known = self.server.options
        commands += known
        replies = dict(zip(commands, self.exchange(commands), strict=True))
        for command in ("TYPE I", "PBSZ 0", "PROT P"):
            if command in replies and not replies[command].good:
                raise FeatureMissing(
                    f"{self.target.host} refused {command}: {replies[command]}.", code=replies[command].code
                )
        if "FEAT" in replies:
            self.server.introduced(replies["FEAT"], replies["PWD"])
            further = [option for option in self.server.options if option not in known]
            replies.update(zip(further, self.exchange(further), strict=True))
        for option in self.server.options:
            if option.startswith("OPTS HASH") and not replies[option].good:
                self.server.learn(hash_command=None)

    # Commands and replies

    def send(self, *commands: str) -> None:
        """Write commands without waiting. Raises ``UnsafePath`` for one with a control character in it."""
        for command in commands:
            if _UNSAFE.search(command):
                raise UnsafePath("A name with a control character was kept from the server.")
        try:
            if self.connection.gettimeout() != self.target.reply_timeout:
                self.connection.settimeout(self.target.reply_timeout)
            lines = [f"{command}\r\n".encode() for command in commands]
            for part in lines if self.server.one_by_one else [b"".join(lines)]:
                self.connection.sendall(part)
        except UnicodeEncodeError as error:
            raise UnsafePath("A name that is not valid UTF-8 was kept from the server.") from error
        except OSError as error:
            raise self._lost(error) from error

    def ask(self, command: str) -> Reply:
        """Send one command and return its reply."""
        self.send(command)
        return self.read_reply()

    def put(self, questions: Sequence[Question]) -> None:
        """Ask without waiting: each reply is judged when it comes, before any later reply is returned."""
        if questions:
            self._open_questions.extend(questions)
            self.send(*(question.command for question in questions))

    def exchange(self, commands: Sequence[str]) -> list[Reply]:
        """Send commands, never more under way than the window allows, and return as many replies in their order."""
        sizes = [len(command.encode("utf-8", "surrogatepass")) + 2 for command in commands]
        replies: list[Reply] = []
        sent = under_way = 0
        while len(replies) < len(commands):
            first = sent
            while sent < len(commands) and (under_way == 0 or under_way + sizes[sent] <= self.server.window):
                under_way += sizes[sent]
                sent += 1
            if sent > first:
                self.send(*commands[first:sent])
            under_way -= sizes[len(replies)]
            replies.append(self.read_reply())
            while len(replies) < sent and (reply := self._take_reply()):
                under_way -= sizes[len(replies)]
                replies.append(self._alive(reply))
        return replies

    def read_reply(self, timeout: float | None = None) -> Reply:
        """Wait for the next reply, at most ``timeout`` or the target's reply time-out, in seconds."""
        limit = timeout or self.target.reply_timeout
        deadline = time.monotonic() + limit
        left = limit
        while (reply := self._next_reply()) is None:
            if left <= 0:
                raise ConnectionFailed(f"{self.target.host} did not answer within {limit:.0f} seconds.")
            self._receive(left)
            left = deadline - time.monotonic()
        return reply

    def final_reply(self) -> Reply:
        """Wait for the reply that ends a command, past preliminary ones."""
        while (reply := self.read_reply()).preliminary:
            pass
        return reply

    def reply_at_hand(self, seconds: float = 0) -> Reply | None:
        """Return a reply that has already come, or that begins to come within ``seconds``."""
        if (reply := self._next_reply()) is not None:
            return reply
        self._receive(seconds)
        return self._next_reply()

    def _next_reply(self) -> Reply | None:
        """Take the next reply out of what has been received, past those that questions wait for."""
        while (reply := self._take_reply()) is not None:
            self._alive(reply)
            if not self._open_questions:
                return reply
            self._open_questions.popleft().judge(reply)
        return None

    def _receive(self, timeout: float) -> None:
        try:
            if QUICKACK is not None:
                self.connection.setsockopt(socket.IPPROTO_TCP, QUICKACK, 1)
            if self.connection.gettimeout() != timeout:
                self.connection.settimeout(timeout)
            block = self.connection.recv(RECEIVE)
        except (BlockingIOError, ssl.SSLWantReadError):
            return
        except TimeoutError:
            return
        except OSError as error:
            raise self._lost(error) from error
        if not block:
            raise ConnectionFailed(f"{self.target.host} closed the connection.")
        self._buffer += block
        if len(self._buffer) > LONGEST_REPLY:
            raise ConnectionFailed(f"{self.target.host} sent a reply without end.")

    def _take_reply(self) -> Reply | None:
        """Take one whole reply out of what has been received, if there is one."""
        start = 0
        lines: list[bytes] = []
        code = b""
        while (end := self._buffer.find(b"\n", start)) >= 0:
            line = bytes(self._buffer[start:end]).rstrip(b"\r")
            start = end + 1
            if not lines:
                code = line[:3]
                if not (code.isdigit() and b"100" <= code < b"660" and line[3:4] in (b"", b" ", b"-")):
                    raise self._nonsense(line)
            lines.append(line)
            if line[:3] == code and line[3:4] != b"-":
                del self._buffer[:start]
                return self._make_reply(int(code), lines)
        if len(self._buffer) - start > LONGEST_LINE:
            raise self._nonsense(bytes(self._buffer[start : start + 100]))
        return None

    def _make_reply(self, code: int, lines: list[bytes]) -> Reply:
        texts = [line.decode("utf-8", "replace") for line in lines]
        secrets = (self.target.password,)
        if len(texts) == 1:
            return Reply(code, clean(texts[0][4:], secrets))
        words = (text[4:] if text[:3] == str(code) else text.strip() for text in texts)
        return Reply(code, clean(" / ".join(words), secrets), tuple(clean(text, secrets) for text in texts))

    def _alive(self, reply: Reply) -> Reply:
        if reply.code == 421:
            raise TooManyConnections(
                f"{self.target.host} closed the connection: {reply}.", reply=str(reply), code=reply.code
            )
        return reply

    def _nonsense(self, line: bytes) -> ConnectionFailed:
        text = clean(line[:100].decode("utf-8", "replace"), (self.target.password,))
        return ConnectionFailed(
            f"{self.target.host} does not speak FTP; it sent {text!r}.", reply=text,
            advice="Check the host, port and protocol of the service.",
        )  # fmt: skip

    def _lost(self, error: OSError) -> ConnectionFailed:
        reason = addresses.describe(error, self.target.reply_timeout)
        return ConnectionFailed(f"The connection to {self.target.host} was lost: {reason}.")
