"""MariaDB in a folder of its own, with one empty database after the other."""

import os
import pwd
import shutil
import subprocess

from tests.servers.binaries import need
from tests.servers.ports import free_port
from tests.servers.programs import Program, as_user, listens

NAME = "deploy"


class MariaDB(Program):
    """InnoDB and utf8mb4, as the documentation asks for."""

    user = "mysql"

    def __init__(self) -> None:
        super().__init__()
        need("mariadbd", "mariadb-server")
        self.port = free_port()
        self.data = self.base / "data"
        self.data.mkdir()
        if as_user(self.user):
            shutil.chown(self.base, self.user, self.user)
            shutil.chown(self.data, self.user, self.user)
        subprocess.run(
            [
                need("mariadb-install-db", "mariadb-server"),
                "--no-defaults",
                f"--datadir={self.data}",
                "--skip-test-db",
                "--auth-root-authentication-method=normal",
            ],
            check=True,
            capture_output=True,
            cwd=self.base,
            **as_user(self.user),
        )
        start = self.base / "start.sql"
        start.write_text(
            f"CREATE USER IF NOT EXISTS '{NAME}'@'127.0.0.1' IDENTIFIED BY '';\n"
            f"GRANT ALL ON *.* TO '{NAME}'@'127.0.0.1';\n"
        )
        start.chmod(0o644)

    def command(self) -> list[str]:
        return [
            need("mariadbd", "mariadb-server"),
            "--no-defaults",
            f"--user={self.user if os.geteuid() == 0 else pwd.getpwuid(os.getuid()).pw_name}",
            f"--datadir={self.data}",
            f"--port={self.port}",
            "--bind-address=127.0.0.1",
            f"--socket={self.base / 'socket'}",
            f"--pid-file={self.base / 'pid'}",
            f"--init-file={self.base / 'start.sql'}",
            "--skip-name-resolve",
            "--innodb-buffer-pool-size=32M",
            "--innodb-flush-log-at-trx-commit=2",
            "--character-set-server=utf8mb4",
        ]

    def answers(self) -> bool:
        return listens(self.port) and "ready for connections" in self.log_text()

    def url(self, name: str) -> str:
        """Return the URL of a database."""
        return f"mysql://{NAME}@127.0.0.1:{self.port}/{name}"

    def new_database(self, name: str) -> str:
        """Make an empty database and return its URL."""
        client = need("mariadb", "mariadb-client")
        asked = [client, "--no-defaults", "-h", "127.0.0.1", "-P", str(self.port), "-u", NAME]
        subprocess.run([*asked, "-e", f"CREATE DATABASE `{name}`"], check=True, capture_output=True)
        return self.url(name)
