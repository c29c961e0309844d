"""The connections of one transport: opened as the work needs and the server allows, kept while they wait."""

import threading
from collections.abc import Callable
from typing import Generic, Protocol, TypeVar

from ftp_deploy.exceptions import LoginRefused, TooManyConnections, TransportError


class Connection(Protocol):
    """What the crew needs of a connection."""

    def abort(self) -> None:
        """Cut it; called by any thread."""

    def discard(self) -> None:
        """Cut it and free it; called by the thread that uses it."""

    def close(self) -> None:
        """Close it in good order."""

    def is_stale(self) -> bool:
        """Whether the server has said something, or gone, while the connection waited for work."""


Conn = TypeVar("Conn", bound=Connection)


class Pool(Generic[Conn]):
    """The connections of one transport: those that wait for work, and how many the server allows."""

    def __init__(self, open_connection: Callable[[], Conn], maximum: int, ceiling: int | None) -> None:
        self._open = open_connection
        self.lock = threading.Lock()
        self.idle: list[Conn] = []
        self.in_use: set[Conn] = set()
        self.limit = max(1, min(maximum, ceiling + 1) if ceiling else maximum)
        self.ceiling: int | None = None
        self.most = 0
        self.refused_logins = 0
        self.closed = False

    @property
    def standing(self) -> int:
        """How many connections stand."""
        return len(self.idle) + len(self.in_use)

    def take_idle(self) -> Conn | None:
        """Take a connection that waits, and throw away those that the server closed meanwhile."""
        while True:
            with self.lock:
                if not self.idle:
                    return None
                connection = self.idle.pop()
                if not connection.is_stale():
                    self.in_use.add(connection)
                    return connection
            connection.discard()

    def open(self) -> Conn:
        """Open a new connection. A refusal while others stand lowers the limit."""
        try:
            connection = self._open()
        except (TooManyConnections, LoginRefused) as error:
            self._refused(error)
            raise
        with self.lock:
            self.refused_logins = 0
            self.in_use.add(connection)
            self.most = max(self.most, self.standing)
            return connection

    def _refused(self, error: TransportError) -> None:
        with self.lock:
            if isinstance(error, LoginRefused):
                self.refused_logins += 1
            if self.standing:
                self.limit = max(self.standing, self.limit // 2)
                self.ceiling = self.standing

    def give_back(self, connection: Conn) -> None:
        """Let a healthy connection wait for further work."""
        with self.lock:
            self.in_use.discard(connection)
            if not self.closed:
                self.idle.append(connection)
                return
        connection.discard()

    def drop(self, connection: Conn) -> None:
        """Throw a broken connection away."""
        with self.lock:
            self.in_use.discard(connection)
        connection.discard()

    def abort(self) -> None:
        """Cut the connections that are in use."""
        with self.lock:
            busy = list(self.in_use)
        for connection in busy:
            connection.abort()

    def close(self) -> None:
        """Close all that wait; those in use are cut."""
        self.closed = True
        self.abort()
        with self.lock:
            waiting, self.idle = self.idle, []
        for connection in waiting:
            connection.close()
