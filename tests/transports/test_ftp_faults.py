"""Servers that refuse, stall, lie and break: a clear error in bounded time, or the work goes on; nothing is lost.

Over 400 lines: one list of faults, each a few lines on the same servers.
"""

import fcntl
import os
import resource
import socket
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from ftp_deploy.exceptions import (
    ConnectionFailed,
    LoginRefused,
    PermissionRefused,
    StorageFull,
    TooManyConnections,
    TransportError,
    VerificationFailed,
)
from ftp_deploy.transports import crew, open_transport
from ftp_deploy.transports.base import Rename, Target, Traits
from ftp_deploy.transports.ftp_control import Control
from tests.servers.base import FTPServer, kill
from tests.servers.fixtures import SERVERS, StartServer
from tests.servers.pyftpd import RecordingHandler
from tests.transports.contract import contents, directories, done, finish, make_upload, unguarded

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


class Scripted(RecordingHandler):
    """Answers some commands from a script: each reply once; the last one for ever if it is followed by "..."."""

    script: dict[str, list[str]] = {}

    def process_command(self, cmd: str, *arguments: Any, **details: Any) -> None:
        replies = self.script.get(cmd)
        if not replies:
            super().process_command(cmd, *arguments, **details)
            return
        reply = replies[0]
        if replies[1:] != ["..."]:
            replies.pop(0)
        if reply == "hang up":
            self.close()
        elif reply != "say nothing":
            self.respond(reply)


def scripted(start_server: StartServer, **attributes: Any) -> FTPServer:
    return start_server("pyftpdlib", handler=Scripted, attributes=attributes)


def count(server: FTPServer, command: str) -> int:
    return sum(line.split(" ")[0] == command for line in server.log_text().splitlines())


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


class TestReplies:
    @pytest.mark.parametrize("reply", ["425 no", "426 cut", "450 busy", "451 oops", "421 bye", "hang up"])
    def test_a_transient_refusal_is_tried_again(self, start_server: StartServer, reply: str) -> None:
        server = scripted(start_server, script={"STOR": [reply]})
        with open_transport(server.target()) as transport:
            steps = finish(transport.upload([make_upload("page.html", b"new")]))
        assert done(steps) == ["page.html"]
        assert any("page.html" in step.message for step in steps)
        assert server.read("page.html") == b"new"

    @pytest.mark.parametrize("reply", ["452 no space", "552 quota"])
    def test_a_full_disk_stops_at_once(self, start_server: StartServer, reply: str) -> None:
        server = scripted(start_server, script={"STOR": [reply, "..."]})
        server.write("page.html", b"old")
        with open_transport(server.target(max_connections=1)) as transport:
            with pytest.raises(StorageFull, match="page.html.*" + reply) as caught:
                finish(transport.upload([make_upload(".tmp-page.html", b"new" * 100)]))
            assert caught.value.advice
        assert count(server, "STOR") == 1
        assert server.files() == {"page.html"}

    @pytest.mark.parametrize("reply", ["550 no", "553 no"])
    def test_a_permanent_refusal_is_believed_when_repeated(self, start_server: StartServer, reply: str) -> None:
        server = scripted(start_server, script={"STOR": [reply, "..."]})
        with open_transport(server.target()) as transport:
            with pytest.raises(PermissionRefused, match="a/page.html.*" + reply) as caught:
                finish(transport.upload([make_upload("a/page.html", b"x")]))
            assert (caught.value.path, caught.value.code) == ("a/page.html", int(reply[:3]))
        assert count(server, "STOR") == 2

    def test_a_misread_refusal_is_healed(self, start_server: StartServer) -> None:
        server = scripted(start_server, script={"RNFR": ["550 what?"], "DELE": ["500 what?"], "MKD": ["500 what?"]})
        for name in ("a", "b", "c"):
            server.write(f".{name}", name.encode())
        with open_transport(server.target()) as transport:
            transport.make_directories(["x", "x/y"])
            renames = [Rename(f".{name}", name) for name in ("a", "b", "c")]
            assert sorted(done(transport.rename(renames, unguarded))) == ["a", "b", "c"]
            assert done(transport.delete(["c"], unguarded)) == ["c"]
        assert {name: server.read(name) for name in ("a", "b", "c")} == {"a": b"a", "b": b"b", "c": None}

    def test_a_wrong_size_is_noticed(self, start_server: StartServer) -> None:
        server = scripted(start_server, script={"SIZE": ["213 2", "213 3"]})
        with open_transport(server.target()) as transport:
            assert done(transport.upload([make_upload("page.html", b"new")])) == ["page.html"]
        assert count(server, "STOR") == 2
        server = scripted(start_server, script={"SIZE": ["213 2", "..."]})
        with (
            open_transport(server.target()) as transport,
            pytest.raises(VerificationFailed, match=r"page\.html has 3 bytes"),
        ):
            finish(transport.upload([make_upload("page.html", b"new")]))

    def test_a_server_without_size_and_machine_listing(self, start_server: StartServer) -> None:
        server = scripted(start_server, script={"SIZE": ["502 no", "..."], "MLSD": ["500 no", "..."]})
        server.write("a/page.html", b"12345")
        with open_transport(server.target()) as transport:
            assert done(transport.upload([make_upload("new.html", b"new")])) == ["new.html"]
            assert transport.sizes(["a/page.html", "b/none"]) == {"a/page.html": 5, "b/none": None}
            assert {one.path for one in transport.walk()} == {"a", "a/page.html", "new.html"}
            assert transport.traits.machine_listing is False

    def test_a_lost_reply_of_a_rename(self, start_server: StartServer) -> None:
        """The rename was done, then the connection was cut: that is no reason to fail."""

        class Cutting(RecordingHandler):
            cut = [True]

            def ftp_RNTO(self, path: str) -> None:  # noqa: N802
                super().ftp_RNTO(path)
                if self.cut:
                    self.cut.clear()
                    self.close()

        server = start_server("pyftpdlib", handler=Cutting)
        server.write(".page", b"new")
        server.write("page.html", b"old")
        with open_transport(server.target()) as transport:
            assert done(transport.rename([Rename(".page", "page.html")], unguarded)) == ["page.html"]
        assert server.read("page.html") == b"new"


class TestRenameOverNothing:
    class Refusing(RecordingHandler):
        """As some Windows servers: no rename over an existing file."""

        def ftp_RNTO(self, path: str) -> None:  # noqa: N802
            if os.path.exists(path):
                self.respond("550 File already exists.")
                self._rnfr = None
                return
            super().ftp_RNTO(path)

    def test_it_is_learnt_once(self, start_server: StartServer) -> None:
        server = start_server("pyftpdlib", handler=self.Refusing)
        names = [f"{number}.html" for number in range(40)]
        for name in names:
            server.write(name, b"old")
            server.write(f".{name}", name.encode())
        with open_transport(server.target()) as transport:
            steps = transport.rename([Rename(f".{name}", name) for name in names], unguarded)
            assert sorted(done(steps)) == sorted(names)
            assert transport.traits.rename_over is False
        assert {name: server.read(name) for name in names} == {name: name.encode() for name in names}
        assert server.files() == set(names)

    def test_the_probe_learns_it(self, start_server: StartServer) -> None:
        server = start_server("pyftpdlib", handler=self.Refusing)
        with open_transport(server.target()) as transport:
            assert transport.probe().rename_over is False
        assert server.files() == set()

    def test_nothing_is_deleted_for_a_missing_successor(self, start_server: StartServer) -> None:
        server = start_server("pyftpdlib", handler=self.Refusing)
        server.write("page.html", b"old")
        with open_transport(server.target()) as transport:
            transport.server.learn(rename_over=False)  # type: ignore[attr-defined]
            with pytest.raises(PermissionRefused):
                finish(transport.rename([Rename(".gone", "page.html")], unguarded))
        assert server.read("page.html") == b"old"

    def test_a_refusal_for_another_reason_loses_nothing(self, start_server: StartServer) -> None:
        server = scripted(start_server, script={"RNTO": ["553 no", "..."]})
        server.write("page.html", b"old")
        server.write(".page", b"new")
        with open_transport(server.target()) as transport, pytest.raises(PermissionRefused, match="553"):
            finish(transport.rename([Rename(".page", "page.html")], unguarded))
        assert server.read("page.html") == b"old"
        assert server.read(".page") == b"new"


class TestDataConnections:
    def test_the_host_that_pasv_names_is_ignored(self, start_server: StartServer) -> None:
        server = start_server(
            "pyftpdlib",
            handler=Scripted,
            attributes={"script": {"EPSV": ["502 no", "..."]}, "masquerade_address": "169.254.169.254"},
        )
        with open_transport(server.target()) as transport:
            assert done(transport.upload([make_upload("page.html", b"new")])) == ["page.html"]
            assert transport.traits.epsv is False
        assert count(server, "PASV") >= 1
        assert server.read("page.html") == b"new"

    def test_epsv_that_leads_nowhere_gives_way_to_pasv(self, start_server: StartServer) -> None:
        with socket.socket() as unused:
            unused.bind(("127.0.0.1", 0))
            dead = f"229 Entering Extended Passive Mode (|||{unused.getsockname()[1]}|)"
            server = scripted(start_server, script={"EPSV": [dead, "..."]})
            with open_transport(server.target(reply_timeout=5)) as transport:
                assert done(transport.upload([make_upload("page.html", b"new")])) == ["page.html"]
                assert transport.traits.epsv is False

    def test_epsv_that_is_never_answered(self, start_server: StartServer) -> None:
        server = scripted(start_server, script={"EPSV": ["say nothing", "..."]})
        with open_transport(server.target(reply_timeout=1.0)) as transport:
            assert done(transport.upload([make_upload("page.html", b"new")])) == ["page.html"]
            assert transport.traits.epsv is False

    @pytest.mark.parametrize("reply", ["229 what", "229 (|||0|)", "227 (1,2,3)", "229 (|||99999|)"])
    def test_no_port_named(self, start_server: StartServer, reply: str) -> None:
        server = scripted(start_server, script={"EPSV": [reply, "..."], "PASV": [reply, "..."]})
        with open_transport(server.target()) as transport, pytest.raises(TransportError, match="data port"):
            finish(transport.upload([make_upload("page.html", b"new")]))


class RawServer:
    """Says what it is told to every connection, and nothing else."""

    def __init__(self, talk: Callable[[socket.socket], None]) -> None:
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        self.talk = talk
        self.stopping = threading.Event()
        self.threads = [threading.Thread(target=self._accept)]
        self.threads[0].start()

    def _accept(self) -> None:
        self.listener.settimeout(0.05)
        while not self.stopping.is_set():
            try:
                connection, _ = self.listener.accept()
            except TimeoutError:
                continue
            thread = threading.Thread(target=self._talk, args=(connection,))
            self.threads.append(thread)
            thread.start()

    def _talk(self, connection: socket.socket) -> None:
        with connection:
            connection.settimeout(10)
            try:
                self.talk(connection)
            except OSError:
                return

    def stop(self) -> None:
        self.stopping.set()
        for thread in self.threads:
            thread.join(15)
        self.listener.close()

    def target(self, **changes: Any) -> Target:
        values = {"protocol": "ftp", "host": "127.0.0.1", "username": "u", "path": "/", "port": self.port}
        limits = {"allow_private_addresses": True, "connect_timeout": 2.0, "reply_timeout": 0.5}
        return Target(**{**values, **limits, **changes})


@pytest.fixture
def raw() -> Iterator[Callable[[Callable[[socket.socket], None]], RawServer]]:
    running: list[RawServer] = []

    def start(talk: Callable[[socket.socket], None]) -> RawServer:
        running.append(RawServer(talk))
        return running[-1]

    yield start
    for server in running:
        server.stop()


def say(*texts: bytes) -> Callable[[socket.socket], None]:
    def talk(connection: socket.socket) -> None:
        for text in texts:
            connection.sendall(text)
        connection.recv(1000)

    return talk


def drip(connection: socket.socket) -> None:
    connection.sendall(b"220-")
    deadline = time.monotonic() + 8
    while time.monotonic() < deadline:
        connection.sendall(b"x")
        time.sleep(0.1)


@pytest.mark.parametrize(
    ("talk", "words"),
    [
        pytest.param(say(b"HTTP/1.1 400 Bad Request\r\n\r\n"), "does not speak FTP", id="http"),
        pytest.param(say(b"SSH-2.0-OpenSSH_9.2\r\n"), "does not speak FTP", id="ssh"),
        pytest.param(say(bytes(range(256)) * 40 + b"\n"), "does not speak FTP", id="binary"),
        pytest.param(say(b"220 " + b"x" * 10_000_000), "does not speak FTP", id="ten megabytes in a line"),
        pytest.param(say(b"220-hello\r\n" * 100_000), "without end", id="a reply without end"),
        pytest.param(say(), "did not answer", id="silence"),
        pytest.param(drip, "did not answer", id="a letter now and then"),
        pytest.param(lambda connection: None, "closed the connection", id="hangs up"),
        pytest.param(say(b"500 go away\r\n"), "turned us away: 500 go away", id="turned away"),
        pytest.param(say(b"220 hi\r\n", b"230 in\r\n", b"999 x\r\n"), "does not speak FTP", id="no such code"),
    ],
)
def test_what_is_no_ftp_server(raw: Callable[..., RawServer], talk: Callable[..., None], words: str) -> None:
    server = raw(talk)
    started = time.monotonic()
    with pytest.raises(TransportError, match=words) as caught:
        open_transport(server.target()).connect()
    assert time.monotonic() - started < 25
    assert len(str(caught.value)) < 1000


def test_nobody_listens() -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        target = Target(
            "ftp", "127.0.0.1", "u", "/", port=unused.getsockname()[1], allow_private_addresses=True, connect_timeout=2
        )
        with pytest.raises(ConnectionFailed, match="refused"):
            open_transport(target).connect()


def test_a_command_that_is_never_answered(start_server: StartServer) -> None:
    server = scripted(start_server, script={"STOR": ["say nothing", "..."]})
    started = time.monotonic()
    with open_transport(server.target(reply_timeout=0.5)) as transport, pytest.raises(ConnectionFailed, match="answer"):
        finish(transport.upload([make_upload("page.html", b"x" * 200_000)]))
    assert time.monotonic() - started < 30


def test_no_injected_command_reaches_the_server(start_server: StartServer) -> None:
    from tests.transports.contract import UNSAFE_NAMES

    server = start_server("vsftpd")
    server.write("victim.txt", b"alive")
    with open_transport(server.target()) as transport:
        for name in UNSAFE_NAMES:
            for attempt in (
                lambda name=name: finish(transport.upload([make_upload(name, b"x")])),
                lambda name=name: finish(transport.rename([Rename("victim.txt", name)], unguarded)),
                lambda name=name: transport.make_directories([name]),
            ):
                with pytest.raises(Exception, match="cannot be sent"):
                    attempt()
    assert server.read("victim.txt") == b"alive"
    commands = [line for line in server.log_text().splitlines() if "FTP command" in line]
    assert commands
    assert not any(word in line for line in commands for word in ("DELE", "STOR", "RNTO", "MKD"))


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of two megabytes."""
    place = tmp_path / "disk"
    place.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=2m,mode=777", "tmpfs", place], capture_output=True)
    if mounted.returncode:
        pytest.skip("mounting a small file system needs root")
    yield place
    subprocess.run(["umount", "-l", place], check=True)


@pytest.mark.parametrize("name", ["vsftpd", "proftpd", "pure-ftpd"])  # a full disk ends pyftpdlib itself
def test_a_real_full_disk(start_server: StartServer, name: str, small_disk: Path) -> None:
    """The upload fails by name in bounded time, and the file that was live stays."""
    server = start_server(name)
    server.kill()
    subprocess.run(["mount", "--bind", small_disk, server.folder], check=True)
    try:
        server.start()
        server.write("page.html", b"old")
        with open_transport(server.target(reply_timeout=10)) as transport:
            with pytest.raises(TransportError, match=r"page\.html") as caught:
                finish(transport.upload([make_upload(".tmp-page.html", bytes(5_000_000))]))
            assert caught.value.path == ".tmp-page.html"
            finish(transport.delete([".tmp-page.html"], unguarded))
            finish(transport.upload([make_upload(".tmp-page.html", b"new")]))
            assert done(transport.rename([Rename(".tmp-page.html", "page.html")], unguarded)) == ["page.html"]
        assert server.read("page.html") == b"new"
    finally:
        server.kill()
        subprocess.run(["umount", "-l", server.folder], check=True)


@pytest.mark.parametrize("name", ["vsftpd", "proftpd", "pure-ftpd"])  # pyftpdlib runs as root here, who may delete
def test_refused_deletes_are_not_taken_for_done(start_server: StartServer, name: str) -> None:
    """Several of them: a server may be in a state in which it refuses whatever is asked about the second one."""
    server = start_server(name)
    for number in range(5):
        server.write(f"locked/{number}.txt", b"x")
    server.write("free.txt", b"x")
    (server.folder / "locked").chmod(0o555)
    told: list[str] = []
    wanted = ["free.txt", *(f"locked/{number}.txt" for number in range(5)), "locked/gone.txt"]
    with open_transport(server.target()) as transport:
        with pytest.raises(PermissionRefused, match=r"delete locked/0\.txt"):
            told.extend(path for step in transport.delete(wanted, unguarded) for path in step.done)
        (server.folder / "locked").chmod(0o777)
        assert not [path for path in told if path.startswith("locked/") and path != "locked/gone.txt"]
        assert server.read("free.txt") is None
        assert "free.txt" in told
        assert sorted(done(transport.delete(wanted, unguarded))) == sorted(wanted)
    assert server.files() == set()


@pytest.mark.parametrize("name", list(SERVERS))
def test_ipv6(start_server: StartServer, name: str) -> None:
    try:
        server = start_server(name, host="::1")
    except OSError as error:
        pytest.skip(f"no IPv6 here: {error}")
    tree = contents(12)
    with open_transport(server.target()) as transport:
        transport.make_directories(directories(tree))
        assert len(done(transport.upload([make_upload(path, content) for path, content in tree.items()]))) == len(tree)
        assert {one.path for one in transport.walk() if not one.is_directory} == set(tree)
    assert {path: server.read(path) for path in tree} == tree


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
