"""PostgreSQL in a folder of its own, with one empty database after the other."""

import glob
import signal
import subprocess
from pathlib import Path

from tests.servers.binaries import find, need
from tests.servers.ports import free_port
from tests.servers.programs import Program, as_user

NAME = "deploy"


def binary(name: str) -> str:
    """Return the path of a PostgreSQL program: Debian keeps the newest version's outside PATH."""
    versions = sorted(glob.glob(f"/usr/lib/postgresql/*/bin/{name}"), reverse=True)
    return find(name) or (versions[0] if versions else need(name, "postgresql"))


class PostgreSQL(Program):
    """Durable but for a power cut; ``restart`` ends all sessions without asking, as a failing machine would."""

    user = "postgres"

    def __init__(self) -> None:
        super().__init__()
        binary("postgres")
        self.port = free_port()
        self.databases = 0
        self._initialise()

    def _initialise(self) -> None:
        folder = self.base / "work"
        folder.mkdir()
        if as_user(self.user):
            import shutil

            shutil.chown(folder, self.user, self.user)
        subprocess.run(
            [binary("initdb"), "-D", str(folder / "data"), "-U", NAME, "-A", "trust", "-E", "UTF8", "--no-sync"],
            check=True,
            capture_output=True,
            cwd=folder,
            **as_user(self.user),
        )

    def command(self) -> list[str]:
        options = {
            "listen_addresses": "127.0.0.1",
            "unix_socket_directories": "",
            "fsync": "off",
            "max_connections": "200",
            "autovacuum_naptime": "10s",
        }
        given = [part for name, value in options.items() for part in ("-c", f"{name}={value}")]
        return [binary("postgres"), "-D", str(self.base / "work" / "data"), "-p", str(self.port), *given]

    def answers(self) -> bool:
        asked = [binary("pg_isready"), "-h", "127.0.0.1", "-p", str(self.port), "-t", "5", "-q"]
        return subprocess.run(asked, check=False).returncode == 0

    def end(self, number: int = signal.SIGINT) -> None:
        """SIGINT: the fast way down, which does not wait for clients. SIGQUIT: at once, to be recovered at start."""
        super().end(signal.SIGINT if number == signal.SIGTERM else number)

    def crash(self) -> None:
        """End the server as a crash would: nothing is written any more, the next start recovers from the log."""
        self.end(signal.SIGQUIT)

    def new_database(self, name: str = "") -> str:
        """Make an empty database and return its URL."""
        self.databases += 1
        name = name or f"deploy_{self.databases}"
        self.execute(f'CREATE DATABASE "{name}"')
        return self.url(name)

    def url(self, name: str) -> str:
        """Return the URL of a database."""
        return f"postgresql://{NAME}@127.0.0.1:{self.port}/{name}"

    def execute(self, statement: str) -> None:
        """Run a statement outside of any of our databases."""
        import psycopg

        with psycopg.connect(self.url("postgres"), autocommit=True) as connection:
            connection.execute(statement)  # type: ignore[call-overload]

    @property
    def data(self) -> Path:
        """The folder of the data, for who looks for what must not be in there."""
        return self.base / "work" / "data"
