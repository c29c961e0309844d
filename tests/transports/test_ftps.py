"""FTPS, explicit and implicit, against four servers; session reuse; who the server is."""

import socket
import ssl
import threading
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from OpenSSL import SSL, crypto

from ftp_deploy.exceptions import ConfigurationError, ConnectionFailed, FeatureMissing, IdentityRefused, TransferFailed
from ftp_deploy.transports import addresses, crew, open_transport
from ftp_deploy.transports.base import Rename, Target
from ftp_deploy.transports.ftp_control import Control
from ftp_deploy.transports.ftp_data import DataConnection
from ftp_deploy.transports.ftp_replies import Reply
from ftp_deploy.transports.ftp_server import Server
from tests.servers.base import FTPServer
from tests.servers.certificates import Certificates, make_certificates
from tests.servers.fixtures import StartServer
from tests.servers.proxy import TO_SERVER, Proxy
from tests.transports.contract import (
    Place,
    TransportContract,
    contents,
    directories,
    done,
    finish,
    make_upload,
    unguarded,
)

pytestmark = pytest.mark.integration

KINDS = [
    ("vsftpd", "explicit"),
    ("vsftpd", "implicit"),
    ("proftpd", "explicit"),
    ("proftpd", "implicit"),
    ("pure-ftpd", "explicit"),
    ("pyftpdlib", "explicit"),
]


class TestExplicitFTPS(TransportContract):
    """The contract, on the server that insists on session reuse."""

    @pytest.fixture
    def place(self, start_server: StartServer) -> Place:
        return start_server("vsftpd", "explicit", require_reuse=True)


@pytest.mark.parametrize(("name", "tls"), KINDS)
@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3], ids=["1.2", "1.3"])
def test_every_server_and_version(
    start_server: StartServer, name: str, tls: str, version: ssl.TLSVersion, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A tree with many empty files arrives, is renamed, listed, read back, and deleted."""
    from ftp_deploy.transports import ftp_server

    make_context = ftp_server.make_context

    def only_this_version(*arguments: Any) -> ssl.SSLContext:
        context = make_context(*arguments)
        context.minimum_version = context.maximum_version = version
        return context

    monkeypatch.setattr(ftp_server, "make_context", only_this_version)
    server = start_server(name, tls)
    tree = {**contents(30), **{f"d0/sub/empty {number}": b"" for number in range(20)}}
    with open_transport(server.target()) as transport:
        transport.make_directories(directories(tree))
        uploads = [make_upload(f"{path}.tmp", content) for path, content in tree.items()]
        assert len(done(transport.upload(uploads))) == len(tree)
        finish(transport.rename([Rename(f"{path}.tmp", path) for path in tree], unguarded))
        assert {path: server.read(path) for path in tree} == tree
        assert server.files() == set(tree)
        assert {one.path for one in transport.walk() if not one.is_directory} == set(tree)
        some = sorted(tree)[0]
        assert b"".join(transport.download(some)) == tree[some]
        finish(transport.delete(list(tree), unguarded))
        assert server.files() == set()


@pytest.mark.parametrize(("name", "tls"), KINDS)
def test_the_data_connections_are_encrypted(start_server: StartServer, name: str, tls: str, tap: "Tap") -> None:
    server = start_server(name, tls)
    with open_transport(server.target()) as transport:
        finish(transport.upload([make_upload("page.html", b"canary-content " * 100)]))
    assert server.read("page.html") == b"canary-content " * 100
    assert tap.sent or tls == "implicit"
    assert b"canary" not in tap.sent
    assert server.password.encode() not in tap.sent


class Tap:
    """Everything that is written to raw sockets."""

    def __init__(self) -> None:
        self.sent = bytearray()


@pytest.fixture
def tap(monkeypatch: pytest.MonkeyPatch) -> Tap:
    """Sockets made by the transport write down what they send in clear text."""
    from ftp_deploy.transports import addresses

    found = Tap()

    class Tapped(socket.socket):
        def send(self, data: Any, *arguments: Any) -> int:
            found.sent.extend(bytes(data))
            return super().send(data, *arguments)

        def sendall(self, data: Any, *arguments: Any) -> None:
            found.sent.extend(bytes(data))
            super().sendall(data, *arguments)

    monkeypatch.setattr(addresses.socket, "socket", Tapped)
    return found


class TestIdentity:
    def test_an_unknown_authority_is_refused(self, start_server: StartServer) -> None:
        server = start_server("vsftpd", "explicit")
        with pytest.raises(IdentityRefused, match="cannot be trusted") as caught:
            open_transport(server.target(certificate_authority="")).connect()
        assert "fingerprint" in caught.value.advice
        assert "PASS" not in server.log_text()

    def test_the_refusal_shows_the_fingerprint(self, start_server: StartServer, certificates: Certificates) -> None:
        server = start_server("vsftpd", "explicit")
        with pytest.raises(IdentityRefused) as caught:
            open_transport(server.target(certificate_authority="")).connect()
        assert caught.value.reply.replace(":", "").removeprefix("SHA256").lower() == certificates.fingerprint
        assert caught.value.reply in caught.value.message

    def test_another_host_name_is_refused(self, start_server: StartServer, tmp_path: Path) -> None:
        other = make_certificates(tmp_path, names=("other.example",))
        server = start_server("vsftpd", "explicit")
        server.certificates = other
        server.kill()
        server.start()
        with pytest.raises(IdentityRefused, match="cannot be trusted"):
            open_transport(server.target()).connect()

    @pytest.mark.parametrize("tls", ["explicit", "implicit"])
    def test_a_pinned_fingerprint(self, start_server: StartServer, certificates: Certificates, tls: str) -> None:
        server = start_server("vsftpd", tls)
        target = server.target(certificate_authority="", fingerprint=certificates.fingerprint)
        with open_transport(target) as transport:
            finish(transport.upload([make_upload("page.html", b"x")]))
        wrong = "SHA256:" + ":".join(["AB"] * 32)
        with pytest.raises(IdentityRefused, match="not the accepted one") as caught:
            open_transport(server.target(fingerprint=wrong)).connect()
        assert caught.value.reply.replace(":", "").removeprefix("SHA256").lower() == certificates.fingerprint

    def test_a_certificate_that_changes_midway_stops_everything(
        self, start_server: StartServer, certificates: Certificates, tmp_path: Path
    ) -> None:
        server = start_server("proftpd", "explicit")
        with open_transport(server.target(fingerprint=certificates.fingerprint)) as transport:
            finish(transport.upload([make_upload("a.html", b"x")]))
            server.kill()
            server.certificates = make_certificates(tmp_path)
            server.start()
            with pytest.raises(IdentityRefused):
                finish(transport.upload([make_upload("b.html", b"x")]))
        assert server.files() == {"a.html"}

    def test_no_check_where_the_service_says_so(self, start_server: StartServer) -> None:
        server = start_server("vsftpd", "explicit")
        with open_transport(server.target(certificate_authority="", verify_certificate=False)) as transport:
            finish(transport.upload([make_upload("page.html", b"x")]))
        assert server.files() == {"page.html"}

    @pytest.mark.parametrize("text", ["nonsense", "SHA256:AB", "md5:" + "ab" * 32])
    def test_an_unreadable_fingerprint(self, start_server: StartServer, text: str) -> None:
        server = start_server("vsftpd", "explicit")
        with pytest.raises(ConfigurationError, match="fingerprint"):
            open_transport(server.target(fingerprint=text)).connect()

    def test_an_unreadable_authority(self, start_server: StartServer) -> None:
        server = start_server("vsftpd", "explicit")
        with pytest.raises(ConfigurationError, match="authority"):
            open_transport(server.target(certificate_authority="no PEM")).connect()


class TestNeverInClearText:
    def test_a_server_without_tls(self, pyftpd_server: FTPServer) -> None:
        with pytest.raises(FeatureMissing, match="no TLS"):
            open_transport(pyftpd_server.target(protocol="ftps")).connect()
        assert "PASS" not in pyftpd_server.log_text()
        assert "USER" not in pyftpd_server.log_text()

    def test_implicit_tls_to_a_server_in_clear_text(self, pyftpd_server: FTPServer) -> None:
        target = pyftpd_server.target(protocol="ftps-implicit", connect_timeout=2.0)
        with pytest.raises(ConnectionFailed, match="TLS"):
            open_transport(target).connect()
        assert "USER" not in pyftpd_server.log_text()

    def test_words_slipped_in_before_tls_are_refused(self, slipping: int) -> None:
        from ftp_deploy.transports.base import Target

        target = Target(
            "ftps", "127.0.0.1", "u", "/", port=slipping, password="p", allow_private_addresses=True, reply_timeout=5.0
        )
        with pytest.raises(ConnectionFailed, match="after it had agreed to TLS"):
            open_transport(target).connect()

    @pytest.fixture
    def slipping(self) -> Iterator[int]:
        """A server that sends a reply in the same packet as its 234."""
        listener = socket.create_server(("127.0.0.1", 0))
        stop = threading.Event()

        def serve() -> None:
            listener.settimeout(0.1)
            while not stop.is_set():
                try:
                    connection, _ = listener.accept()
                except TimeoutError:
                    continue
                with connection:
                    connection.settimeout(5)
                    connection.sendall(b"220 hello\r\n")
                    connection.recv(100)
                    connection.sendall(b"234 go\r\n230 you are in\r\n")
                    connection.recv(1000)

        thread = threading.Thread(target=serve)
        thread.start()
        yield listener.getsockname()[1]
        stop.set()
        thread.join()
        listener.close()


OFFERS_1_3 = b"\x00\x2b\x00\x05\x04\x03\x04\x03\x03"
"""The extension of a ClientHello that offers TLS 1.3 and 1.2 (RFC 8446 section 4.2.1)."""


class Intolerant(Proxy):
    """A box in between that cuts every connection on which TLS 1.3, or TLS at all, is offered."""

    offered: bytes = OFFERS_1_3

    async def _changed(self, data: bytes, direction: str) -> bytes:
        if direction == TO_SERVER and data[:2] == b"\x16\x03" and self.offered in data:
            await self._reset()
            return b""
        return data


class TestServersThatBreakOnTLS13:
    """After the second time TLS 1.2 is spoken, and remembered; there is no way to clear text."""

    def test_on_the_control_connection(self, start_server: StartServer) -> None:
        server = start_server("vsftpd", "explicit")
        with Intolerant(server.port) as box, open_transport(server.target(port=box.port)) as transport:
            assert done(transport.upload([make_upload("page.html", b"x")])) == ["page.html"]
            assert transport.traits.tls_1_2 is True
            opened = box.connections
            with open_transport(server.target(port=box.port, traits=transport.traits)) as again:
                again.sizes(["page.html"])
            assert box.connections == opened + 1
        assert server.read("page.html") == b"x"

    def test_on_data_connections(self, start_server: StartServer) -> None:
        server = start_server("pyftpdlib", "explicit", attributes={"dtp_handler": breaking_data_handler()})
        with open_transport(server.target(max_connections=1)) as transport:
            tree = {f"{number}.html": b"x" * number for number in range(5)}
            assert sorted(done(transport.upload([make_upload(*one) for one in tree.items()]))) == sorted(tree)
            assert transport.traits.tls_1_2 is True
        assert {path: server.read(path) for path in tree} == tree

    def test_what_breaks_on_1_2_as_well_is_an_error(self, start_server: StartServer, short_pauses: None) -> None:
        server = start_server("vsftpd", "explicit")
        with Intolerant(server.port) as box:
            box.offered = b""
            transport = open_transport(server.target(port=box.port))
            with pytest.raises(ConnectionFailed, match="TLS"):
                transport.connect()
        assert "USER" not in server.log_text()
        assert "PASS" not in server.log_text()

    def test_a_cut_after_it_had_worked_is_no_reason(self, start_server: StartServer) -> None:
        server = start_server("vsftpd", "explicit")
        with Proxy(server.port) as line, open_transport(server.target(port=line.port)) as transport:
            finish(transport.upload([make_upload("a.html", b"x")]))
            for _ in range(3):
                line.reset()
                finish(transport.upload([make_upload("b.html", b"x")]))
            assert transport.traits.tls_1_2 is None

    def test_a_broken_handshake_and_the_servers_word_on_it_count_once(self, monkeypatch: pytest.MonkeyPatch) -> None:
        def break_off(*_arguments: object) -> None:
            raise ConnectionResetError

        monkeypatch.setattr(addresses, "connect", lambda *_arguments: socket.socket())
        monkeypatch.setattr(DataConnection, "_start_tls", break_off)
        control = silent_control()
        for known in (None, True):
            with pytest.raises(TransferFailed, match="425"):
                DataConnection(control, 1024, "STOR page.html", doing="upload page.html")
            assert control.server.traits.tls_1_2 is known

    def test_connections_that_we_cut_ourselves_are_no_reason(self) -> None:
        control = silent_control()
        control.abort()
        for _ in range(3):
            assert not control.doubt_tls(control.context)
        assert control.server.traits.tls_1_2 is None

    @pytest.fixture
    def short_pauses(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(crew, "FIRST_PAUSE", 0.01)


def silent_control() -> Control:
    """A control connection of which nothing is real but what it knows; each question is answered by a 425."""
    target = Target("ftps", "127.0.0.1", "u", "/", allow_private_addresses=True)
    control = Control.__new__(Control)
    control.server = Server(target, tls=True, implicit=False, default_port=21)
    control.target, control.context = target, control.server.context
    control.peer = control.server.addresses[0]
    control._aborted, control._lock, control._watched = False, threading.Lock(), []
    answers: Any = {"send": lambda *_: None, "read_reply": lambda *_: Reply(425, "Cannot open data connection.")}
    control.__dict__.update(answers)
    return control


def breaking_data_handler() -> type:
    """A data connection that is closed where its control connection speaks TLS 1.3."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        from pyftpdlib.handlers import TLS_DTPHandler

    class Breaking(TLS_DTPHandler):  # type: ignore[misc]
        def __init__(self, sock: Any, cmd_channel: Any) -> None:
            super().__init__(sock, cmd_channel)
            if cmd_channel.socket.get_protocol_version_name() == "TLSv1.3":
                cmd_channel.respond("425 Unable to build data connection.")
                self.close()

    return Breaking


def test_a_server_without_the_guessed_curve(start_server: StartServer, certificates: Certificates) -> None:
    """vsftpd is offered P-256 alone; one that knows only another curve is asked again with all of them."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        context = SSL.Context(SSL.TLS_SERVER_METHOD)
        context.set_tmp_ecdh(crypto.get_elliptic_curve("secp384r1"))
    context.use_certificate_chain_file(str(certificates.certificate))
    context.use_privatekey_file(str(certificates.key))
    attributes = {"banner": "vsFTPd of another make", "ssl_context": context}
    server = start_server("pyftpdlib", "explicit", attributes=attributes)
    with open_transport(server.target()) as transport:
        assert "vsftpd" in transport.traits.banner.lower()
        assert transport.traits.tls_1_2 is None
    assert server.log_text().count("AUTH") == 2
