"""Redis in memory only: what a restart loses is part of the test."""

import socket

from tests.servers.binaries import need
from tests.servers.ports import free_port
from tests.servers.programs import Program


class Redis(Program):
    """Nothing is ever written to disk."""

    def __init__(self) -> None:
        super().__init__()
        need("redis-server", "redis-server")
        self.port = free_port()

    @property
    def url(self) -> str:
        """The address for Celery."""
        return f"redis://127.0.0.1:{self.port}/0"

    def command(self) -> list[str]:
        options = ["--port", str(self.port), "--bind", "127.0.0.1", "--save", "", "--appendonly", "no"]
        return [need("redis-server", "redis-server"), *options, "--dir", str(self.base)]

    def answers(self) -> bool:
        return self.ask("PING") == b"+PONG\r\n"

    def ask(self, command: str) -> bytes:
        """Send a simple command and return the reply, as far as it came at once; empty where nobody listens."""
        try:
            with socket.create_connection(("127.0.0.1", self.port), timeout=5) as connection:
                connection.sendall(f"{command}\r\n".encode())
                return connection.recv(65536)
        except OSError:
            return b""
