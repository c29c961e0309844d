"""SFTP when something goes wrong: cut lines, killed and silent servers, full disks, servers without extensions."""

import contextlib
import os
import random
import socket
import subprocess
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import asyncssh
import asyncssh.sftp
import pytest

from ftp_deploy.exceptions import (
    ConnectionFailed,
    IdentityRefused,
    LoginRefused,
    PermissionRefused,
    StorageFull,
    TransportError,
    VerificationFailed,
)
from ftp_deploy.transports import sftp_connection, sftp_pool
from ftp_deploy.transports.base import Rename
from ftp_deploy.transports.sftp import SFTP
from ftp_deploy.transports.ssh_command import SSHConnection
from tests.servers.base import DEADLINE
from tests.servers.sshd import Cutter, OpenSSH, ThreadedSFTP, threaded_sftp
from tests.transports.contract import contents, directories, done, finish, make_upload, unguarded

pytestmark = pytest.mark.integration


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sftp_pool, "BACK_OFF_SECONDS", 0.02)
    monkeypatch.setattr(sftp_connection, "LOGIN_SECONDS", 3.0)


@pytest.fixture(scope="module")
def running() -> Iterator[OpenSSH]:
    with OpenSSH() as server:
        yield server


@pytest.fixture
def server(running: OpenSSH) -> OpenSSH:
    running.clear()
    return running


@contextlib.contextmanager
def cutting(port: int, *limits: int | None) -> Iterator[Cutter]:
    """A relay that cuts its first connections after so many bytes; the last of ``limits`` holds for all later ones."""
    cutter = Cutter(port, lambda number: limits[min(number, len(limits) - 1)])
    try:
        yield cutter
    finally:
        cutter.stop()


def messages(steps: list[Any]) -> str:
    return "\n".join(step.message for step in steps)


class TestLines:
    def test_a_cut_line_is_connected_again(self, server: OpenSSH) -> None:
        tree = contents(30)
        with cutting(server.port, 300_000, 900_000, None) as cutter, SFTP(server.target(port=cutter.port)) as transport:
            transport.make_directories(directories(tree))
            steps = finish(transport.upload([make_upload(path, data) for path, data in tree.items()]))
            assert cutter.connections == 3
        assert sorted(done(steps)) == sorted(tree)
        assert {path: server.read(path) for path in tree} == tree
        assert "Connecting again" in messages(steps)

    def test_a_large_file_goes_on_where_it_was(self, server: OpenSSH) -> None:
        content = random.Random(1).randbytes(12_000_000)
        with cutting(server.port, 8_000_000, None) as cutter, SFTP(server.target(port=cutter.port)) as transport:
            steps = finish(transport.upload([make_upload("big.bin", content)]))
        assert server.read("big.bin") == content
        # Only what was under way when the line was cut is sent again.
        assert sum(step.bytes_sent for step in steps) == len(content)

    def test_a_file_that_vanished_is_sent_from_its_start(self, server: OpenSSH) -> None:
        content = random.Random(1).randbytes(12_000_000)

        def cut_after(number: int) -> int | None:
            if number == 1:
                (server.folder / "big.bin").unlink()
            return 8_000_000 if not number else None

        cutter = Cutter(server.port, cut_after)
        with contextlib.closing(contextlib.ExitStack()) as stack:
            stack.callback(cutter.stop)
            with SFTP(server.target(port=cutter.port)) as transport:
                finish(transport.upload([make_upload("big.bin", content)]))
        assert server.read("big.bin") == content

    def test_lines_that_are_always_cut_end_it(self, server: OpenSSH) -> None:
        with cutting(server.port, 100_000) as cutter, SFTP(server.target(port=cutter.port)) as transport:
            with pytest.raises(ConnectionFailed):
                finish(transport.upload([make_upload("big.bin", bytes(5_000_000))]))
            assert cutter.connections <= 20

    def test_renames_whose_answers_were_lost(self, server: OpenSSH) -> None:
        names = [f"file {number}.txt" for number in range(3000)]
        for name in names:
            (server.folder / f".tmp-{name}").write_bytes(name.encode())
        with cutting(server.port, 100_000, None) as cutter, SFTP(server.target(port=cutter.port)) as transport:
            renames = [Rename(f".tmp-{name}", name) for name in names]
            assert sorted(done(transport.rename(renames, unguarded))) == sorted(names)
            assert cutter.connections == 2
        assert server.files() == set(names)

    def test_a_killed_server_that_comes_back(self) -> None:
        content = random.Random(2).randbytes(30_000_000)
        with OpenSSH() as server, SFTP(server.target(connect_timeout=30.0)) as transport:
            killed = threading.Event()

            def kill_and_start() -> None:
                server.kill()
                server.start()
                killed.set()

            steps = transport.upload([make_upload(f"{number}.bin", content) for number in range(4)])
            next(steps)
            thread = threading.Thread(target=kill_and_start)
            thread.start()
            rest = finish(steps)
            thread.join(DEADLINE)
            assert killed.is_set()
            assert {number: server.read(f"{number}.bin") == content for number in range(4)} == dict.fromkeys(
                range(4), True
            )
            assert len(done(rest)) <= 4

    def test_a_line_that_is_cut_anywhere_before_the_first_request_is_no_refusal(self, server: OpenSSH) -> None:
        """From the greeting to the open session: each of these errors may pass, so each is tried again later."""
        for limit in range(100, 3400, 150):
            with cutting(server.port, limit) as cutter:
                transport = SFTP(server.target(port=cutter.port))
                with contextlib.suppress(ConnectionFailed):
                    transport.connect()
                transport.close()

    def test_nor_is_one_that_is_cut_before_a_command_runs(self, server: OpenSSH) -> None:
        for limit in range(100, 3400, 150):
            with (
                cutting(server.port, limit) as cutter,
                SSHConnection(server.target(port=cutter.port)) as connection,
                contextlib.suppress(ConnectionFailed),
            ):
                connection.run("true").close()

    def test_a_host_key_that_changes_midway_stops_everything(self) -> None:
        with OpenSSH() as server, SFTP(server.target()) as transport:
            finish(transport.upload([make_upload("a.txt", b"x")]))
            server.kill()
            server.host_keys = [asyncssh.generate_private_key("ssh-ed25519")]
            server.start()
            with pytest.raises(IdentityRefused) as caught:
                finish(transport.upload([make_upload(f"{number}.txt", b"x") for number in range(20)]))
            assert server.fingerprint in caught.value.message
            assert server.files() == {"a.txt"}

    def test_a_login_that_is_refused_later_is_tried_once(self) -> None:
        with OpenSSH() as server, cutting(server.port, 400_000, None) as cutter:
            with SFTP(server.target(port=cutter.port)) as transport:
                (server.base / "authorized").write_text("")
                with pytest.raises(LoginRefused):
                    finish(transport.upload([make_upload(f"{n}.bin", bytes(50_000)) for n in range(40)]))
            assert cutter.connections == 2


class TestSilence:
    def test_a_server_that_says_nothing(self) -> None:
        with socket.create_server(("127.0.0.1", 0)) as listener:
            target = OpenSSH().target(port=listener.getsockname()[1], connect_timeout=1.0)
            started = time.monotonic()
            with pytest.raises(ConnectionFailed, match="in time"):
                SFTP(target).connect()
            assert time.monotonic() - started < 20

    @pytest.mark.parametrize(
        "greeting",
        [
            b"HTTP/1.1 400 Bad Request\r\n\r\n",
            b"SSH-1.0-old\r\n",
            bytes(10_000),
            b"x" * 10_000_000,
            b"hello\r\n" * 1_000_000,
            b"SSH-2.0-x\r\n" + bytes(10_000_000),
            b"SSH-2.0-x\r\n\xff\xff\xff\xff" + bytes(1000),
        ],
        ids=["http", "old", "zeros", "ten megabytes in a line", "lines without end", "no packets", "a huge packet"],
    )
    def test_another_greeting(self, greeting: bytes) -> None:
        with socket.create_server(("127.0.0.1", 0)) as listener:

            def greet() -> None:
                connection, _ = listener.accept()
                with connection, contextlib.suppress(OSError):
                    connection.sendall(greeting)
                    connection.recv(1000)

            thread = threading.Thread(target=greet)
            thread.start()
            with pytest.raises(TransportError):
                SFTP(OpenSSH().target(port=listener.getsockname()[1], connect_timeout=2.0)).connect()
            thread.join(DEADLINE)

    def test_a_server_that_falls_silent(self, server: OpenSSH) -> None:
        with SFTP(server.target(reply_timeout=1.0, connect_timeout=2.0)) as transport:
            steps = transport.upload([make_upload(f"{n}.bin", bytes(20_000_000)) for n in range(20)])
            next(steps)
            assert server.process
            sessions = server.processes()
            for pid in sessions:
                os.kill(pid, 19)
            try:
                started = time.monotonic()
                with pytest.raises(ConnectionFailed):
                    finish(steps)
                assert time.monotonic() - started < 60
            finally:
                for pid in sessions:
                    with contextlib.suppress(ProcessLookupError):
                        os.kill(pid, 18)

    def test_a_subsystem_that_prints_text(self) -> None:
        text = "ForceCommand echo Welcome to this server"
        with OpenSSH(quiet=True, extra=text) as server, pytest.raises(ConnectionFailed, match="SFTP"):
            SFTP(server.target()).connect()

    def test_a_server_without_sftp(self) -> None:
        with OpenSSH(extra="MaxSessions 0") as server, pytest.raises(TransportError, match="SFTP"):
            SFTP(server.target()).connect()


class TestDisks:
    @pytest.fixture
    def small_disk(self, server: OpenSSH) -> Iterator[OpenSSH]:
        command = ["mount", "-t", "tmpfs", "-o", "size=1m", "none", str(server.folder)]
        if os.geteuid() != 0 or subprocess.run(command, check=False, capture_output=True).returncode:
            pytest.skip("a small disk needs root")
        yield server
        subprocess.run(["umount", "-l", str(server.folder)], check=True)

    def test_a_full_disk(self, small_disk: OpenSSH) -> None:
        small_disk.write("page.html", b"live")
        with SFTP(small_disk.target()) as transport, pytest.raises(StorageFull) as caught:
            finish(transport.upload([make_upload(".tmp", bytes(5_000_000))]))
        assert caught.value.path == ".tmp"
        assert small_disk.read("page.html") == b"live"


class Stubborn(asyncssh.SFTPServer):
    """A server on which some things do not work; each test says which."""

    broken: set[str] = set()

    def fsetstat(self, file_obj: object, attrs: asyncssh.SFTPAttrs) -> None:
        if "chmod" in self.broken:
            raise asyncssh.SFTPOpUnsupported("no modes here")
        super().fsetstat(file_obj, attrs)

    def setstat(self, path: bytes, attrs: asyncssh.SFTPAttrs) -> None:
        if "chmod" in self.broken:
            raise asyncssh.SFTPOpUnsupported("no modes here")
        super().setstat(path, attrs)

    def open(self, path: bytes, pflags: int, attrs: asyncssh.SFTPAttrs) -> Any:
        if "read-only" in self.broken and pflags & asyncssh.FXF_WRITE:
            raise asyncssh.SFTPPermissionDenied("read-only")
        return super().open(path, pflags, attrs)

    def write(self, file_obj: Any, offset: int, data: bytes) -> int:
        if "short" in self.broken:
            data = data[:-1]
        return super().write(file_obj, offset, data)

    def rename(self, oldpath: bytes, newpath: bytes) -> None:
        if os.path.lexists(self.map_path(newpath)):
            raise asyncssh.SFTPFailure("it exists")
        super().rename(oldpath, newpath)


@contextlib.contextmanager
def stubborn(folder: Path, *broken: str) -> Iterator[ThreadedSFTP]:
    made = type("Broken", (Stubborn,), {"broken": set(broken)})
    with threaded_sftp(folder, made) as server:
        yield server


class TestServersThatLackSomething:
    @pytest.fixture
    def no_extensions(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(asyncssh.sftp.SFTPServerHandler, "_extensions", [])

    def test_no_rename_over(self, tmp_path: Path, no_extensions: None) -> None:
        (tmp_path / "old.html").write_bytes(b"old")
        (tmp_path / ".tmp-old").write_bytes(b"new")
        (tmp_path / ".tmp-new").write_bytes(b"new too")
        with stubborn(tmp_path) as server, SFTP(server.target()) as transport:
            assert transport.traits.features == ()
            renames = [Rename(".tmp-old", "old.html"), Rename(".tmp-new", "new.html")]
            assert len(done(transport.rename(renames, unguarded))) == 2
            assert transport.traits.rename_over is False
            assert transport.probe().rename_over is False
        assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == {
            "old.html": b"new",
            "new.html": b"new too",
        }

    def test_a_lost_upload_never_costs_the_live_file(self, tmp_path: Path, no_extensions: None) -> None:
        (tmp_path / "old.html").write_bytes(b"old")
        with stubborn(tmp_path) as server, SFTP(server.target()) as transport, pytest.raises(TransportError):
            finish(transport.rename([Rename(".gone", "old.html")], unguarded))
        assert (tmp_path / "old.html").read_bytes() == b"old"

    def test_no_modes(self, tmp_path: Path) -> None:
        with stubborn(tmp_path, "chmod") as server, SFTP(server.target(file_mode=0o640)) as transport:
            steps = finish(transport.upload([make_upload(f"{n}.txt", b"x") for n in range(5)]))
            assert len(done(steps)) == 5
            assert "modes" in messages(steps)
            assert transport.traits.chmod is False
            assert transport.probe().chmod is False

    def test_a_read_only_site(self, tmp_path: Path) -> None:
        with stubborn(tmp_path, "read-only") as server, SFTP(server.target()) as transport:
            with pytest.raises(PermissionRefused) as caught:
                finish(transport.upload([make_upload("page.html", b"x")]))
            assert (caught.value.path, caught.value.code) == ("page.html", 3)
            with pytest.raises(PermissionRefused):
                transport.probe()

    def test_a_server_that_loses_bytes(self, tmp_path: Path) -> None:
        words = r"page\.html has 4 bytes on the server instead of 5"
        with contextlib.ExitStack() as stack:
            server = stack.enter_context(stubborn(tmp_path, "short"))
            transport = stack.enter_context(SFTP(server.target()))
            stack.enter_context(pytest.raises(VerificationFailed, match=words))
            finish(transport.upload([make_upload("page.html", b"12345")]))
