"""FTP in clear text, against four servers."""

from datetime import datetime
from pathlib import Path

import pytest

from ftp_deploy.transports.base import Transport
from tests.servers.base import FTPServer
from tests.transports.contract import Place, TransportContract

pytestmark = pytest.mark.integration


class TestFTP(TransportContract):
    """The contract."""

    @pytest.fixture
    def place(self, ftp_server: FTPServer) -> Place:
        return ftp_server

    def check_mode_and_time(self, transport: Transport, place: Place, path: str, mode: int, modified: datetime) -> None:
        assert isinstance(place, FTPServer)
        found = Path(place.folder / path).stat()
        if place.supports_chmod:
            assert found.st_mode & 0o777 == mode
        if transport.traits.set_time:
            assert int(found.st_mtime) == int(modified.timestamp())
