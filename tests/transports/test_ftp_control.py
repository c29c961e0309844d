"""The control connection: what is no FTP server, greetings and log-ins, and commands that never leave."""

import socket
import time
from collections.abc import Callable, Iterator

import pytest

from ftp_deploy.exceptions import ConnectionFailed, FeatureMissing, LoginRefused, TransportError, UnsafePath
from ftp_deploy.transports import crew, open_transport
from ftp_deploy.transports.base import Target
from ftp_deploy.transports.ftp_control import Control
from tests.servers.raw import RawServer, Talk

pytestmark = pytest.mark.integration


@pytest.fixture(autouse=True)
def short_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(crew, "FIRST_PAUSE", 0.01)


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


def conversation(greeting: bytes = b"220 hi\r\n", **replies: bytes) -> tuple[Talk, list[str]]:
    """A server that answers each command, and the commands that it has read."""
    heard: list[str] = []
    known = {"USER": b"331 password?", "PASS": b"230 in", "PWD": b'257 "/"', "FEAT": b"211-x\r\n SIZE\r\n211 end"}
    known |= replies

    def talk(connection: socket.socket) -> None:
        connection.sendall(greeting)
        with connection.makefile("rb") as lines:
            for line in lines:
                heard.append(line.decode().rstrip("\r\n"))
                connection.sendall(known.get(heard[-1].split(" ")[0], b"200 fine") + b"\r\n")

    return talk, heard


def test_a_greeting_that_asks_for_patience(raw: Callable[..., RawServer]) -> None:
    """RFC 959, 120: ready in some minutes; 220 follows."""
    talk, heard = conversation(b"120 Ready in a minute.\r\n220 hi\r\n")
    with open_transport(raw(talk).target()) as transport:
        assert transport.traits.features == ("SIZE",)
    assert heard[0] == "USER u"


@pytest.mark.parametrize(
    ("reply", "kind", "words"),
    [
        (b"450 not now", ConnectionFailed, "could not log in u: 450 not now"),
        (b"200 what?", ConnectionFailed, "could not log in u: 200 what?"),
        (b"430 wrong", LoginRefused, "refused the login of u: 430 wrong"),
        (b"530 wrong", LoginRefused, "refused the login of u: 530 wrong"),
    ],
)
def test_only_a_refusal_is_a_refused_login(
    raw: Callable[..., RawServer], reply: bytes, kind: type[TransportError], words: str
) -> None:
    """What may pass is tried again later; a wrong password waits for a person."""
    talk, _ = conversation(PASS=reply)
    with pytest.raises(TransportError, match=words) as caught:
        open_transport(raw(talk).target()).connect()
    assert type(caught.value) is kind


def test_a_server_without_binary_transfers_is_told_so(raw: Callable[..., RawServer]) -> None:
    talk, _ = conversation(TYPE=b"504 text only")
    with pytest.raises(FeatureMissing, match="refused TYPE I: 504 text only"):
        open_transport(raw(talk).target()).connect()


def test_a_hash_that_was_offered_and_is_refused_is_not_used(raw: Callable[..., RawServer]) -> None:
    talk, heard = conversation(FEAT=b"211-x\r\n HASH SHA-256\r\n211 end", OPTS=b"501 no")
    with open_transport(raw(talk).target()) as transport:
        assert transport.hash_kind == ""
    assert "OPTS HASH SHA-256" in heard


@pytest.mark.parametrize(
    "command",
    ["STOR a\r\nDELE victim", "STOR a\nb", "STOR a\0b", "STOR a\udcff"],
    ids=["CRLF", "LF", "NUL", "no UTF-8"],
)
def test_the_last_door_keeps_back_what_is_no_single_command(raw: Callable[..., RawServer], command: str) -> None:
    talk, heard = conversation()
    with open_transport(raw(talk).target()) as transport:
        control = Control(transport.server)  # type: ignore[attr-defined]
        with pytest.raises(UnsafePath, match="was kept from the server"):
            control.send("NOOP", command)
        assert control.ask("NOOP").code == 200
        control.close()
    assert not [line for line in heard if "STOR" in line or "DELE" in line]


def test_replies_are_taken_as_they_come(raw: Callable[..., RawServer]) -> None:
    """Without waiting: none that has not come, and each of two that came together."""
    talk, _ = conversation(SITE=b"200 one\r\n200 two")
    with open_transport(raw(talk).target(reply_timeout=30.0)) as transport:
        control = Control(transport.server)  # type: ignore[attr-defined]
        assert control.reply_at_hand() is None
        assert control.ask("SITE").text == "one"
        told = control.reply_at_hand() or control.read_reply()
        assert told.text == "two"
        control.close()
