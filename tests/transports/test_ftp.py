"""FTP in clear text, against four servers."""

from datetime import datetime
from pathlib import Path

import pytest

from ftp_deploy.exceptions import PermissionRefused
from ftp_deploy.transports import open_transport
from ftp_deploy.transports.base import Rename, Transport
from tests.servers.base import FTPServer
from tests.servers.fixtures import SERVERS, StartServer
from tests.servers.proftpd import Proftpd
from tests.servers.pureftpd import PureFTPd
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


def test_more_connections_are_opened_ahead(ftp_server: FTPServer) -> None:
    tree = contents(40)
    transport = open_transport(ftp_server.target(max_connections=4))
    transport.expect(len(tree))
    with transport:
        transport.make_directories(directories(tree))
        sent = done(transport.upload([make_upload(path, content) for path, content in tree.items()]))
        assert sorted(sent) == sorted(tree)
    assert {path: ftp_server.read(path) for path in tree} == tree


class TestFTP(TransportContract):
    """The contract."""

    @pytest.fixture
    def place(self, ftp_server: FTPServer) -> Place:
        return ftp_server

    def round_trip(self, transport: Transport, place: Place, name: str, folder: str = "") -> None:
        """Two servers refuse some names, in words that name the file; nothing is lost then."""
        no_backslash = "\\" in name and isinstance(place, PureFTPd)
        if not no_backslash and not ("*" in name and isinstance(place, Proftpd)):
            return super().round_trip(transport, place, name, folder)
        with pytest.raises(PermissionRefused, match=r"55[03]") as caught:
            transport.make_directories([name])
        assert caught.value.path == name
        if not no_backslash:
            return super().round_trip(transport, place, name, "a directory")
        place.write("old.txt", b"kept")
        with pytest.raises(PermissionRefused, match="553") as caught:
            finish(transport.rename([Rename("old.txt", name)], unguarded))
        assert caught.value.path == name
        assert place.read("old.txt") == b"kept"
        return None

    def check_mode_and_time(self, transport: Transport, place: Place, path: str, mode: int, modified: datetime) -> None:
        assert isinstance(place, FTPServer)
        found = Path(place.folder / path).stat()
        if place.supports_chmod:
            assert found.st_mode & 0o777 == mode
        if transport.traits.set_time:
            assert int(found.st_mtime) == int(modified.timestamp())


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
