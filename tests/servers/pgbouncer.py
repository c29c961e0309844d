"""pgbouncer in transaction mode before a PostgreSQL: each transaction may meet another session."""

from tests.servers.binaries import need
from tests.servers.ports import free_port
from tests.servers.postgresql import NAME
from tests.servers.programs import Program, listens


class PgBouncer(Program):
    """Passes every database of a PostgreSQL on, with few sessions for many clients."""

    user = "postgres"

    def __init__(self, port: int, sessions: int = 4) -> None:
        super().__init__()
        need("pgbouncer", "pgbouncer")
        self.port = free_port()
        settings = self.base / "pgbouncer.ini"
        settings.write_text(
            "[databases]\n"
            f"* = host=127.0.0.1 port={port} user={NAME}\n"
            "[pgbouncer]\n"
            f"listen_addr = 127.0.0.1\nlisten_port = {self.port}\nunix_socket_dir =\n"
            f"auth_type = any\npool_mode = transaction\ndefault_pool_size = {sessions}\n"
            "max_client_conn = 200\nserver_round_robin = 1\n"
        )
        settings.chmod(0o644)

    def command(self) -> list[str]:
        return [need("pgbouncer", "pgbouncer"), str(self.base / "pgbouncer.ini")]

    def answers(self) -> bool:
        return listens(self.port)
