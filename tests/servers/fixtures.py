"""Fixtures: one fresh server per test. ``ftp_server`` runs a test against each of the four servers in clear text."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from tests.servers.base import FTPServer
from tests.servers.certificates import Certificates, make_certificates
from tests.servers.mariadb import MariaDB
from tests.servers.postgresql import PostgreSQL
from tests.servers.proftpd import Proftpd
from tests.servers.pureftpd import PureFTPd
from tests.servers.pyftpd import Pyftpd
from tests.servers.rabbitmq import RabbitMQ
from tests.servers.redis import Redis
from tests.servers.vsftpd import Vsftpd

SERVERS: dict[str, type[FTPServer]] = {
    "pyftpdlib": Pyftpd,
    "vsftpd": Vsftpd,
    "proftpd": Proftpd,
    "pure-ftpd": PureFTPd,
}

StartServer = Callable[..., FTPServer]


@pytest.fixture(scope="session")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    """A certificate for localhost, 127.0.0.1 and ::1, and the authority that signed it."""
    return make_certificates(tmp_path_factory.mktemp("certificates"))


@pytest.fixture
def start_server(certificates: Certificates) -> Iterator[StartServer]:
    """A function that starts a server by name: ``start_server("vsftpd", "explicit", max_per_ip=2)``."""
    running: list[FTPServer] = []

    def start(name: str, tls: str = "", **options: Any) -> FTPServer:
        server = SERVERS[name](tls, certificates=certificates, **options)
        running.append(server)
        server.start()
        return server

    yield start
    for server in running:
        server.stop()


@pytest.fixture(params=list(SERVERS))
def ftp_server(request: pytest.FixtureRequest, start_server: StartServer) -> FTPServer:
    """Each of the servers in turn, in clear text."""
    return start_server(request.param)


@pytest.fixture
def pyftpd_server(start_server: StartServer) -> FTPServer:
    """The one that is always there."""
    return start_server("pyftpdlib")


@pytest.fixture(scope="session")
def postgresql() -> Iterator[PostgreSQL]:
    """One PostgreSQL for the whole session; a test that stops it starts it again."""
    with PostgreSQL() as server:
        yield server


@pytest.fixture(scope="session")
def mariadb() -> Iterator[MariaDB]:
    """One MariaDB for the whole session."""
    with MariaDB() as server:
        yield server


@pytest.fixture
def redis() -> Iterator[Redis]:
    """A Redis of the test's own: it is up in a moment."""
    with Redis() as server:
        yield server


@pytest.fixture(scope="session")
def rabbitmq() -> Iterator[RabbitMQ]:
    """One RabbitMQ for the whole session; a test that stops it starts it again."""
    with RabbitMQ() as server:
        yield server
