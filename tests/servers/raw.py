"""A server that says what a test tells it to."""

import socket
import threading
from collections.abc import Callable
from typing import Any

from ftp_deploy.transports.base import Target

Talk = Callable[[socket.socket], None]


class RawServer:
    """Says what it is told to every connection, and nothing else."""

    def __init__(self, talk: Callable[[socket.socket], None]) -> None:
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        self.talk = talk
        self.stopping = threading.Event()
        self.threads = [threading.Thread(target=self._accept)]
        self.threads[0].start()

    def _accept(self) -> None:
        self.listener.settimeout(0.05)
        while not self.stopping.is_set():
            try:
                connection, _ = self.listener.accept()
            except TimeoutError:
                continue
            thread = threading.Thread(target=self._talk, args=(connection,))
            self.threads.append(thread)
            thread.start()

    def _talk(self, connection: socket.socket) -> None:
        with connection:
            connection.settimeout(10)
            try:
                self.talk(connection)
            except OSError:
                return

    def stop(self) -> None:
        self.stopping.set()
        for thread in self.threads:
            thread.join(15)
        self.listener.close()

    def target(self, **changes: Any) -> Target:
        values = {"protocol": "ftp", "host": "127.0.0.1", "username": "u", "path": "/", "port": self.port}
        limits = {"allow_private_addresses": True, "connect_timeout": 2.0, "reply_timeout": 0.5}
        return Target(**{**values, **limits, **changes})
