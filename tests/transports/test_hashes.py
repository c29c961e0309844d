"""Servers that can hash files are asked for it: after each upload, and to compare what they hold."""

import asyncio
import hashlib
import random
import struct
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from ftp_deploy.exceptions import VerificationFailed
from ftp_deploy.transports import open_transport, sftp_upload
from ftp_deploy.transports.base import Transport
from ftp_deploy.transports.hashes import KINDS, Hasher, digest_of
from ftp_deploy.transports.sftp import SFTP
from ftp_deploy.transports.sftp_channel import SFTPChannel
from ftp_deploy.transports.sftp_hashes import digest_on_server, read_digest
from ftp_deploy.transports.sftp_protocol import Kind, ProtocolBroken, Reader, Status, StatusError
from tests.servers.base import FTPServer
from tests.servers.fixtures import StartServer
from tests.servers.proftpd_sftp import ProftpdSFTP
from tests.servers.pyftpd import RecordingHandler
from tests.servers.sshd import OpenSSH
from tests.transports.contract import Place, TransportContract, done, finish, make_upload

SHA256 = hashlib.sha256(b"hello").hexdigest()


@pytest.mark.parametrize("kind", KINDS)
def test_hashes_are_taken_block_by_block(kind: str, tmp_path: Any) -> None:
    place = tmp_path / "content"
    place.write_bytes(b"hello" * 500_000)
    hasher = Hasher(kind)
    for _ in range(500_000):
        hasher.update(b"hello")
    with place.open("rb") as stream:
        assert digest_of(stream, kind) == hasher.hexdigest()


def packet(*strings: bytes, rest: bytes) -> Reader:
    return Reader(b"".join(struct.pack(">I", len(one)) + one for one in strings) + rest)


class TestReplies:
    """What servers send back: the algorithm and the bare hash, with and without the extension's name in front."""

    @pytest.mark.parametrize("strings", [(b"sha256",), (b"sha256,",), (b"check-file", b"sha256"), (b"SHA256",)])
    def test_the_hash_is_read(self, strings: tuple[bytes, ...]) -> None:
        assert read_digest(packet(*strings, rest=bytes.fromhex(SHA256))) == SHA256

    @pytest.mark.parametrize("rest", [b"", bytes(16), bytes(31), bytes(64)])
    def test_another_length_is_no_hash(self, rest: bytes) -> None:
        with pytest.raises(ProtocolBroken):
            read_digest(packet(b"sha256", rest=rest))

    def test_another_algorithm_is_none(self) -> None:
        with pytest.raises(ProtocolBroken):
            read_digest(packet(b"sha512", rest=bytes(32)))


def check_matches(transport: Transport, place: Place) -> None:
    place.write("a/same.txt", b"hello")
    place.write("a/other.txt", b"HELLO")
    kind = transport.hash_kind
    assert kind == "sha256"
    expected = dict.fromkeys(["a/same.txt", "a/other.txt", "a/none.txt"], SHA256)
    assert transport.matches(expected) == {"a/same.txt": True, "a/other.txt": False, "a/none.txt": None}
    assert transport.matches({}) == {}


@pytest.mark.integration
class TestFTP:
    def test_proftpd_has_hash(self, start_server: StartServer) -> None:
        server = start_server("proftpd")
        with open_transport(server.target()) as transport:
            check_matches(transport, server)
            content = random.Random(1).randbytes(300_000)
            finish(transport.upload([make_upload("big.bin", content), make_upload("empty", b"")]))
        assert server.read("big.bin") == content
        assert "HASH" in server.log_text()

    @pytest.mark.parametrize("name", ["vsftpd", "pure-ftpd"])
    def test_others_have_none(self, start_server: StartServer, name: str) -> None:
        server = start_server(name)
        server.write("a.txt", b"hello")
        with open_transport(server.target()) as transport:
            assert transport.hash_kind == ""
            assert transport.matches({"a.txt": SHA256}) == {"a.txt": None}

    @pytest.mark.parametrize("command", ["XCRC", "XMD5", "XSHA256"])
    def test_the_older_commands_find_what_was_damaged(self, start_server: StartServer, command: str) -> None:
        """A server that flips a bit of the first upload: its hash tells, and the file is sent again."""
        kind = {"XCRC": "crc32", "XMD5": "md5", "XSHA256": "sha256"}[command]
        server = hashing(start_server, command, kind, damaged=1)
        with open_transport(server.target(max_connections=1)) as transport:
            assert transport.hash_kind == kind
            steps = finish(transport.upload([make_upload("page.html", b"hello")]))
        assert done(steps) == ["page.html"]
        assert any("another content" in step.message for step in steps)
        assert server.read("page.html") == b"hello"

    def test_what_stays_damaged_fails_by_name(self, start_server: StartServer) -> None:
        server = hashing(start_server, "XSHA256", "sha256", damaged=99)
        with (
            open_transport(server.target(max_connections=1)) as transport,
            pytest.raises(VerificationFailed, match=r"page\.html arrived with another content"),
        ):
            finish(transport.upload([make_upload("page.html", b"hello")]))

    def test_a_server_that_refuses_to_hash_is_asked_no_more(self, start_server: StartServer) -> None:
        server = hashing(start_server, "XSHA256", "sha256", damaged=0, refuses=True)
        with open_transport(server.target(max_connections=1)) as transport:
            uploads = [make_upload(name, b"hello") for name in ("a", "b", "c")]
            assert sorted(done(transport.upload(uploads))) == ["a", "b", "c"]
            assert transport.hash_kind == ""
        assert {name: server.read(name) for name in "abc"} == dict.fromkeys("abc", b"hello")


def hashing(start_server: StartServer, command: str, kind: str, damaged: int, *, refuses: bool = False) -> FTPServer:
    """A server with one more command, which damages the first so many files before it hashes them."""
    left = [damaged]

    class Hashing(RecordingHandler):
        proto_cmds = {
            **RecordingHandler.proto_cmds,
            command: {"perm": "l", "auth": True, "arg": True, "help": command},
        }

        def ftp_FEAT(self, line: str) -> None:  # noqa: N802
            self.respond_w_lines("211-Features:", [" UTF8", " SIZE", f" {command}"], "211 End")

        def respond_w_lines(self, first: str, lines: list[str], last: str) -> None:
            self.push("\r\n".join([first, *lines, last, ""]))

        def hash_it(self, path: str) -> None:
            if refuses:
                self.respond("504 Not today.")
                return
            with open(path, "rb") as stream:
                content = stream.read()
            if left[0]:
                left[0] -= 1
                with open(path, "wb") as stream:
                    stream.write(b"X" + content[1:])
            with open(path, "rb") as stream:
                self.respond(f"250 {digest_of(stream, kind).upper()}")

    setattr(Hashing, f"ftp_{command}", Hashing.hash_it)
    return start_server("pyftpdlib", handler=Hashing)


@pytest.fixture(scope="module")
def proftpd_sftp() -> Iterator[ProftpdSFTP]:
    with ProftpdSFTP() as server:
        yield server


@pytest.mark.integration
class TestProftpdSFTP(TransportContract):
    """The contract on a second real server, which hashes each upload."""

    @pytest.fixture
    def place(self, proftpd_sftp: ProftpdSFTP) -> ProftpdSFTP:
        proftpd_sftp.clear()
        return proftpd_sftp

    def test_it_has_check_file(self, transport: Transport, place: ProftpdSFTP) -> None:
        check_matches(transport, place)


@pytest.mark.integration
class TestSFTP:
    def test_openssh_has_none_and_is_not_asked(self) -> None:
        with OpenSSH() as server, SFTP(server.target()) as transport:
            server.write("a.txt", b"hello")
            assert transport.hash_kind == ""
            assert transport.matches({"a.txt": SHA256}) == {"a.txt": None}
            assert "check-file" not in server.log_text()

    @pytest.mark.parametrize("size", [5, 20_000_000], ids=["one part", "several parts"])
    def test_what_was_damaged_is_sent_again(
        self, proftpd_sftp: ProftpdSFTP, monkeypatch: pytest.MonkeyPatch, size: int
    ) -> None:
        proftpd_sftp.clear()
        content = random.Random(size).randbytes(size)
        ask = sftp_upload.digest_on_server
        damaged: list[bytes] = []

        async def damage_first(channel: Any, path: bytes) -> str:
            if not damaged:
                damaged.append(path)
                (proftpd_sftp.folder / "big.bin").write_bytes(bytes(size))
            return await ask(channel, path)

        monkeypatch.setattr(sftp_upload, "digest_on_server", damage_first)
        monkeypatch.setattr(sftp_upload, "LINE_RATE", 10**12)
        with SFTP(proftpd_sftp.target()) as transport:
            steps = finish(transport.upload([make_upload("big.bin", content)]))
        assert damaged
        assert done(steps) == ["big.bin"]
        assert any("another content" in step.message for step in steps)
        assert proftpd_sftp.read("big.bin") == content

    async def answer_of(self, *fields: bytes) -> "asyncio.Future[str]":
        """Return what a request comes to that a server answers with an extended reply of these fields."""
        channel = SFTPChannel()
        asked = asyncio.ensure_future(digest_on_server(channel, b"/www"))
        await asyncio.sleep(0)
        body = bytes([Kind.EXTENDED_REPLY]) + struct.pack(">I", 1) + b"".join(fields)
        channel.data_received(struct.pack(">I", len(body)) + body, None)
        await asyncio.wait([asked], timeout=30)
        assert not channel.waiting
        assert not channel.ask(Kind.CLOSE).done(), "the session goes on"
        return asked

    @pytest.mark.parametrize(
        "fields", [(struct.pack(">I", 3) + b"md5", bytes(16)), (b"\0\0",), ()], ids=["another hash", "cut", "nothing"]
    )
    def test_a_reply_that_makes_no_sense_ends_the_wait(self, fields: tuple[bytes, ...]) -> None:
        with ThreadPoolExecutor(1) as pool:  # a browser of other tests may have its loop in this thread
            asked = pool.submit(asyncio.run, self.answer_of(*fields)).result()
        assert asked.done()
        assert isinstance(asked.exception(), ProtocolBroken)

    def test_a_server_that_refuses_later_is_asked_no_more(
        self, proftpd_sftp: ProftpdSFTP, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        proftpd_sftp.clear()

        async def refuse(channel: Any, path: bytes) -> str:
            raise StatusError(Status.UNSUPPORTED, "no more")

        monkeypatch.setattr(sftp_upload, "digest_on_server", refuse)
        with SFTP(proftpd_sftp.target()) as transport:
            assert done(transport.upload([make_upload("a.txt", b"hello")])) == ["a.txt"]
            assert transport.hash_kind == ""
