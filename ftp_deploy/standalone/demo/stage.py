"""What the demo stands on: a folder, free ports, and the processes forge, FTP server, web and worker."""

import secrets
import socket
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

from ftp_deploy.standalone.processes import Child, ftp_deploy_command

LOOPBACK = "127.0.0.1"
START_SECONDS = 90.0
COPY_SECONDS = 1800.0
"""A large repository over a slow line takes its time."""
USER = "demo"
SITE_FOLDER = "www"
SITE_PATH = f"/{SITE_FOLDER}"
REPOSITORY = f"{USER}/site"


class DemoFailed(Exception):
    """A step of the demo did not come out as it must; the message says what was expected and what was found."""


def free_ports(count: int) -> list[int]:
    """Return ports of the loopback interface that are free now."""
    sockets = [socket.create_server((LOOPBACK, 0)) for _ in range(count)]
    ports = [int(each.getsockname()[1]) for each in sockets]
    for each in sockets:
        each.close()
    return ports


def wait_until(true: Callable[[], bool], seconds: float, what: str) -> None:
    """Ask ``true`` ten times a second until it is; raise ``DemoFailed`` after ``seconds``."""
    deadline = time.monotonic() + seconds
    while not true():
        if time.monotonic() > deadline:
            raise DemoFailed(f"{what}: not within {seconds:.0f} s")
        time.sleep(0.1)


@dataclass
class Stage:
    """The folder, the addresses and the processes of one demo. A context manager: leaving it stops every process."""

    folder: Path
    ftp_password: str = field(default_factory=lambda: secrets.token_urlsafe(9), repr=False)
    admin_password: str = field(default_factory=lambda: secrets.token_urlsafe(9), repr=False)
    repository_source: str = ""
    """A path or an address whose repository the forge copies; empty: the sample site."""
    ftp_speed: int = 0
    """Bytes a second that the FTP server takes on each connection, so that one can watch; 0: as fast as it goes."""
    token: str = field(default_factory=lambda: secrets.token_urlsafe(16), repr=False)
    children: list[Child] = field(default_factory=list, init=False)

    def __post_init__(self) -> None:
        self.folder = self.folder.absolute()
        for part in (self.server_root / SITE_FOLDER, self.data_folder, self.repositories, self.logs):
            part.mkdir(parents=True, exist_ok=True)
        self.change_ftp_password(self.ftp_password)

    @cached_property
    def ports(self) -> dict[str, int]:
        """The ports of this demo by what listens there."""
        names = ("web", "forge", "ftp", "site")
        return dict(zip(names, free_ports(len(names)), strict=True))

    @property
    def server_root(self) -> Path:
        """What the FTP server shows as ``/``."""
        return self.folder / "ftp-server"

    @property
    def data_folder(self) -> Path:
        """The data folder of the app."""
        return self.folder / "data"

    @property
    def repositories(self) -> Path:
        """The forge's repositories."""
        return self.folder / "forge"

    @property
    def bare_repository(self) -> Path:
        """The forge's one repository: the truth that the server is compared with."""
        return next(self.repositories.glob("*.git"))

    @property
    def branch(self) -> str:
        """The branch that the repository's HEAD names."""
        return (self.bare_repository / "HEAD").read_text(encoding="ascii").strip().removeprefix("ref: refs/heads/")

    @property
    def remote(self) -> str:
        """The repository's address with the login in it, as ``git clone`` takes it."""
        return self.url("forge").replace("://", f"://{USER}:{self.token}@") + f"/{REPOSITORY}.git"

    @property
    def work(self) -> Path:
        """Somebody's clone, in which changes are committed and from which they are pushed."""
        return self.folder / "clone"

    @property
    def logs(self) -> Path:
        """The output of each process."""
        return self.folder / "logs"

    @property
    def password_file(self) -> Path:
        """Where the FTP server reads its password."""
        return self.folder / "ftp-password"

    def url(self, name: str) -> str:
        """Return the address of the web app, the forge, or the site."""
        return f"http://{LOOPBACK}:{self.ports[name]}"

    def change_ftp_password(self, password: str) -> None:
        """Change the password on the FTP server; the service still has the old one."""
        self.password_file.touch(mode=0o600)
        self.password_file.write_text(password, encoding="utf-8")
        self.ftp_password = password

    @property
    def environment(self) -> dict[str, str]:
        """The settings of the app, for this process and for web and worker."""
        return {
            "DATA_FOLDER": str(self.data_folder),
            "BASE_URL": self.url("web"),
            "GITHUB_URL": self.url("forge"),
            "GITHUB_USERNAME": USER,
            "GITHUB_TOKEN": self.token,
            "FTP_DEPLOY_ALLOW_PRIVATE_ADDRESSES": "true",
            "FTP_DEPLOY_RECONCILE_SECONDS": "0",
            "EMAIL_URL": "consolemail://",
        }

    def start_servers(self) -> None:
        """Start the forge and the FTP server and wait until both answer."""
        self._start("forge", self._module("forge_server"))
        self._start("ftp-server", self._module("ftp_server"))
        self._wait_for_port("ftp")
        wait_until(self._forge_answers, COPY_SECONDS, "the forge answers")
        self._wait_for_port("site")

    def start_app(self) -> None:
        """Start the web server and the worker and wait until both do their work."""
        host = ("--host", LOOPBACK, "--port", str(self.ports["web"]))
        self._start("web", ftp_deploy_command("web", *host))
        self._start("worker", ftp_deploy_command("worker", "--concurrency", "2"))
        self._wait_for_port("web")
        wait_until(self._ready, START_SECONDS, "the web app and its worker are ready")

    def _module(self, name: str) -> list[str]:
        arguments = {
            "forge_server": [str(self.repositories), str(self.ports["forge"]), USER, self.repository_source],
            "ftp_server": [
                str(self.server_root),
                str(self.ports["ftp"]),
                str(self.ports["site"]),
                USER,
                str(self.password_file),
                str(self.ftp_speed),
            ],
        }
        return [sys.executable, "-m", f"ftp_deploy.standalone.demo.{name}", *arguments[name]]

    def _start(self, name: str, command: list[str]) -> None:
        child = Child(name, command, self.environment, self.logs / f"{name}.log")
        self.children.append(child)
        child.start()

    def _wait_for_port(self, name: str) -> None:
        def answers() -> bool:
            self.check_processes()
            with suppress(OSError), socket.create_connection((LOOPBACK, self.ports[name]), 1):
                return True
            return False

        wait_until(answers, START_SECONDS, f"{name} answers")

    def _forge_answers(self) -> bool:
        """It listens at once, and answers when it has its repository."""
        self.check_processes()
        try:
            urllib.request.urlopen(self.url("forge") + "/api/v3/user", timeout=10).close()  # noqa: S310
        except urllib.error.HTTPError as answer:
            answer.close()
        except OSError:
            return False
        return True

    def _ready(self) -> bool:
        self.check_processes()
        try:
            with urllib.request.urlopen(self.url("web") + "/readyz", timeout=10) as answer:  # noqa: S310
                return bool(answer.status == 200)
        except urllib.error.HTTPError as answer:
            answer.close()
            return False
        except OSError:
            return False

    def check_processes(self) -> None:
        """Raise ``DemoFailed`` with the last lines of its log where a process has ended."""
        for child in self.children:
            if not child.running:
                log = (self.logs / f"{child.name}.log").read_text(encoding="utf-8", errors="replace")
                raise DemoFailed(f"{child.name} ended ({child.code}):\n{log[-2000:]}")

    def stop(self) -> None:
        """Stop every process."""
        for child in reversed(self.children):
            child.ask_to_stop()
        for child in reversed(self.children):
            child.stop(20)
        self.children.clear()

    def __enter__(self) -> "Stage":
        return self

    def __exit__(self, *exception: object) -> None:
        self.stop()
