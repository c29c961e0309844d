"""A real OpenSSH server on loopback with its own host key, and an SFTP server of asyncssh for logins by password."""

import asyncio
import os
import socket
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import asyncssh

from tests.servers.binaries import need

START_SECONDS = 30.0

CONFIG = """
Port {port}
ListenAddress {host}
HostKey {host_key}
PidFile none
AuthorizedKeysFile {authorized}
PubkeyAuthentication yes
PasswordAuthentication no
KbdInteractiveAuthentication no
PermitRootLogin yes
StrictModes no
UsePAM no
LogLevel VERBOSE
Subsystem sftp internal-sftp -l VERBOSE
{extra}
"""


@dataclass
class SSHServer:
    """One running server. ``fingerprint`` is that of its host key."""

    host: str
    port: int
    folder: Path
    username: str
    private_key: str = field(repr=False)
    fingerprint: str
    process: subprocess.Popen[bytes] = field(repr=False)

    @property
    def log(self) -> str:
        """Everything the server has logged so far."""
        return (self.folder / "sshd.log").read_text(errors="replace")


def free_port(host: str = "127.0.0.1") -> int:
    with socket.create_server((host, 0)) as probe:
        return int(probe.getsockname()[1])


def wait_for_banner(host: str, port: int, process: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline:
        if process.poll() is not None:
            raise RuntimeError(f"sshd ended: {log.read_text(errors='replace')}")
        try:
            with socket.create_connection((host, port), 1) as connection:
                connection.settimeout(5)
                if connection.recv(4) == b"SSH-":
                    return
        except OSError:
            time.sleep(0.05)
    raise RuntimeError(f"sshd did not start: {log.read_text(errors='replace')}")


@contextmanager
def openssh(
    folder: Path, *, host: str = "127.0.0.1", extra: str = "", host_key: asyncssh.SSHKey | None = None, port: int = 0
) -> Iterator[SSHServer]:
    """Run sshd in ``folder``, with a user key of its own."""
    binary = need("sshd", "openssh-server")
    folder.mkdir(exist_ok=True)
    Path("/run/sshd").mkdir(exist_ok=True)
    key = host_key or asyncssh.generate_private_key("ssh-ed25519")
    user_key = asyncssh.generate_private_key("ssh-ed25519")
    key.write_private_key(folder / "host_key")
    (folder / "host_key").chmod(0o600)
    (folder / "authorized").write_bytes(user_key.export_public_key())
    port = port or free_port(host)
    (folder / "sshd_config").write_text(
        CONFIG.format(
            port=port, host=host, host_key=folder / "host_key", authorized=folder / "authorized", extra=extra
        )
    )
    log = folder / "sshd.log"
    process = subprocess.Popen([str(binary), "-D", "-E", str(log), "-f", str(folder / "sshd_config")])
    try:
        wait_for_banner(host, port, process, log)
        yield SSHServer(
            host, port, folder, current_user(), user_key.export_private_key().decode(), key.get_fingerprint(), process
        )
    finally:
        end_with_sessions(process)


def current_user() -> str:
    import pwd

    return pwd.getpwuid(os.getuid()).pw_name


def children_of(pid: int) -> list[int]:
    found = []
    for status in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = status.read_text().rpartition(")")[2].split()
        except OSError:
            continue
        if int(fields[1]) == pid:
            found.append(int(status.parent.name))
    return found


def end_with_sessions(process: subprocess.Popen[bytes]) -> None:
    """End the server and the processes of its sessions, which would go on without it."""
    family, new = [process.pid], [process.pid]
    while new:
        new = [child for pid in new for child in children_of(pid)]
        family.extend(new)
    for pid in family[1:]:
        try:
            os.kill(pid, 9)
        except ProcessLookupError:
            continue
    process.terminate()
    process.wait(10)


class PasswordLogin(asyncssh.SSHServer):
    """Lets one user in by password and counts the tries."""

    tries: list[tuple[str, str]] = []
    users = {"web": "päss wörd"}

    def begin_auth(self, username: str) -> bool:
        return True

    def password_auth_supported(self) -> bool:
        return True

    def validate_password(self, username: str, password: str) -> bool:
        self.tries.append((username, password))
        return self.users.get(username) == password


@dataclass
class ThreadedServer:
    """An asyncssh server in a thread."""

    port: int
    fingerprint: str
    root: Path
    tries: list[tuple[str, str]]
    host: str = "127.0.0.1"


@contextmanager
def asyncssh_server(root: Path, sftp: type[asyncssh.SFTPServer] = asyncssh.SFTPServer) -> Iterator[ThreadedServer]:
    """Run an asyncssh SFTP server with ``root`` as its whole file system, for the user ``web``."""
    host_key = asyncssh.generate_private_key("ssh-ed25519")
    loop = asyncio.new_event_loop()
    tries: list[tuple[str, str]] = []

    class Login(PasswordLogin):
        pass

    Login.tries = tries

    async def start() -> asyncssh.SSHAcceptor:
        return await asyncssh.listen(
            "127.0.0.1",
            0,
            server_factory=Login,
            server_host_keys=[host_key],
            sftp_factory=lambda channel: sftp(channel, chroot=os.fsencode(root)),
        )

    async def stop(acceptor: asyncssh.SSHAcceptor) -> None:
        acceptor.close()
        await acceptor.wait_closed()
        rest = [task for task in asyncio.all_tasks() if task is not asyncio.current_task()]
        for task in rest:
            task.cancel()
        await asyncio.gather(*rest, return_exceptions=True)
        await asyncio.sleep(0)

    thread = threading.Thread(target=loop.run_forever, daemon=True)
    thread.start()
    acceptor = asyncio.run_coroutine_threadsafe(start(), loop).result(START_SECONDS)
    try:
        yield ThreadedServer(acceptor.get_port(), host_key.get_fingerprint(), root, tries)
    finally:
        asyncio.run_coroutine_threadsafe(stop(acceptor), loop).result(START_SECONDS)
        loop.call_soon_threadsafe(loop.stop)
        thread.join(10)
        loop.close()
