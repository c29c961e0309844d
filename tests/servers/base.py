"""A throwaway FTP server: started on a free loopback port, with its own folder and log, stopped by its fixture."""

import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from abc import ABC, abstractmethod
from contextlib import suppress
from pathlib import Path
from typing import Any, Self

from ftp_deploy.transports.base import Target
from tests.servers.certificates import Certificates
from tests.servers.ports import free_port

DEADLINE = 90.0
NOBODY = 65534


class FTPServer(ABC):
    """One server. ``folder`` is what a client sees as ``path``; ``log_text`` is what the server wrote down.

    ``tls`` is one of "" (clear text), "explicit" or "implicit". ``options`` are the server's own, by subclass.
    """

    username = "deploy"
    password = "s3cret-word"
    path = "/"
    supports_chmod = True
    needs_root = True

    def __init__(
        self, tls: str = "", *, host: str = "127.0.0.1", certificates: Certificates | None = None, **options: Any
    ) -> None:
        self.tls = tls
        self.host = host
        self.certificates = certificates
        self.options = options
        self.port = free_port(host)
        self.base = Path(tempfile.mkdtemp(prefix="ftp-server-"))
        self.base.chmod(0o755)
        self.chroot = self.base / "root"
        self.folder = self.chroot / self.path.lstrip("/")
        self.folder.mkdir(parents=True)
        self.folder.chmod(0o777)
        self.log = self.base / "server.log"
        self.log.touch()

    @abstractmethod
    def start(self) -> None:
        """Start serving; returns once the server answers."""

    @abstractmethod
    def kill(self) -> None:
        """End the server at once, with all its sessions; its folder stays. ``start`` may follow."""

    def stop(self) -> None:
        """End the server and remove its folder."""
        self.kill()
        shutil.rmtree(self.base, ignore_errors=True)

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def target(self, **changes: Any) -> Target:
        """Return a target for this server's root, with some fields changed."""
        values: dict[str, Any] = {
            "protocol": {"": "ftp", "explicit": "ftps", "implicit": "ftps-implicit"}[self.tls],
            "host": self.host,
            "port": self.port,
            "username": self.username,
            "password": self.password,
            "path": self.path,
            "allow_private_addresses": True,
            "max_connections": 4,
            "connect_timeout": 20.0,
            "reply_timeout": 30.0,
        }
        if self.tls and self.certificates:
            values["certificate_authority"] = self.certificates.authority_pem
        return Target(**{**values, **changes})

    def read(self, path: str) -> bytes | None:
        """Return a file's content as it lies on the server, or None."""
        place = self.folder / path
        return place.read_bytes() if place.is_file() else None

    def write(self, path: str, content: bytes) -> None:
        """Put a file on the server behind its back."""
        place = self.folder / path
        if "/" in path:
            self.make_folder(path.rpartition("/")[0])
        place.write_bytes(content)
        own(place)

    def make_folder(self, path: str) -> None:
        """Make a directory on the server behind its back."""
        for part in [*reversed((Path(path) / "x").parents)][1:]:
            (self.folder / part).mkdir(exist_ok=True)
            own(self.folder / part)

    def files(self) -> set[str]:
        """Return the paths of all files below the root."""
        return {str(p.relative_to(self.folder)) for p in self.folder.rglob("*") if p.is_file()}

    def folders(self) -> set[str]:
        """Return the paths of all directories below the root."""
        return {str(p.relative_to(self.folder)) for p in self.folder.rglob("*") if p.is_dir()}

    def log_text(self) -> str:
        """Return what the server logged so far."""
        return self.log.read_text(errors="replace")


def own(place: Path) -> None:
    """Let the user that the server runs as change a file or directory."""
    place.chmod(0o777 if place.is_dir() else 0o666)


class ProcessServer(FTPServer):
    """A server that is a process of its own."""

    process: subprocess.Popen[bytes] | None = None
    _ran = False

    @abstractmethod
    def command(self) -> list[str]:
        """Write the configuration and return the command line; called for each start."""

    def start(self) -> None:
        for _ in range(5):
            output = (self.base / "output.log").open("ab")
            with output:
                self.process = subprocess.Popen(self.command(), stdout=output, stderr=output, cwd=self.base)
            if self._answers():
                self._ran = True
                return
            self.kill()
            if not self._ran:  # one that comes back has to come back where it was
                self.port = free_port(self.host)
        raise RuntimeError(f"{type(self).__name__} did not start: {(self.base / 'output.log').read_text()[-2000:]}")

    def _answers(self) -> bool:
        assert self.process
        deadline = time.monotonic() + DEADLINE
        while time.monotonic() < deadline and self.process.poll() is None:
            try:
                with socket.create_connection((self.host, self.port), timeout=5) as probe:
                    if self.tls == "implicit" or probe.recv(64).startswith(b"220"):
                        return True
            except OSError:
                time.sleep(0.02)
        return False

    def kill(self) -> None:
        if self.process is None:
            return
        with suppress(ProcessLookupError):
            os.kill(self.process.pid, signal.SIGSTOP)  # so that it starts no session that is not seen
        for child in self.processes():
            kill(child)
        self.process.wait(timeout=DEADLINE)
        self.process = None

    def processes(self) -> list[int]:
        """Return the ids of the server and of all the session processes it started, the server first."""
        assert self.process
        family = [self.process.pid]
        for parent in family:
            family.extend(children(parent))
        return family


def children(parent: int) -> list[int]:
    """Return the ids of the direct children of a process."""
    found = []
    for entry in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = entry.read_text().rpartition(")")[2].split()
        except OSError:
            continue
        if int(fields[1]) == parent:
            found.append(int(entry.parent.name))
    return found


def kill(pid: int) -> None:
    """Kill one process; one that is gone already is fine."""
    try:
        os.kill(pid, signal.SIGKILL)
    except ProcessLookupError:
        return
