"""SFTP servers: a real OpenSSH, and one of asyncssh for logins by password and for misbehaviour."""

import asyncio
import os
import pwd
import shlex
import shutil
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import asyncssh

from ftp_deploy.repository.base import GitSource
from ftp_deploy.transports.base import Target
from tests.servers.base import DEADLINE, ProcessServer
from tests.servers.binaries import need

CONFIG = """
Port {port}
ListenAddress {host}
PidFile none
AuthorizedKeysFile {authorized}
PubkeyAuthentication yes
PasswordAuthentication no
KbdInteractiveAuthentication no
PermitRootLogin yes
StrictModes no
UsePAM no
"""
LOUD = "LogLevel VERBOSE\nSubsystem sftp internal-sftp -l VERBOSE"
QUIET = "LogLevel ERROR\nSubsystem sftp internal-sftp"


class OpenSSH(ProcessServer):
    """OpenSSH with host keys and a user key of its own. It cannot lock its user in: the path is a real one.

    Options: ``extra``, lines for its configuration; ``host_keys``, the kinds of host key it has; ``quiet``, no log of
    what each session does.
    """

    needs_root = False

    def __init__(self, *, host: str = "127.0.0.1", **options: Any) -> None:
        super().__init__("", host=host, **options)
        self.username = pwd.getpwuid(os.getuid()).pw_name
        self.path = str(self.folder)
        self.user_key = asyncssh.generate_private_key("ssh-ed25519")
        (self.base / "authorized").write_bytes(self.user_key.export_public_key())
        self.host_keys = [asyncssh.generate_private_key(kind) for kind in options.get("host_keys", ["ssh-ed25519"])]

    @property
    def fingerprint(self) -> str:
        """The fingerprint of the first host key."""
        return self.host_keys[0].get_fingerprint()

    def command(self) -> list[str]:
        binary = need("sshd", "openssh-server")
        if os.getuid() == 0:
            Path("/run/sshd").mkdir(exist_ok=True)
        lines = [CONFIG.format(port=self.port, host=self.host, authorized=self.base / "authorized")]
        for number, key in enumerate(self.host_keys):
            place = self.base / f"host_key_{number}"
            place.unlink(missing_ok=True)
            key.write_private_key(place)
            place.chmod(0o600)
            lines.append(f"HostKey {place}")
        lines += [QUIET if self.options.get("quiet") else LOUD, self.options.get("extra", "")]
        (self.base / "sshd_config").write_text("\n".join(lines))
        return [binary, "-D", "-E", str(self.log), "-f", str(self.base / "sshd_config")]

    def _answers(self) -> bool:
        assert self.process
        deadline = time.monotonic() + DEADLINE
        while time.monotonic() < deadline and self.process.poll() is None:
            try:
                with socket.create_connection((self.host, self.port), timeout=5) as probe:
                    if probe.recv(4) == b"SSH-":
                        return True
            except OSError:
                time.sleep(0.02)
        return False

    def target(self, **changes: Any) -> Target:
        """Return a target that logs in with the key."""
        key = self.user_key.export_private_key().decode()
        return super().target(
            **{
                "protocol": "sftp",
                "path": self.path,
                "password": "",
                "private_key": key,
                "fingerprint": self.fingerprint,
                **changes,
            }
        )

    def clear(self) -> None:
        """Remove all files of the site, for the next test."""
        shutil.rmtree(self.folder)
        self.folder.mkdir()


class _Threaded:
    """A server whose event loop runs in a thread of its own; it listens when it is made."""

    def __init__(self) -> None:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()
        self._acceptor = asyncio.run_coroutine_threadsafe(self._listen(), self._loop).result(DEADLINE)
        self.port = self._port()

    async def _listen(self) -> Any:
        raise NotImplementedError

    def _port(self) -> int:
        return int(self._acceptor.get_port())

    def stop(self) -> None:
        """End the server and all its connections."""
        asyncio.run_coroutine_threadsafe(self._stop(), self._loop).result(DEADLINE)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(DEADLINE)
        self._loop.close()

    async def _stop(self) -> None:
        self._acceptor.close()
        rest = [task for task in asyncio.all_tasks() if task is not asyncio.current_task()]
        for task in rest:
            task.cancel()
        await asyncio.gather(*rest, return_exceptions=True)
        for _ in range(3):
            await asyncio.sleep(0)


class ThreadedSFTP(_Threaded):
    """An SFTP server of asyncssh in a thread, for one user with a password. Its root is ``folder``."""

    username = "web"
    password = "päss wörd"

    def __init__(self, folder: Path, sftp: type[asyncssh.SFTPServer] = asyncssh.SFTPServer) -> None:
        self.folder = folder
        self.host_key = asyncssh.generate_private_key("ssh-ed25519")
        self.passwords_tried: list[str] = []
        self.connections = 0
        self._sftp = sftp
        super().__init__()

    async def _listen(self) -> asyncssh.SSHAcceptor:
        return await asyncssh.listen(
            "127.0.0.1",
            0,
            server_factory=lambda: _PasswordLogin(self),
            server_host_keys=[self.host_key],
            sftp_factory=lambda channel: self._sftp(channel, chroot=os.fsencode(self.folder)),
        )

    def target(self, **changes: Any) -> Target:
        """Return a target that logs in with the password."""
        values: dict[str, Any] = {
            "protocol": "sftp",
            "host": "127.0.0.1",
            "port": self.port,
            "username": self.username,
            "password": self.password,
            "path": "/",
            "fingerprint": self.host_key.get_fingerprint(),
            "allow_private_addresses": True,
            "connect_timeout": 20.0,
            "reply_timeout": 30.0,
        }
        return Target(**{**values, **changes})


class _PasswordLogin(asyncssh.SSHServer):
    def __init__(self, server: "ThreadedSFTP | ThreadedGit") -> None:
        self._server = server

    def connection_made(self, conn: asyncssh.SSHServerConnection) -> None:
        self._server.connections += 1

    def begin_auth(self, username: str) -> bool:
        return True

    def password_auth_supported(self) -> bool:
        return True

    def validate_password(self, username: str, password: str) -> bool:
        self._server.passwords_tried.append(password)
        return (username, password) == (self._server.username, self._server.password)


@contextmanager
def threaded_sftp(folder: Path, sftp: type[asyncssh.SFTPServer] = asyncssh.SFTPServer) -> Iterator[ThreadedSFTP]:
    server = ThreadedSFTP(folder, sftp)
    try:
        yield server
    finally:
        server.stop()


@contextmanager
def threaded_git() -> "Iterator[ThreadedGit]":
    server = ThreadedGit()
    try:
        yield server
    finally:
        server.stop()


class ThreadedGit(_Threaded):
    """An SSH server of asyncssh in a thread that runs git's own ``upload-pack``, for one user with a password.

    ``answers`` are further commands with what they write.
    """

    username = "git"
    password = "päss wörd"

    def __init__(self) -> None:
        self.host_key = asyncssh.generate_private_key("ssh-ed25519")
        self.passwords_tried: list[str] = []
        self.connections = 0
        self.commands: list[str] = []
        self.answers: dict[str, str] = {}
        self.silent = False
        """Commands are taken and never answered."""
        self.dripping = False
        """Commands are answered for ever, a byte at a time."""
        super().__init__()

    def source(self, path: str, **changes: Any) -> GitSource:
        """Return where a repository of this server is, with its login and host key."""
        values: dict[str, Any] = {
            "username": self.username,
            "password": self.password,
            "fingerprint": self.host_key.get_fingerprint(),
            "connect_timeout": 20.0,
            "reply_timeout": 60.0,
        }
        return GitSource(f"ssh://127.0.0.1:{self.port}{path}".replace(" ", "%20"), **{**values, **changes})

    async def _listen(self) -> asyncssh.SSHAcceptor:
        return await asyncssh.listen(
            "127.0.0.1",
            0,
            server_factory=lambda: _PasswordLogin(self),
            server_host_keys=[self.host_key],
            process_factory=self._serve,
            encoding=None,
        )

    async def _serve(self, process: Any) -> None:
        command = process.command or ""
        self.commands.append(command)
        if self.silent:
            await asyncio.sleep(600)
        while self.dripping:
            process.stdout.write(b"1")
            await asyncio.sleep(0.1)
        if command in self.answers:
            process.stdout.write(self.answers[command].encode())
            process.exit(0)
            return
        words = shlex.split(command)
        if words[0] != "git-upload-pack":
            process.stderr.write(b"Unknown command\n")
            process.exit(1)
            return
        pipe = asyncio.subprocess.PIPE
        git = await asyncio.create_subprocess_exec(*words, stdin=pipe, stdout=pipe, stderr=pipe)
        try:
            feeding = asyncio.create_task(_pump(process.stdin, git.stdin))
            await asyncio.gather(_pump(git.stdout, process.stdout), _pump(git.stderr, process.stderr))
            feeding.cancel()
            await asyncio.gather(feeding, return_exceptions=True)
            process.exit(await git.wait())
        finally:
            if git.returncode is None:
                git.kill()


async def _pump(reader: Any, writer: Any) -> None:
    """Pass bytes on until there are no more, or nobody takes them."""
    with suppress(OSError, asyncssh.Error):
        while data := await reader.read(65536):
            writer.write(data)
            await writer.drain()
        writer.write_eof()


class Cutter(_Threaded):
    """A TCP relay in front of a server that cuts connections: after so many bytes from the client, or when told."""

    def __init__(self, port: int, cut_after: Callable[[int], int | None]) -> None:
        self._target = port
        self._cut_after = cut_after
        self.connections = 0
        super().__init__()

    async def _listen(self) -> asyncio.Server:
        return await asyncio.start_server(self._relay, "127.0.0.1", 0)

    def _port(self) -> int:
        return int(self._acceptor.sockets[0].getsockname()[1])

    async def _relay(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Relay one connection; ``cut_after(number)`` says after how many bytes it ends, None: never."""
        limit = self._cut_after(self.connections)
        self.connections += 1
        there_reader, there_writer = await asyncio.open_connection("127.0.0.1", self._target)
        back = asyncio.create_task(self._pump(there_reader, writer, None))
        try:
            await self._pump(reader, there_writer, limit)
        finally:
            back.cancel()
            for end in (writer, there_writer):
                end.transport.abort()

    async def _pump(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, limit: int | None) -> None:
        passed = 0
        while data := await reader.read(65536):
            passed += len(data)
            if limit is not None and passed > limit:
                return
            writer.write(data)
            await writer.drain()
