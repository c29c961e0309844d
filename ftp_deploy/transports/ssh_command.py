"""Commands on an SSH server, for whoever speaks a protocol of their own over them: git does.

asyncssh is asynchronous and its user here is not: an event loop in a thread of its own does the work, and ``read`` and
``write`` wait for it. Login, host keys and the address policy are those of SFTP.
"""

import asyncio
import math
import time
from collections.abc import Mapping
from contextlib import suppress
from typing import Any, Self

import asyncssh

from ftp_deploy.exceptions import ConnectionFailed
from ftp_deploy.transports.addresses import resolve
from ftp_deploy.transports.base import Target
from ftp_deploy.transports.loop import BackgroundLoop
from ftp_deploy.transports.sftp_connection import open_connection, read_key, session_failure
from ftp_deploy.transports.sftp_errors import FAILURES, translate

BLOCK = 256 * 1024
DEFAULT_PORT = 22
LARGEST_COMPLAINT = 4096
"""Bytes of what a command writes to its standard error that are kept."""
CLOSE_SECONDS = 2.0


class SSHConnection:
    """One logged-in connection. Commands may run on it one after the other or side by side."""

    def __init__(self, target: Target) -> None:
        self.target = target
        self._loop: BackgroundLoop | None = None
        self._connection: asyncssh.SSHClientConnection | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_error: object) -> None:
        self.close()

    def run(self, command: str, environment: Mapping[str, str] | None = None) -> "Command":
        """Start a command, connecting first where that has not happened yet.

        Servers take over only variables that they know. Raises ``ConnectionFailed``, ``LoginRefused``,
        ``IdentityRefused``, ``AddressRefused``, ``FeatureMissing``.
        """
        loop, connection = self._connected()
        try:
            process = loop.run(self._start(connection, command, environment or {}))
        except FAILURES as error:
            raise session_failure(connection, error, f"Starting a command on {self.target.host}") from error
        return Command(self.target, loop, process)

    def _connected(self) -> tuple[BackgroundLoop, asyncssh.SSHClientConnection]:
        if self._loop is None or self._connection is None:
            target = self.target
            key = read_key(target)
            port = target.port or DEFAULT_PORT
            addresses = resolve(target.host, port, allow_private=target.allow_private_addresses)
            self._loop = BackgroundLoop(f"ssh {target.host}")
            try:
                self._connection = self._loop.run(open_connection(target, addresses, key))
            except BaseException:
                self.close()
                raise
        return self._loop, self._connection

    async def _start(
        self, connection: asyncssh.SSHClientConnection, command: str, environment: Mapping[str, str]
    ) -> "asyncssh.SSHClientProcess[bytes]":
        async with asyncio.timeout(self.target.reply_timeout):
            return await connection.create_process(command, env=dict(environment), encoding=None)

    def close(self) -> None:
        """Close the connection and end its thread; harmless when called twice."""
        loop, self._loop = self._loop, None
        connection, self._connection = self._connection, None
        if loop is None:
            return
        try:
            if connection is not None:
                loop.run(_hang_up(connection))
        finally:
            loop.stop()


async def _hang_up(connection: asyncssh.SSHClientConnection) -> None:
    connection.close()
    try:
        async with asyncio.timeout(CLOSE_SECONDS):
            await connection.wait_closed()
    except FAILURES:
        connection.abort()


class Command:
    """One running command. Each wait for it is bounded by the target's ``reply_timeout``."""

    def __init__(self, target: Target, loop: BackgroundLoop, process: Any) -> None:
        self._target = target
        self._loop = loop
        self._process = process
        self._buffer = b""
        self._at = 0

    @property
    def has_data(self) -> bool:
        """Whether something can be read without waiting."""
        return self._at < len(self._buffer)

    def read(self, size: int, deadline: float = math.inf) -> bytes:
        """Return exactly ``size`` bytes of the output, fewer only where it ends.

        Raises ``ConnectionFailed``, also where the deadline (of ``time.monotonic``) passes: a server that sends a byte
        now and then would hold us up for ever.
        """
        parts = []
        while size > 0 and (self.has_data or self._fill()):
            if time.monotonic() > deadline:
                raise ConnectionFailed(f"{self._target.host} did not finish in time.")
            part = self._buffer[self._at : self._at + size]
            self._at += len(part)
            size -= len(part)
            parts.append(part)
        return parts[0] if len(parts) == 1 else b"".join(parts)

    def _fill(self) -> bool:
        self._buffer, self._at = self._wait(self._process.stdout.read(BLOCK)), 0
        return bool(self._buffer)

    def write(self, data: bytes) -> None:
        """Send input. A command that has ended takes none; what it said before is there to be read.

        Raises ``ConnectionFailed``.
        """
        self._wait(self._send(data))

    async def _send(self, data: bytes) -> None:
        with suppress(BrokenPipeError, ConnectionResetError):
            self._process.stdin.write(data)
            await self._process.stdin.drain()

    def end_input(self) -> None:
        """Say that there is no more input."""

        async def end() -> None:
            with suppress(OSError):
                self._process.stdin.write_eof()

        self._wait(end())

    def complaint(self) -> str:
        """Wait for the end of the command and return what it wrote to its standard error, on one line and bounded."""
        try:
            said: bytes = self._wait(self._process.stderr.read(LARGEST_COMPLAINT))
        except ConnectionFailed:
            return ""
        text = "".join(c if c.isprintable() else " " for c in said.decode(errors="replace"))
        return " ".join(text.split())[:300]

    def close(self) -> None:
        """End the command; harmless when called twice."""

        async def end() -> None:
            self._process.close()

        with suppress(ConnectionFailed):
            self._wait(end())

    def _wait(self, work: Any) -> Any:
        async def bounded() -> Any:
            async with asyncio.timeout(self._target.reply_timeout):
                return await work

        try:
            return self._loop.run(bounded())
        except FAILURES as error:
            raise translate(error, f"Talking to {self._target.host}") from error
