"""FTP in clear text, against four servers."""

from datetime import datetime
from pathlib import Path

import pytest

from ftp_deploy.exceptions import PermissionRefused
from ftp_deploy.transports.base import Transport
from tests.servers.base import FTPServer
from tests.servers.pureftpd import PureFTPd
from tests.transports.contract import Place, TransportContract

pytestmark = pytest.mark.integration


class TestFTP(TransportContract):
    """The contract."""

    @pytest.fixture
    def place(self, ftp_server: FTPServer) -> Place:
        return ftp_server

    def round_trip(self, transport: Transport, place: Place, name: str) -> None:
        """Pure-FTPd takes no backslash in the name of a directory; it says so, and the file is named."""
        if "\\" in name and isinstance(place, PureFTPd):
            with pytest.raises(PermissionRefused, match="553") as caught:
                transport.make_directories([name])
            assert caught.value.path == name
            return
        super().round_trip(transport, place, name)

    def check_mode_and_time(self, transport: Transport, place: Place, path: str, mode: int, modified: datetime) -> None:
        assert isinstance(place, FTPServer)
        found = Path(place.folder / path).stat()
        if place.supports_chmod:
            assert found.st_mode & 0o777 == mode
        if transport.traits.set_time:
            assert int(found.st_mtime) == int(modified.timestamp())
