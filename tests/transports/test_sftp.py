"""SFTP against real servers: the contract, the logins, the host key."""

import base64
import contextlib
import stat
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

import asyncssh
import pytest

from ftp_deploy.exceptions import AddressRefused, ConnectionFailed, IdentityRefused, LoginRefused
from ftp_deploy.transports.base import Target, Transport
from ftp_deploy.transports.sftp import SFTP
from tests.servers.ports import free_port
from tests.servers.sshd import OpenSSH, ThreadedSFTP, threaded_sftp
from tests.transports.contract import Place, TransportContract, finish, make_upload

pytestmark = pytest.mark.integration


@pytest.fixture(scope="module")
def running() -> Iterator[OpenSSH]:
    with OpenSSH() as server:
        yield server


@pytest.fixture
def server(running: OpenSSH) -> OpenSSH:
    running.clear()
    return running


class TestOpenSSH(TransportContract):
    @pytest.fixture
    def place(self, server: OpenSSH) -> OpenSSH:
        return server

    def check_mode_and_time(self, transport: Transport, place: Place, path: str, mode: int, modified: datetime) -> None:
        assert isinstance(place, OpenSSH)
        found = (place.folder / path).stat()
        assert stat.S_IMODE(found.st_mode) == mode
        assert found.st_mtime == modified.timestamp()


class ThreadedPlace:
    """The asyncssh server as the contract sees it."""

    def __init__(self, server: ThreadedSFTP) -> None:
        self.server = server

    def target(self, **changes: Any) -> Target:
        return self.server.target(**changes)

    def read(self, path: str) -> bytes | None:
        place = self.server.folder / path
        return place.read_bytes() if place.is_file() else None

    def write(self, path: str, content: bytes) -> None:
        place = self.server.folder / path
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_bytes(content)

    def make_folder(self, path: str) -> None:
        (self.server.folder / path).mkdir(parents=True, exist_ok=True)

    def files(self) -> set[str]:
        root = self.server.folder
        return {str(place.relative_to(root)) for place in root.rglob("*") if place.is_file()}

    def folders(self) -> set[str]:
        root = self.server.folder
        return {str(place.relative_to(root)) for place in root.rglob("*") if place.is_dir()}


class TestAsyncSSH(TransportContract):
    """A server that answers out of order and tells no limits, with a login by password."""

    @pytest.fixture
    def place(self, tmp_path: Path) -> Iterator[ThreadedPlace]:
        with threaded_sftp(tmp_path) as server:
            yield ThreadedPlace(server)


def log_in(target: Target) -> None:
    with SFTP(target) as transport:
        assert list(transport.walk()) == []


class TestHostKey:
    def test_no_fingerprint_shows_the_one_to_accept(self, server: OpenSSH) -> None:
        with pytest.raises(IdentityRefused) as caught:
            log_in(server.target(fingerprint=""))
        assert server.fingerprint in caught.value.message
        assert caught.value.reply == server.fingerprint
        log_in(server.target(fingerprint=caught.value.reply))

    def test_another_fingerprint_is_refused(self, server: OpenSSH) -> None:
        other = asyncssh.generate_private_key("ssh-ed25519").get_fingerprint()
        with pytest.raises(IdentityRefused) as caught:
            log_in(server.target(fingerprint=other))
        assert server.fingerprint in caught.value.message
        assert other in caught.value.message
        assert "Accepted" not in server.log_text().rpartition("Connection from")[2]

    @pytest.mark.parametrize("written", ["bare", "padded", "hexadecimal", "colons"])
    def test_other_ways_to_write_it(self, server: OpenSSH, written: str) -> None:
        bare = server.fingerprint.removeprefix("SHA256:")
        digest = base64.b64decode(bare + "=")
        forms = {
            "bare": bare,
            "padded": f" SHA256:{bare}= ",
            "hexadecimal": digest.hex(),
            "colons": digest.hex(":").upper(),
        }
        log_in(server.target(fingerprint=forms[written]))

    @pytest.mark.parametrize("nonsense", ["x", "SHA256:", "MD5:aa:bb", "SHA256:" + "ä" * 43, "yes"])
    def test_nonsense_never_matches(self, server: OpenSSH, nonsense: str) -> None:
        with pytest.raises(IdentityRefused):
            log_in(server.target(fingerprint=nonsense))

    def test_any_of_the_servers_keys_may_be_pinned(self) -> None:
        with OpenSSH(host_keys=["ssh-ed25519", "ssh-rsa", "ecdsa-sha2-nistp256"]) as server:
            for key in server.host_keys:
                log_in(server.target(fingerprint=key.get_fingerprint()))
            other = asyncssh.generate_private_key("ssh-rsa").get_fingerprint()
            with pytest.raises(IdentityRefused, match=server.fingerprint.replace("+", r"\+")):
                log_in(server.target(fingerprint=other))

    def test_a_key_that_changes_in_between_stops(self, tmp_path: Path) -> None:
        with OpenSSH() as server:
            transport = SFTP(server.target())
            transport.connect()
            server.host_keys = [asyncssh.generate_private_key("ssh-ed25519")]
            server.kill()
            server.start()
            with contextlib.closing(transport), pytest.raises(IdentityRefused):
                finish(transport.upload([make_upload("page.html", b"new")]))
            assert server.files() == set()


class TestLogin:
    def test_password(self, tmp_path: Path) -> None:
        with threaded_sftp(tmp_path) as server:
            log_in(server.target())
            assert server.passwords_tried == [server.password]

    def test_a_wrong_password_is_tried_once(self, tmp_path: Path) -> None:
        with threaded_sftp(tmp_path) as server:
            with pytest.raises(LoginRefused) as caught:
                log_in(server.target(password="wrong-canary"))
            assert server.passwords_tried == ["wrong-canary"]
            assert "wrong-canary" not in f"{caught.value!r} {caught.value.reply} {caught.value.advice}"

    @pytest.mark.parametrize("form", ["openssh", "pkcs8-pem", "pkcs1-pem"])
    @pytest.mark.parametrize("kind", ["ssh-rsa", "ecdsa-sha2-nistp256", "ssh-ed25519"])
    def test_keys_with_a_passphrase(self, server: OpenSSH, kind: str, form: str) -> None:
        if (kind, form) == ("ssh-ed25519", "pkcs1-pem"):
            pytest.skip("there is no such format")
        key = asyncssh.generate_private_key(kind)
        with (server.base / "authorized").open("ab") as authorized:
            authorized.write(key.export_public_key())
        text = key.export_private_key(form, passphrase="ein Satz").decode()
        log_in(server.target(private_key=text, passphrase="ein Satz"))
        for wrong in ("", "falsch"):
            with pytest.raises(LoginRefused) as caught:
                log_in(server.target(private_key=text, passphrase=wrong))
            assert "key" in caught.value.message
            assert text.split("\n")[-3] not in str(caught.value)

    def test_a_key_that_the_server_does_not_know(self, server: OpenSSH) -> None:
        stranger = asyncssh.generate_private_key("ssh-ed25519").export_private_key().decode()
        with pytest.raises(LoginRefused):
            log_in(server.target(private_key=stranger))

    def test_a_key_that_is_none(self, server: OpenSSH) -> None:
        with pytest.raises(LoginRefused, match="cannot be read"):
            log_in(server.target(private_key="ssh-ed25519 AAAA public"))

    def test_the_keys_of_this_machine_are_not_used(
        self, server: OpenSSH, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        (tmp_path / ".ssh").mkdir()
        server.user_key.write_private_key(tmp_path / ".ssh" / "id_ed25519")
        (tmp_path / ".ssh" / "config").write_text("Host *\n  User somebody\n")
        monkeypatch.setenv("HOME", str(tmp_path))
        log_in(server.target())
        with pytest.raises(LoginRefused):
            log_in(server.target(private_key="", password="none"))


class TestConnecting:
    def test_nobody_listens(self) -> None:
        target = Target("sftp", "127.0.0.1", "web", "/", port=free_port(), allow_private_addresses=True)
        with pytest.raises(ConnectionFailed, match=r"127\.0\.0\.1"):
            SFTP(target).connect()

    def test_private_addresses(self, server: OpenSSH) -> None:
        with pytest.raises(AddressRefused):
            SFTP(server.target(allow_private_addresses=False)).connect()

    def test_ipv6(self) -> None:
        with OpenSSH(host="::1") as server:
            log_in(server.target())

    def test_a_closed_transport_says_so(self, server: OpenSSH) -> None:
        transport = SFTP(server.target())
        with pytest.raises(ConnectionFailed):
            transport.sizes(["a"])

    def test_a_path_relative_to_the_login_directory(self, tmp_path: Path) -> None:
        (tmp_path / "www").mkdir()
        with threaded_sftp(tmp_path) as server, SFTP(server.target(path="www")) as transport:
            transport.probe()
            finish(transport.upload([make_upload("page.html", b"new")]))
        assert (tmp_path / "www" / "page.html").read_bytes() == b"new"
