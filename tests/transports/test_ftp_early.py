"""The next data port is asked for before the server has said that it has the file: in time, too early, too late.

The server of these tests decides what the question meets, by waiting for it or not waiting for it.
"""

import select
import socket
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from types import SimpleNamespace

import pytest

from ftp_deploy.exceptions import PermissionRefused, StorageFull, VerificationFailed
from ftp_deploy.transports import crew, ftp_server, open_transport
from ftp_deploy.transports.ftp_control import Control
from ftp_deploy.transports.ftp_data import DataConnection
from ftp_deploy.transports.ftp_early import FIRST_DELAY, LONGEST, SHORTEST, EarlyPort
from ftp_deploy.transports.ftp_replies import Question
from tests.servers.raw import RawServer
from tests.transports.contract import done, make_upload

TREE = {f"file{number}.txt": b"x" * number for number in range(7)}

pytestmark = pytest.mark.integration


@dataclass
class BusyFTP:
    """A server that refuses EPSV during a transfer. ``mood``: when it waits for the command that follows the data.

    "busy": before it has read the end of the file. "done": after that, before it says so. "quick": it does not wait.
    "ahead": before the end of the file, and it names a port at once, as no ProFTPD does.
    """

    mood: str
    total: int = len(TREE)
    """How often it will be told to store something."""
    lies: dict[str, int] = field(default_factory=dict)
    """Sizes that it makes up, by path; each is told once."""
    refused: set[str] = field(default_factory=set)
    """Paths that it does not store."""
    too_large: set[str] = field(default_factory=set)
    """Paths for which it finds no room once the data is there."""
    files: dict[str, bytes] = field(default_factory=dict)
    seen: list[str] = field(default_factory=list)

    def talk(self, connection: socket.socket) -> None:
        self.connection = connection
        with connection.makefile("rb") as self.lines, socket.create_server(("127.0.0.1", 0)) as self.listener:
            self.say("220 ProFTPD Server (Test) [127.0.0.1]")
            while line := self.read():
                self.answer(*line.partition(" ")[::2])

    def say(self, text: str) -> None:
        self.connection.sendall(f"{text}\r\n".encode())

    def read(self) -> str:
        line = self.lines.readline().decode().rstrip("\r\n")
        self.seen.append(line)
        return line

    def answer(self, command: str, path: str) -> None:
        if command == "EPSV":
            self.say(f"229 Entering Extended Passive Mode (|||{self.listener.getsockname()[1]}|)")
        elif command == "STOR":
            self.store(path)
        elif command == "SIZE":
            size = self.lies.pop(path, None)
            self.say(f"213 {len(self.files[path]) if size is None else size}")
        else:
            replies = {"USER": "331 Password", "PASS": "230 In", "PWD": '257 "/"', "FEAT": "211 None"}
            self.say(replies.get(command, "200 Fine"))

    def take_question(self) -> None:
        if self.read() != "EPSV":
            raise ConnectionError("The client hung up.")

    @property
    def is_asked(self) -> bool:
        """Wait for a command, unless the last file is under way, which no question follows."""
        if sum(line.startswith("STOR") for line in self.seen) >= self.total:
            return False
        return bool(select.select([self.connection], [], [], 5)[0])

    def store(self, path: str) -> None:
        self.listener.settimeout(10)
        data, _ = self.listener.accept()
        if path in self.refused:
            data.close()
            self.say(f"550 {path}: Permission denied")
            return
        with data:
            data.settimeout(10)
            self.say("150 Opening BINARY mode data connection")
            if self.mood == "busy" and self.is_asked:
                self.take_question()
                self.say("450 EPSV: data transfer in progress")
            if self.mood == "ahead" and self.is_asked:
                self.take_question()
                self.answer("EPSV", "")
            self.files[path] = b"".join(iter(lambda: data.recv(65536), b""))
        if path in self.too_large:
            self.say("552 Quota exceeded")
        elif self.mood == "done" and self.is_asked:
            self.take_question()
            self.say("226 Transfer complete")
            self.answer("EPSV", "")
        else:
            self.say("226 Transfer complete")


@pytest.fixture
def begin(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[BusyFTP], RawServer]]:
    monkeypatch.setattr(crew, "FIRST_PAUSE", 0.0)
    running: list[RawServer] = []

    def start(busy: BusyFTP) -> RawServer:
        running.append(RawServer(busy.talk))
        return running[-1]

    yield start
    for server in running:
        server.stop()


def send(server: RawServer, tree: dict[str, bytes] = TREE) -> list[str]:
    with open_transport(server.target(max_connections=1, reply_timeout=10.0)) as transport:
        return sorted(done(transport.upload([make_upload(path, content) for path, content in tree.items()])))


def arrived(busy: BusyFTP) -> dict[str, bytes]:
    return {path.lstrip("/"): content for path, content in busy.files.items()}


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="only Linux tells what has left")
class TestTheQuestion:
    def test_in_time(self, begin: Callable[[BusyFTP], RawServer]) -> None:
        """The port comes with the final reply, and the size is asked for together with the next file."""
        busy = BusyFTP("done")
        assert send(begin(busy)) == sorted(TREE)
        assert arrived(busy) == TREE
        first = busy.seen.index("STOR /file6.txt")
        assert busy.seen[first : first + 4] == ["STOR /file6.txt", "EPSV", "SIZE /file6.txt", "STOR /file5.txt"]
        assert sum(line == "EPSV" for line in busy.seen) == len(TREE)

    def test_too_early(self, begin: Callable[[BusyFTP], RawServer]) -> None:
        """A refusal costs one command: it is asked again, the size before that."""
        busy = BusyFTP("busy")
        assert send(begin(busy)) == sorted(TREE)
        assert arrived(busy) == TREE
        first = busy.seen.index("STOR /file6.txt")
        expected = ["STOR /file6.txt", "EPSV", "SIZE /file6.txt", "EPSV", "STOR /file5.txt"]
        assert busy.seen[first : first + 5] == expected

    def test_too_late(self, begin: Callable[[BusyFTP], RawServer], monkeypatch: pytest.MonkeyPatch) -> None:
        """Where the server was faster nothing is asked twice."""
        monkeypatch.setattr(ftp_server, "EarlyPort", patient)
        busy = BusyFTP("quick")
        assert send(begin(busy)) == sorted(TREE)
        assert arrived(busy) == TREE
        assert sum(line == "EPSV" for line in busy.seen) == len(TREE)

    def test_a_port_before_the_final_reply_is_not_taken_for_that(self, begin: Callable[[BusyFTP], RawServer]) -> None:
        busy = BusyFTP("ahead")
        assert send(begin(busy)) == sorted(TREE)
        assert arrived(busy) == TREE
        assert sum(line == "EPSV" for line in busy.seen) == len(TREE)
        full = BusyFTP("ahead", too_large={"/file3.txt"}, total=1000)
        with pytest.raises(StorageFull, match=r"file3.txt.*552"):
            send(begin(full))

    def test_long_names_are_not_sent_behind_questions(
        self, begin: Callable[[BusyFTP], RawServer], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """ProFTPD may misread a STOR where more is under way than the window allows."""
        put = Control.put
        asked: list[str] = []

        def spy(control: Control, questions: list[Question]) -> None:
            asked.extend(question.command for question in questions)
            put(control, questions)

        monkeypatch.setattr(Control, "put", spy)
        long = {f"{'d' * 200}/{'e' * 240}/{path}": content for path, content in TREE.items()}
        busy = BusyFTP("done")
        assert send(begin(busy), long) == sorted(long)
        assert arrived(busy) == long
        assert not asked
        assert sum(line.startswith("SIZE") for line in busy.seen) == sum(line == "EPSV" for line in busy.seen) == 7
        assert send(begin(BusyFTP("done"))) == sorted(TREE)
        assert len(asked) == len(TREE) - 1

    def test_a_wrong_size_is_noticed_with_the_next_file(self, begin: Callable[[BusyFTP], RawServer]) -> None:
        busy = BusyFTP("done", lies={"/file3.txt": 2}, total=len(TREE) + 2)
        assert send(begin(busy)) == sorted(TREE)
        assert arrived(busy) == TREE
        assert sum(line == "STOR /file3.txt" for line in busy.seen) == 2

    def test_a_size_that_stays_wrong_is_an_error_with_the_right_name(
        self, begin: Callable[[BusyFTP], RawServer]
    ) -> None:
        class Liar(dict[str, int]):
            def pop(self, path: str, default: object = None) -> int | None:  # type: ignore[override]
                return 2 if path == "/file3.txt" else None

        busy = BusyFTP("done", lies=Liar(), total=1000)
        with pytest.raises(VerificationFailed, match=r"file3.txt has 3 bytes"):
            send(begin(busy))

    def test_a_refusal_of_the_next_file_blames_that_one(self, begin: Callable[[BusyFTP], RawServer]) -> None:
        busy = BusyFTP("done", refused={"/file2.txt"}, total=1000)
        with pytest.raises(PermissionRefused, match=r"file2.txt.*550"):
            send(begin(busy))
        assert {"file6.txt", "file5.txt", "file4.txt", "file3.txt"} <= set(arrived(busy))


def test_a_server_that_stops_reading_is_not_waited_for_without_an_end() -> None:
    data = DataConnection.__new__(DataConnection)
    data.final = None
    data.control = SimpleNamespace(  # type: ignore[assignment]
        target=SimpleNamespace(reply_timeout=0.05), reply_at_hand=lambda seconds: None
    )
    data._unsent = lambda: 1  # type: ignore[method-assign]
    assert not data.outlast(0.001)


def patient() -> EarlyPort:
    """Waits so long that every server answers first."""
    early = EarlyPort()
    early.delay = 8.0
    early.too_late = lambda: None  # type: ignore[method-assign]
    return early


class TestTheDelay:
    def test_it_grows_when_the_server_is_busy_and_shrinks_when_it_is_not(self) -> None:
        early = EarlyPort()
        early.too_early(early.delay)
        assert early.delay > FIRST_DELAY
        for _ in range(1000):
            early.in_time()
        assert early.delay == SHORTEST

    def test_connections_that_find_it_too_short_together_lengthen_it_once(self) -> None:
        early = EarlyPort()
        before = early.delay
        for _ in range(32):
            early.too_early(before)
        assert early.delay < 2 * before

    def test_it_has_a_limit_and_finds_its_way_back(self) -> None:
        early = EarlyPort()
        for _ in range(100):
            early.too_early(early.delay)
        assert early.delay == LONGEST
        for _ in range(100):
            early.too_late()
        assert early.delay == SHORTEST
