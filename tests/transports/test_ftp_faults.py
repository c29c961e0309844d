"""Servers that refuse, stall, lie and break: a clear error in bounded time, or the work goes on; nothing is lost."""

import os
import socket
import subprocess
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from ftp_deploy.exceptions import (
    ConnectionFailed,
    PermissionRefused,
    StorageFull,
    TransferFailed,
    TransportError,
    VerificationFailed,
)
from ftp_deploy.transports import crew, ftp, ftp_data, open_transport
from ftp_deploy.transports.base import Rename
from tests.servers.base import FTPServer
from tests.servers.fixtures import StartServer
from tests.servers.pyftpd import RecordingHandler
from tests.transports.contract import done, finish, make_upload, unguarded
from tests.transports.scripted import Scripted, count, scripted

pytestmark = pytest.mark.integration


@pytest.fixture(autouse=True)
def short_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(crew, "FIRST_PAUSE", 0.01)


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

    @pytest.mark.parametrize(("reply", "rest"), [("502 no", "..."), ("450 busy", "450 busy")])
    def test_sizes_without_size(self, start_server: StartServer, reply: str, rest: str) -> None:
        """A server that knows no SIZE is asked for its listings; one that is busy is asked again."""
        server = scripted(start_server, script={"SIZE": [reply, rest]})
        server.write("a/page.html", b"12345")
        with open_transport(server.target()) as transport:
            assert transport.sizes(["a/page.html", "a/none"]) == {"a/page.html": 5, "a/none": None}

    def test_a_server_that_is_always_busy_says_so(self, start_server: StartServer) -> None:
        server = scripted(start_server, script={"SIZE": ["450 busy", "..."]})
        server.write("page.html", b"12345")
        with (
            open_transport(server.target()) as transport,
            pytest.raises(TransferFailed, match=r"tell the size of page\.html.*450 busy"),
        ):
            transport.sizes(["page.html"])

    def test_a_rename_out_of_step_is_done_over_another_connection(self, start_server: StartServer) -> None:
        server = scripted(start_server, script={"RNTO": ["553 no", "503 Bad sequence of commands"]})
        server.write("page.html", b"old")
        server.write(".page", b"new")
        with open_transport(server.target()) as transport:
            steps = finish(transport.rename([Rename(".page", "page.html")], unguarded))
        assert done(steps) == ["page.html"]
        assert server.read("page.html") == b"new"

    def test_a_refused_time_is_not_asked_for_again(self, start_server: StartServer) -> None:
        server = scripted(start_server, script={"MFMT": ["502 no", "..."]})
        moment = datetime(2024, 2, 29, 12, tzinfo=UTC)
        with open_transport(server.target(max_connections=1)) as transport:
            for name in ("a", "b"):
                assert done(transport.upload([make_upload(name, b"x", modified=moment)])) == [name]
            assert transport.traits.set_time is False
        assert count(server, "MFMT") == 1

    def test_a_connection_that_died_while_idle_is_replaced(self, start_server: StartServer) -> None:
        server = scripted(start_server, script={"NOOP": ["hang up"]})
        server.write("page.html", b"content")
        with open_transport(server.target()) as transport:
            assert b"".join(transport.download("page.html")) == b"content"
        assert count(server, "USER") == 2

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

    def test_where_the_new_file_cannot_follow_the_old_one_comes_back(self, start_server: StartServer) -> None:
        """The old file was moved aside, and then the server refuses the new one: the page is where it was."""

        class Partial(self.Refusing):  # type: ignore[name-defined,misc]
            def ftp_RNTO(self, path: str) -> None:  # noqa: N802
                if str(self._rnfr).endswith("/.page"):
                    self.respond("550 Not this one.")
                    self._rnfr = None
                    return
                super().ftp_RNTO(path)

        server = start_server("pyftpdlib", handler=Partial)
        server.write("page.html", b"old")
        server.write(".page", b"new")
        with open_transport(server.target()) as transport, pytest.raises(PermissionRefused, match=r"page\.html.*550"):
            finish(transport.rename([Rename(".page", "page.html")], unguarded))
        assert server.files() == {"page.html", ".page"}
        assert server.read("page.html") == b"old"

    def test_without_size_and_without_rename_over(self, start_server: StartServer) -> None:
        """What is there is asked with RNFR then."""

        class Older(self.Refusing, Scripted):  # type: ignore[name-defined,misc]
            script = {"SIZE": ["502 no", "..."]}

        server = start_server("pyftpdlib", handler=Older)
        server.write("page.html", b"old")
        server.write(".page", b"new")
        with open_transport(server.target()) as transport:
            renames = [Rename(".page", "page.html"), Rename(".other", "other.html")]
            with pytest.raises(PermissionRefused, match=r"other\.html"):
                finish(transport.rename(renames, unguarded))
        assert server.files() == {"page.html"}
        assert server.read("page.html") == b"new"

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

    def test_a_data_connection_that_is_refused_for_the_moment(self, start_server: StartServer) -> None:
        server = scripted(start_server, script={"EPSV": ["425 busy"]})
        with open_transport(server.target(max_connections=1)) as transport:
            assert done(transport.upload([make_upload("page.html", b"new")])) == ["page.html"]
            assert transport.traits.epsv is not False
        server = scripted(start_server, script={"EPSV": ["425 busy", "..."]})
        server.write("page.html", b"x")
        with (
            open_transport(server.target()) as transport,
            pytest.raises(TransferFailed, match=r"open a data connection.*425 busy"),
        ):
            list(transport.download("page.html"))

    @pytest.mark.parametrize("command", ["RETR", "MLSD"])
    def test_a_transfer_that_never_begins(
        self, start_server: StartServer, monkeypatch: pytest.MonkeyPatch, command: str
    ) -> None:
        monkeypatch.setattr(ftp_data, "REASON_WAIT", 0.05)
        server = scripted(start_server, script={command: ["150 Here it comes.", "..."]})
        server.write("page.html", b"content")
        with open_transport(server.target(reply_timeout=0.5)) as transport, pytest.raises(TransportError) as caught:
            list(transport.download("page.html") if command == "RETR" else transport.walk())
        assert "The data connection broke" in caught.value.message
        assert "no answer within 0 seconds" in caught.value.message

    def test_a_transfer_that_is_not_announced(self, start_server: StartServer) -> None:
        """226 at the end without the 150 before it: all the same the file is there."""

        class Terse(RecordingHandler):
            def respond(self, reply: str, *arguments: Any, **details: Any) -> None:
                if not reply.startswith(("125", "150")):
                    super().respond(reply, *arguments, **details)

        server = start_server("pyftpdlib", handler=Terse)
        server.write("page.html", b"content" * 1000)
        with open_transport(server.target()) as transport:
            assert b"".join(transport.download("page.html")) == b"content" * 1000

    def test_a_listing_without_end(self, pyftpd_server: FTPServer, monkeypatch: pytest.MonkeyPatch) -> None:
        for number in range(20):
            pyftpd_server.write(f"{number}.html", b"")
        monkeypatch.setattr(ftp_data, "LONGEST_LISTING", 100)
        with open_transport(pyftpd_server.target()) as transport, pytest.raises(TransferFailed, match="without end"):
            list(transport.walk())

    def test_directories_without_end(self, pyftpd_server: FTPServer, monkeypatch: pytest.MonkeyPatch) -> None:
        """As a link that leads back to its own directory shows them."""
        pyftpd_server.make_folder("a/b/c/d")
        monkeypatch.setattr(ftp, "DEEPEST", 3)
        with (
            open_transport(pyftpd_server.target()) as transport,
            pytest.raises(TransferFailed, match="more than 3 deep"),
        ):
            list(transport.walk())


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
