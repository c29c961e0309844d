"""HTTP connection pools that keep to the address policy, for the libraries that are built on urllib3.

Each connection resolves its host once and goes to exactly the address that was judged, also after a redirect: a name
that changes its mind in between leads nowhere else.
"""

import socket
from typing import Any

import urllib3
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.connectionpool import HTTPConnectionPool, HTTPSConnectionPool
from urllib3.exceptions import NewConnectionError

from ftp_deploy.exceptions import ConnectionFailed
from ftp_deploy.transports.addresses import open_socket, resolve


class JudgedPools(urllib3.PoolManager):
    """A pool manager whose connections are judged. ``connect_timeout`` is in seconds."""

    def __init__(self, *, allow_private: bool, connect_timeout: float, **options: Any) -> None:
        super().__init__(**options)
        self.pool_classes_by_scheme = {
            "http": judged_pool(HTTPConnectionPool, HTTPConnection, allow_private, connect_timeout),
            "https": judged_pool(HTTPSConnectionPool, HTTPSConnection, allow_private, connect_timeout),
        }


def judged_pool(pool: Any, connection: Any, allow_private: bool, connect_timeout: float) -> Any:
    """Return a pool class whose connections refuse addresses that are not permitted.

    Connecting raises ``AddressRefused``, or urllib3's own ``NewConnectionError``.
    """

    def connect(self: Any) -> socket.socket:
        try:
            return open_socket(resolve(self.host, self.port, allow_private=allow_private), connect_timeout)
        except ConnectionFailed as error:
            raise NewConnectionError(self, error.message) from error

    judged = type("JudgedConnection", (connection,), {"_new_conn": connect})
    return type("JudgedPool", (pool,), {"ConnectionCls": judged})
