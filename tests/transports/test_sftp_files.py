"""Directories, renames, listings and downloads over SFTP, on servers that refuse, answer late or answer in part."""

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import asyncssh
import pytest

from ftp_deploy.exceptions import PermissionRefused, TransferFailed, TransportError, VerificationFailed
from ftp_deploy.transports import sftp_files, sftp_pool
from ftp_deploy.transports.base import Rename
from ftp_deploy.transports.sftp import SFTP
from tests.servers.sshd import Cutter, ThreadedSFTP, threaded_sftp
from tests.transports.contract import done, finish, make_upload, unguarded

pytestmark = pytest.mark.integration


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sftp_pool, "BACK_OFF_SECONDS", 0.02)


@contextlib.contextmanager
def server_with(folder: Path, **methods: Any) -> Iterator[ThreadedSFTP]:
    """A server of asyncssh, some of whose methods are a test's."""
    with threaded_sftp(folder, type("Odd", (asyncssh.SFTPServer,), methods)) as server:
        yield server


def refuse(*_arguments: Any) -> None:
    raise asyncssh.SFTPPermissionDenied("not for you")


class TestDirectories:
    def test_one_that_is_taken_before_its_parent_is_made_afterwards(self, tmp_path: Path) -> None:
        """Servers with several threads may look at a/b before they have made a."""
        early: list[bytes] = []

        def mkdir(self: asyncssh.SFTPServer, path: bytes, attrs: asyncssh.SFTPAttrs) -> None:
            if path.count(b"/") > 1 and path not in early:
                early.append(path)
                raise asyncssh.SFTPNoSuchFile("no parent")
            asyncssh.SFTPServer.mkdir(self, path, attrs)

        with server_with(tmp_path, mkdir=mkdir) as server, SFTP(server.target()) as transport:
            transport.make_directories(["a", "a/b", "a/b/c"])
        assert sorted(early) == [b"/a/b", b"/a/b/c"]
        assert (tmp_path / "a/b/c").is_dir()

    def test_one_without_a_parent_fails_by_name(self, tmp_path: Path) -> None:
        with (
            server_with(tmp_path) as server,
            SFTP(server.target()) as transport,
            pytest.raises(TransportError, match="Making the directory none/sub") as caught,
        ):
            transport.make_directories(["none/sub"])
        assert caught.value.path == "none/sub"

    def test_a_refused_one_fails_by_name(self, tmp_path: Path) -> None:
        with (
            server_with(tmp_path, mkdir=refuse) as server,
            SFTP(server.target()) as transport,
            pytest.raises(PermissionRefused, match=r"Making the directory sub.*not for you"),
        ):
            transport.make_directories(["sub"])


class TestRenames:
    def test_one_whose_answer_was_lost_had_worked(self, tmp_path: Path) -> None:
        cut = [True]

        def posix_rename(self: asyncssh.SFTPServer, old: bytes, new: bytes) -> None:
            asyncssh.SFTPServer.posix_rename(self, old, new)
            if cut:
                cut.clear()
                self.channel.get_connection().abort()

        (tmp_path / ".page").write_bytes(b"new")
        (tmp_path / "page.html").write_bytes(b"old")
        with server_with(tmp_path, posix_rename=posix_rename) as server, SFTP(server.target()) as transport:
            assert done(transport.rename([Rename(".page", "page.html")], unguarded)) == ["page.html"]
            assert server.connections == 2
        assert (tmp_path / "page.html").read_bytes() == b"new"

    def test_a_refused_look_at_a_file_is_no_missing_file(self, tmp_path: Path) -> None:
        (tmp_path / "page.html").write_bytes(b"x")
        with (
            server_with(tmp_path, stat=refuse) as server,
            SFTP(server.target()) as transport,
            pytest.raises(PermissionRefused, match=r"page\.html"),
        ):
            transport.sizes(["page.html"])

    def test_a_refused_delete_is_not_taken_for_done(self, tmp_path: Path) -> None:
        (tmp_path / "page.html").write_bytes(b"x")
        with (
            server_with(tmp_path, remove=refuse) as server,
            SFTP(server.target()) as transport,
            pytest.raises(PermissionRefused, match=r"Deleting page\.html"),
        ):
            finish(transport.delete(["page.html"], unguarded))
        assert (tmp_path / "page.html").exists()


class TestProbe:
    def test_a_path_that_is_a_file(self, tmp_path: Path) -> None:
        (tmp_path / "www").write_bytes(b"")
        with (
            server_with(tmp_path) as server,
            SFTP(server.target(path="/www")) as transport,
            pytest.raises(PermissionRefused, match="/www is not a directory"),
        ):
            transport.probe()

    def test_a_server_that_fails_without_a_reason(self, tmp_path: Path) -> None:
        """What a person can mend is the path: so it is named, and the status with it."""

        def write(*_arguments: Any) -> int:
            raise asyncssh.SFTPFailure("Failure")

        with (
            server_with(tmp_path, write=write, remove=refuse) as server,
            SFTP(server.target()) as transport,
            pytest.raises(PermissionRefused, match="Writing a file in /") as caught,
        ):
            transport.probe()
        assert caught.value.code == 4

    def test_two_probes_may_be_in_each_others_way(self, tmp_path: Path) -> None:
        """The fixed name is held by another one: a name of its own serves as well, and nothing is left of it."""

        def open_(self: asyncssh.SFTPServer, path: bytes, flags: int, attrs: asyncssh.SFTPAttrs) -> Any:
            if b"-7-" in path:
                refuse()
            return asyncssh.SFTPServer.open(self, path, flags, attrs)

        with server_with(tmp_path, open=open_) as server, SFTP(server.target(probe_name="7")) as transport:
            assert transport.probe().rename_over is True
        assert list(tmp_path.iterdir()) == []


class TestListings:
    def test_links_are_followed_but_not_entered(self, tmp_path: Path) -> None:
        site = tmp_path / "site"
        (site / "real").mkdir(parents=True)
        (site / "real/page.html").write_bytes(b"12345")
        (site / "page").symlink_to("real/page.html")
        (site / "folder").symlink_to("real")
        (site / "loop").symlink_to(".")
        (site / "broken").symlink_to("nowhere")
        with server_with(tmp_path) as server, SFTP(server.target(path="/site")) as transport:
            found = {one.path: one for one in transport.walk()}
        assert found.keys() == {"real", "real/page.html", "page", "folder", "loop", "broken"}
        assert (found["page"].size, found["page"].is_directory) == (5, False)
        assert found["folder"].is_directory
        assert found["loop"].is_directory
        assert not found["broken"].is_directory

    def test_a_directory_that_may_not_be_read_is_listed_without_its_content(self, tmp_path: Path) -> None:
        def scandir(self: asyncssh.SFTPServer, path: bytes) -> Any:
            if path.endswith(b"/locked"):
                refuse()
            return asyncssh.SFTPServer.scandir(self, path)

        for name in ("locked/secret.html", "open/page.html"):
            (tmp_path / name).parent.mkdir()
            (tmp_path / name).write_bytes(b"x")
        with server_with(tmp_path, scandir=scandir) as server:
            with SFTP(server.target()) as transport:
                assert {one.path for one in transport.walk()} == {"locked", "open", "open/page.html"}
            with SFTP(server.target(path="/locked")) as transport, pytest.raises(PermissionRefused, match="Listing /"):
                list(transport.walk())

    def test_directories_without_end(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(sftp_files, "DEEPEST", 3)
        (tmp_path / "a/b/c/d").mkdir(parents=True)
        with (
            server_with(tmp_path) as server,
            SFTP(server.target()) as transport,
            pytest.raises(TransportError, match="nested more than 3 deep"),
        ):
            list(transport.walk())


class TestDownloads:
    content = os.urandom(300_000)

    def test_a_server_that_gives_less_than_was_asked_for(self, tmp_path: Path) -> None:
        def read(self: asyncssh.SFTPServer, file: Any, offset: int, size: int) -> Any:
            return asyncssh.SFTPServer.read(self, file, offset, min(size, 10_000))

        (tmp_path / "page.bin").write_bytes(self.content)
        with server_with(tmp_path, read=read) as server, SFTP(server.target()) as transport:
            assert b"".join(transport.download("page.bin")) == self.content

    def test_a_refused_read_fails_by_name(self, tmp_path: Path) -> None:
        (tmp_path / "page.bin").write_bytes(self.content)
        with (
            server_with(tmp_path, read=refuse) as server,
            SFTP(server.target()) as transport,
            pytest.raises(PermissionRefused, match=r"Reading page\.bin.*not for you"),
        ):
            list(transport.download("page.bin"))

    def test_a_file_that_shrinks_while_it_is_read_is_no_whole_file(self, tmp_path: Path) -> None:
        def read(self: asyncssh.SFTPServer, file: Any, offset: int, size: int) -> Any:
            file.truncate(100_000)
            return asyncssh.SFTPServer.read(self, file, offset, size)

        (tmp_path / "page.bin").write_bytes(self.content)

        def open_(self: asyncssh.SFTPServer, path: bytes, flags: int, attrs: asyncssh.SFTPAttrs) -> Any:
            return open(self.map_path(path), "r+b", buffering=0)

        with (
            server_with(tmp_path, read=read, open=open_) as server,
            SFTP(server.target()) as transport,
            pytest.raises(VerificationFailed, match=r"page\.bin was changed on the server"),
        ):
            list(transport.download("page.bin"))

    @pytest.mark.parametrize("size", [7, 20_000_000], ids=["shorter", "longer"])
    def test_a_file_that_changed_while_the_line_was_cut_is_not_patched_together(
        self, tmp_path: Path, size: int
    ) -> None:
        place = tmp_path / "page.bin"
        place.write_bytes(self.content * 40)

        def cut_after(number: int) -> int | None:
            if number:
                place.write_bytes(bytes(size))
            return None if number else 8_000

        with server_with(tmp_path) as server:
            cutter = Cutter(server.port, cut_after)
            with contextlib.ExitStack() as stack:
                stack.callback(cutter.stop)
                transport = stack.enter_context(SFTP(server.target(port=cutter.port)))
                stack.enter_context(pytest.raises(VerificationFailed, match="changed on the server while it was read"))
                list(transport.download("page.bin"))


class TestUploads:
    def test_a_failure_without_a_reason_is_no_full_disk(self, tmp_path: Path) -> None:
        """OpenSSH says "Failure" for both; the server's free space tells them apart."""

        def write(*_arguments: Any) -> int:
            raise asyncssh.SFTPFailure("Failure")

        with (
            server_with(tmp_path, write=write) as server,
            SFTP(server.target()) as transport,
            pytest.raises(TransferFailed, match=r"Uploading page\.html"),
        ):
            finish(transport.upload([make_upload("page.html", b"new")]))

    def test_nor_is_one_of_a_server_that_does_not_tell_its_space(self, tmp_path: Path) -> None:
        def write(*_arguments: Any) -> int:
            raise asyncssh.SFTPFailure("Failure")

        with (
            server_with(tmp_path, write=write, statvfs=refuse) as server,
            SFTP(server.target()) as transport,
            pytest.raises(TransferFailed, match=r"Uploading page\.html"),
        ):
            finish(transport.upload([make_upload("page.html", b"new")]))
