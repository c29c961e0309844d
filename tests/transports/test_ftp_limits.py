"""Servers that let few connections in, or close those that wait: the work goes on over what is left."""

import fcntl
import resource
import socket
import time
from typing import Any

import pytest

from ftp_deploy.exceptions import LoginRefused, TooManyConnections
from ftp_deploy.transports import crew, open_transport
from ftp_deploy.transports.base import Traits
from ftp_deploy.transports.ftp_control import Control
from tests.servers.base import FTPServer, kill
from tests.servers.fixtures import SERVERS, StartServer
from tests.transports.contract import contents, directories, done, finish, make_upload, unguarded
from tests.transports.scripted import count

pytestmark = pytest.mark.integration

LIMITS: dict[str, dict[str, Any]] = {
    "pyftpdlib": {"max_per_ip": 2},
    "vsftpd": {"max_per_ip": 2},
    "proftpd": {"max_per_host": 2},
    "pure-ftpd": {"max_per_ip": 2},
}


@pytest.fixture(autouse=True)
def short_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(crew, "FIRST_PAUSE", 0.01)


class TestLimits:
    @pytest.mark.parametrize("name", list(SERVERS))
    def test_a_refused_connection_fails_nothing(self, start_server: StartServer, name: str) -> None:
        server = start_server(name, **LIMITS[name])
        tree = contents(40)
        with open_transport(server.target(max_connections=8)) as transport:
            transport.make_directories(directories(tree))
            sent = done(transport.upload([make_upload(path, content) for path, content in tree.items()]))
            assert sorted(sent) == sorted(tree)
            assert transport.traits.connection_ceiling in (1, 2)
            target = server.target(max_connections=8, traits=transport.traits)
        assert {path: server.read(path) for path in tree} == tree
        with open_transport(target) as transport:
            finish(transport.delete(list(tree), unguarded))
        assert server.files() == set()

    @pytest.mark.parametrize("name", list(SERVERS))
    def test_a_wrong_password_is_tried_twice_at_most(self, start_server: StartServer, name: str) -> None:
        server = start_server(name)
        with pytest.raises(LoginRefused, match="530") as caught:
            open_transport(server.target(password="wrong-canary")).connect()
        assert "canary" not in str(caught.value) + repr(caught.value.__dict__)
        if name == "pyftpdlib":
            assert count(server, "PASS") <= 2

    @pytest.mark.parametrize("name", list(SERVERS))
    def test_a_wrong_password_goes_out_over_one_connection(self, start_server: StartServer, name: str) -> None:
        """However many connections are opened ahead: they wait until the first one is logged in."""
        server = start_server(name)
        transport = open_transport(server.target(password="wrong-canary"))
        transport.expect(500)
        with pytest.raises(LoginRefused, match="530"):
            transport.connect()
        if name == "pyftpdlib":
            assert count(server, "PASS") <= 2

    @pytest.mark.parametrize("name", list(SERVERS))
    def test_connections_opened_ahead_may_be_refused(self, start_server: StartServer, name: str) -> None:
        server = start_server(name, **LIMITS[name])
        tree = contents(40)
        transport = open_transport(server.target(max_connections=8))
        transport.expect(len(tree))
        with transport:
            transport.make_directories(directories(tree))
            sent = done(transport.upload([make_upload(path, content) for path, content in tree.items()]))
            assert sorted(sent) == sorted(tree)
            assert transport.traits.connection_ceiling in (1, 2)
        assert {path: server.read(path) for path in tree} == tree

    def test_a_server_that_is_full(self, start_server: StartServer) -> None:
        server = start_server("pyftpdlib", max_per_ip=1)
        with (
            open_transport(server.target()),
            pytest.raises(TooManyConnections, match="421"),
        ):
            open_transport(server.target()).connect()

    def test_a_ceiling_that_was_lifted_is_forgotten(self, pyftpd_server: FTPServer) -> None:
        target = pyftpd_server.target(max_connections=3, traits=Traits(connection_ceiling=2))
        with open_transport(target) as transport:
            finish(transport.upload([make_upload(f"{n}", bytes(400_000)) for n in range(40)]))
            assert transport.traits.connection_ceiling is None

    def test_connections_that_were_closed_while_idle(self, start_server: StartServer) -> None:
        server = start_server("vsftpd")
        with open_transport(server.target()) as transport:
            finish(transport.upload([make_upload(f"{n}", b"x") for n in range(30)]))
            for pid in server.processes()[1:]:  # type: ignore[attr-defined]
                kill(pid)
            deadline = time.monotonic() + 10
            while len(server.processes()) > 1 and time.monotonic() < deadline:  # type: ignore[attr-defined]
                time.sleep(0.05)
            steps = finish(transport.delete([f"{n}" for n in range(30)], unguarded))
            assert not any(step.message for step in steps)
        assert server.files() == set()

    def test_more_connections_than_the_work_needs_are_not_opened(self, pyftpd_server: FTPServer) -> None:
        with open_transport(pyftpd_server.target(max_connections=16)) as transport:
            finish(transport.upload([make_upload(f"{n}", b"x") for n in range(3)]))
        assert count(pyftpd_server, "USER") <= 3


def test_a_waiting_connection_is_looked_at_whatever_its_number() -> None:
    """A worker with fifty deploys holds more than 1,024 sockets; select(2) takes none of the later ones."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    high = 1100
    if hard != resource.RLIM_INFINITY and hard <= high:
        pytest.skip("this user may not open so many files")
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, high + 100), hard))
    ours, theirs = socket.socketpair()
    try:
        control = Control.__new__(Control)
        with ours, theirs, socket.socket(fileno=fcntl.fcntl(ours, fcntl.F_DUPFD_CLOEXEC, high)) as control.connection:
            assert control.connection.fileno() >= high
            assert not control.is_stale()
            theirs.sendall(b"421 Good night.\r\n")
            assert control.is_stale()
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
