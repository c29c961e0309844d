"""The connections of one transport: opened as the work needs and the server allows, kept while they wait."""

import threading
from collections.abc import Callable
from typing import Generic, Protocol, TypeVar

from ftp_deploy.exceptions import LoginRefused, TooManyConnections, TransportError

LOOK_EVERY = 0.05


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
        self.lock = threading.RLock()
        self._arrived = threading.Condition(self.lock)
        self.idle: list[Conn] = []
        self.in_use: set[Conn] = set()
        self.limit = max(1, min(maximum, ceiling + 1) if ceiling else maximum)
        self.ceiling: int | None = None
        self.most = 0
        self.refused_logins = 0
        self.closed = False
        self.pending = 0
        """How many are being opened ahead of the work."""
        self._turned_away = False

    @property
    def standing(self) -> int:
        """How many connections stand."""
        return len(self.idle) + len(self.in_use)

    def open_ahead(self, wanted: int, how: Callable[[], Conn] | None = None) -> None:
        """Start opening connections, each in a thread, until ``wanted`` or the limit stand; one is left for the caller.

        The first one that a worker opens is not among them. Refusals only set the ceiling.
        """
        with self.lock:
            missing = min(wanted, self.limit) - max(1, self.standing) - self.pending
            if self.closed or missing <= 0:
                return
            self.pending += missing
        for _ in range(missing):
            threading.Thread(target=self._open_one, args=(how or self._open,), name="connect", daemon=True).start()

    def _open_one(self, how: Callable[[], Conn]) -> None:
        connection = None
        try:
            connection = how()
        except (TooManyConnections, LoginRefused):
            self._turned_away = True
        except TransportError:  # workers that miss it will open one, and tell what is wrong
            pass
        finally:
            if connection is not None:
                self.give_back(connection)
            with self.lock:
                self.pending -= 1
                self.most = max(self.most, self.standing)
                if not self.pending and self._turned_away and self.standing:
                    self.limit = self.ceiling = self.standing
                    self._turned_away = False
                self._arrived.notify_all()

    def await_pending(self, is_over: Callable[[], bool]) -> Conn | None:
        """Wait for a connection that is being opened ahead; None where none comes, or when it is over."""
        while True:
            if (connection := self.take_idle()) is not None:
                return connection
            with self.lock:
                if not self.pending or is_over():
                    return None
                if not self.idle:
                    self._arrived.wait(LOOK_EVERY)

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
                self._arrived.notify()
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
