"""The server in memory keeps the same contract as the real ones."""

from datetime import datetime
from itertools import count
from typing import Any

import pytest

from ftp_deploy.exceptions import ConnectionFailed, LoginRefused, PermissionRefused
from ftp_deploy.transports import memory
from ftp_deploy.transports.base import Target, Transport
from tests.transports.contract import Place, TransportContract, finish, make_upload

NUMBERS = count()


class MemoryPlace:
    root = "/site/www"

    def __init__(self) -> None:
        self.host = f"memory-{next(NUMBERS)}.test"
        memory.store(self.host).directories.update({"/", "/site", self.root})

    def target(self, **changes: Any) -> Target:
        values = {"protocol": "memory", "host": self.host, "username": "u", "path": self.root}
        return Target(**{**values, **changes})

    def read(self, path: str) -> bytes | None:
        return memory.store(self.host).tree(self.root).get(path)

    def write(self, path: str, content: bytes) -> None:
        memory.put(self.host, f"{self.root}/{path}", content)

    def make_folder(self, path: str) -> None:
        memory.put(self.host, f"{self.root}/{path}/x", b"")
        del memory.store(self.host).files[f"{self.root}/{path}/x"]

    def files(self) -> set[str]:
        return set(memory.store(self.host).tree(self.root))

    def folders(self) -> set[str]:
        prefix = f"{self.root}/"
        return {path[len(prefix) :] for path in memory.store(self.host).directories if path.startswith(prefix)}


class TestMemory(TransportContract):
    further = {"memory": "ftp_deploy.transports.memory.Memory"}
    yields_while_waiting = False

    @pytest.fixture
    def place(self) -> Place:
        return MemoryPlace()

    def check_mode_and_time(self, transport: Transport, place: Place, path: str, mode: int, modified: datetime) -> None:
        assert isinstance(place, MemoryPlace)
        stored = memory.store(place.host).files[f"{place.root}/{path}"]
        assert (stored.mode, stored.modified) == (mode, modified)

    def test_a_wrong_password(self, place: Place) -> None:
        memory.store(place.target().host).password = "right"
        with pytest.raises(LoginRefused):
            self.open(place, password="wrong").connect()
        self.open(place, password="right").connect()

    def test_faults_come_once_each(self, transport: Transport, place: Place) -> None:
        memory.store(place.target().host).fail("upload", "a.txt", ConnectionFailed("cut"))
        with pytest.raises(ConnectionFailed, match="cut"):
            finish(transport.upload([make_upload("a.txt", b"x")]))
        finish(transport.upload([make_upload("a.txt", b"x")]))
        assert place.read("a.txt") == b"x"


def test_a_directory_is_no_file_to_delete() -> None:
    place = MemoryPlace()
    place.write("a/x", b"kept")
    with (
        memory.Memory(place.target()) as transport,
        pytest.raises(PermissionRefused, match="a is a directory") as caught,
    ):
        finish(transport.delete(["a"], lambda: None))
    assert caught.value.code == 550
    assert place.read("a/x") == b"kept"
