"""An SFTP session on an SSH channel: many requests in flight, as few SSH packets as possible.

Each request returns a future at once; the request itself goes out at the end of the current turn of the event loop,
together with all others of that turn. Servers answer requests to one file in the order in which they came
(draft-ietf-secsh-filexfer-02 section 6.1), so a write, a check and a close can be sent without waiting in between.
"""

import asyncio
import time
from collections.abc import Callable
from typing import Any

import asyncssh

from ftp_deploy.transports import sftp_protocol as protocol
from ftp_deploy.transports.sftp_protocol import Attributes, Kind, Limits, Name, ProtocolBroken, Reader, Status

SSH_PACKET = 32768
"""Bytes of data in one SSH packet; what OpenSSH takes, and what RFC 4253 section 6.1 asks of everybody."""
LARGEST_WRITE = 8 * SSH_PACKET
LONGEST_PACKET = 4 * 1024 * 1024
"""No reply is longer; a longer one is no SFTP, such as the output of a login script."""

Parser = Callable[[Reader], Any]


class SFTPChannel(asyncssh.SSHClientSession[bytes]):
    """The client's side of one SFTP session. Use from the event loop only."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._channel: asyncssh.SSHClientChannel[bytes] | None = None
        self._outgoing: list[bytes] = []
        self._outgoing_bytes = 0
        self._flushing = False
        self._received = bytearray()
        self._waiting: dict[int, tuple[asyncio.Future[Any], int, Parser | None]] = {}
        self._number = 0
        self._lost: Exception | None = None
        self._version: asyncio.Future[dict[str, str]] = self._loop.create_future()
        self.extensions: dict[str, str] = {}
        self.limits = Limits()
        self.answered_at = time.monotonic()
        """When the last reply came, or when the first of the requests now waiting was sent."""

    async def start(self) -> None:
        """Agree on the version and ask for the server's limits."""
        self._send(protocol.init())
        self.extensions = await self._version
        if "limits@openssh.com" in self.extensions:
            self.limits = await self.ask(
                Kind.EXTENDED, protocol.string(b"limits@openssh.com"), reply=Kind.EXTENDED_REPLY, parse=Reader.limits
            )

    @property
    def waiting(self) -> int:
        """How many requests are not answered yet."""
        return len(self._waiting)

    def chunk(self, handle: bytes) -> int:
        """Return how many bytes one WRITE may carry so that it fills as many SSH packets as the server takes."""
        overhead = protocol.WRITE_OVERHEAD + len(handle)
        packets = max(1, min(self.limits.write + overhead, self.limits.packet, LARGEST_WRITE) // SSH_PACKET)
        return min(self.limits.write, packets * SSH_PACKET - overhead)

    # What the server can be asked: each returns a future.

    def ask(
        self, kind: int, *fields: bytes, reply: int = Kind.STATUS, parse: Parser | None = None
    ) -> "asyncio.Future[Any]":
        """Send one request; the future gives what ``parse`` reads from a packet of type ``reply``."""
        future: asyncio.Future[Any] = self._loop.create_future()
        if self._lost is not None:
            future.set_exception(self._lost)
            future.exception()  # as in ``fail``
            return future
        if not self._waiting:
            self.answered_at = time.monotonic()
        self._number = (self._number + 1) & 0xFFFFFFFF
        self._waiting[self._number] = (future, reply, parse)
        self._send(protocol.request(kind, self._number, *fields))
        return future

    def open(self, path: bytes, flags: int) -> "asyncio.Future[bytes]":
        """Open a file; gives a handle."""
        fields = protocol.open_fields(path, flags)
        return self.ask(Kind.OPEN, *fields, reply=Kind.HANDLE, parse=Reader.string)

    def write(self, handle: bytes, offset: int, data: bytes) -> "asyncio.Future[None]":
        """Write ``data`` at ``offset``."""
        return self.ask(Kind.WRITE, *protocol.write_fields(handle, offset, data))

    def read(self, handle: bytes, offset: int, length: int) -> "asyncio.Future[bytes]":
        """Read up to ``length`` bytes; at the end of the file the future fails with status EOF."""
        fields = protocol.read_fields(handle, offset, length)
        return self.ask(Kind.READ, *fields, reply=Kind.DATA, parse=Reader.string)

    def close(self, handle: bytes) -> "asyncio.Future[None]":
        """Close a file or directory."""
        return self.ask(Kind.CLOSE, protocol.string(handle))

    def file_attributes(self, handle: bytes) -> "asyncio.Future[Attributes]":
        """Ask about an open file."""
        return self.ask(Kind.FSTAT, protocol.string(handle), reply=Kind.ATTRIBUTES, parse=Reader.attributes)

    def set_file_attributes(self, handle: bytes, attributes: Attributes) -> "asyncio.Future[None]":
        """Change the mode or the times of an open file."""
        return self.ask(Kind.FSETSTAT, protocol.string(handle), attributes.encode())

    def attributes(self, path: bytes) -> "asyncio.Future[Attributes]":
        """Ask about a file; symbolic links are followed."""
        return self.ask(Kind.STAT, protocol.string(path), reply=Kind.ATTRIBUTES, parse=Reader.attributes)

    def set_attributes(self, path: bytes, attributes: Attributes) -> "asyncio.Future[None]":
        """Change the mode or the times of a file."""
        return self.ask(Kind.SETSTAT, protocol.string(path), attributes.encode())

    def make_directory(self, path: bytes) -> "asyncio.Future[None]":
        """Make one directory."""
        return self.ask(Kind.MKDIR, protocol.string(path), Attributes().encode())

    def remove_directory(self, path: bytes) -> "asyncio.Future[None]":
        """Remove one empty directory."""
        return self.ask(Kind.RMDIR, protocol.string(path))

    def remove(self, path: bytes) -> "asyncio.Future[None]":
        """Remove one file."""
        return self.ask(Kind.REMOVE, protocol.string(path))

    def rename(self, source: bytes, path: bytes) -> "asyncio.Future[None]":
        """Rename a file; servers of version 3 refuse an existing ``path``."""
        return self.ask(Kind.RENAME, protocol.string(source), protocol.string(path))

    def rename_over(self, source: bytes, path: bytes) -> "asyncio.Future[None]":
        """Rename a file over another in one step (``posix-rename@openssh.com``)."""
        fields = map(protocol.string, (b"posix-rename@openssh.com", source, path))
        return self.ask(Kind.EXTENDED, *fields)

    def free_bytes(self, path: bytes) -> "asyncio.Future[int]":
        """Ask how many bytes a user may still write (``statvfs@openssh.com``)."""
        fields = map(protocol.string, (b"statvfs@openssh.com", path))
        return self.ask(Kind.EXTENDED, *fields, reply=Kind.EXTENDED_REPLY, parse=_read_free_bytes)

    def open_directory(self, path: bytes) -> "asyncio.Future[bytes]":
        """Open a directory; gives a handle."""
        return self.ask(Kind.OPENDIR, protocol.string(path), reply=Kind.HANDLE, parse=Reader.string)

    def read_directory(self, handle: bytes) -> "asyncio.Future[list[Name]]":
        """Read some more entries; at the end the future fails with status EOF."""
        return self.ask(Kind.READDIR, protocol.string(handle), reply=Kind.NAME, parse=Reader.names)

    def real_path(self, path: bytes) -> "asyncio.Future[bytes]":
        """Ask for the absolute form of a path."""
        return self.ask(Kind.REALPATH, protocol.string(path), reply=Kind.NAME, parse=_read_real_path)

    # Sending.

    def _send(self, packet: bytes) -> None:
        if self._outgoing_bytes + len(packet) > SSH_PACKET:
            self._flush()
        self._outgoing.append(packet)
        self._outgoing_bytes += len(packet)
        if not self._flushing:
            self._flushing = True
            self._loop.call_soon(self._flush_turn)

    def _flush_turn(self) -> None:
        self._flushing = False
        self._flush()

    def _flush(self) -> None:
        packets, self._outgoing, self._outgoing_bytes = self._outgoing, [], 0
        if not packets or self._channel is None or self._lost is not None:
            return
        try:
            self._channel.write(b"".join(packets))
        except OSError as error:
            self.fail(error)

    # Receiving; called by asyncssh.

    def connection_made(self, chan: "asyncssh.SSHClientChannel[bytes]") -> None:
        """Remember the channel."""
        self._channel = chan

    def data_received(self, data: bytes, datatype: int | None) -> None:
        """Read as many whole packets as there are. What the server says on its error channel is left out."""
        if datatype is not None:
            return
        self.answered_at = time.monotonic()
        self._received += data
        at = 0
        try:
            while len(self._received) - at >= 4:
                length = protocol.LENGTH.unpack_from(self._received, at)[0]
                if not 1 <= length <= LONGEST_PACKET:
                    raise ProtocolBroken("The server sends something else than SFTP; does a login script print text?")
                if len(self._received) - at - 4 < length:
                    break
                self._answer(bytes(self._received[at + 4 : at + 4 + length]))
                at += 4 + length
        except ProtocolBroken as error:
            self.fail(error)
        del self._received[:at]

    def _answer(self, packet: bytes) -> None:
        reader = Reader(packet)
        kind = reader.byte()
        if kind == Kind.VERSION and not self._version.done():
            reader.number()
            self._version.set_result(reader.extensions())
            return
        future, expected, parse = self._waiting.pop(reader.number(), (None, 0, None))
        if future is None:
            raise ProtocolBroken("The server answered a request that was never sent.")
        if future.cancelled():
            return
        try:
            if kind == Kind.STATUS:
                self._answer_status(future, expected, reader.status())
            elif kind == expected:
                future.set_result(parse(reader) if parse else None)
            else:
                future.set_exception(ProtocolBroken("The server answered with the wrong kind of packet."))
        except ProtocolBroken as error:  # the request is off the list: nothing else would ever answer it
            future.set_exception(error)

    def _answer_status(self, future: "asyncio.Future[Any]", expected: int, status: protocol.StatusError) -> None:
        if status.code != Status.OK:
            future.set_exception(status)
        elif expected == Kind.STATUS:
            future.set_result(None)
        else:
            future.set_exception(ProtocolBroken("The server said OK where it had to answer."))

    def eof_received(self) -> bool:
        """Take the end of the server's output as the end of the session."""
        self.fail(EOFError("The server ended the SFTP session."))
        return False

    def connection_lost(self, exc: Exception | None) -> None:
        """Fail all requests that are still waiting."""
        self.fail(exc or EOFError("The connection was closed."))

    def fail(self, error: Exception) -> None:
        """End the session: all requests that wait, and all later ones, fail with ``error``."""
        if self._lost is None:
            self._lost = error
        waiting, self._waiting = self._waiting, {}
        futures = [future for future, _, _ in waiting.values()]
        for future in [*futures, self._version]:
            if not future.done():
                future.set_exception(self._lost)
                future.exception()  # a request that nobody waits for any more is no news
        if self._channel is not None:
            self._channel.close()


def forget(answer: "asyncio.Future[Any]") -> None:
    """Take note of an answer that nobody waits for."""
    if not answer.cancelled():
        answer.exception()


def _read_free_bytes(reader: Reader) -> int:
    """Read a ``statvfs@openssh.com`` reply: the blocks that a user may use times their size."""
    reader.long()
    fragment_size = reader.long()
    reader.long()
    reader.long()
    return fragment_size * reader.long()


def _read_real_path(reader: Reader) -> bytes:
    """Read the answer to REALPATH: a listing of one name."""
    names = reader.names()
    if len(names) != 1:
        raise ProtocolBroken("The server gave no absolute path.")
    return names[0].name
