"""RabbitMQ as a node of its own: own name, ports, folder, cookie and port mapper, so that many can run at once."""

import glob
import os
import shutil
import subprocess
import uuid
from collections.abc import Mapping

from tests.servers.binaries import need
from tests.servers.ports import free_ports
from tests.servers.programs import DEADLINE, Program, listens, wait_until


def script() -> str:
    """Return the node's own start script: the one on PATH changes the user and reads the machine's settings."""
    found = sorted(glob.glob("/usr/lib/rabbitmq/lib/rabbitmq_server-*/sbin/rabbitmq-server"), reverse=True)
    return found[0] if found else need("rabbitmq-server", "rabbitmq-server")


class RabbitMQ(Program):
    """Messages of durable queues outlive a ``kill``."""

    def __init__(self) -> None:
        super().__init__()
        script()
        self.port, self._distribution_port, self._mapper_port = free_ports(3)
        self.node = f"test-{uuid.uuid4().hex[:12]}@localhost"
        self._mapper: subprocess.Popen[bytes] | None = None
        (self.base / "plugins").write_text("[].\n")
        (self.base / "rabbitmq.conf").write_text(
            "loopback_users = none\nlog.console = true\nlog.file = false\ndisk_free_limit.absolute = 50MB\n"
        )

    def configure(self, **settings: int) -> None:
        """Start again with other settings of the application ``rabbit``; without any, with its own."""
        terms = ", ".join(f"{{{name}, {value}}}" for name, value in settings.items())
        self.end()
        (self.base / "advanced.config").write_text(f"[{{rabbit, [{terms}]}}].\n")
        self.start()

    @property
    def url(self) -> str:
        """The address for Celery."""
        return f"amqp://guest:guest@127.0.0.1:{self.port}//"

    def environment(self) -> Mapping[str, str]:
        return {
            "HOME": str(self.base),
            "RABBITMQ_NODENAME": self.node,
            "RABBITMQ_NODE_IP_ADDRESS": "127.0.0.1",
            "RABBITMQ_NODE_PORT": str(self.port),
            "RABBITMQ_DIST_PORT": str(self._distribution_port),
            "RABBITMQ_MNESIA_BASE": str(self.base / "mnesia"),
            "RABBITMQ_LOG_BASE": str(self.base / "log"),
            "RABBITMQ_CONFIG_FILE": str(self.base / "rabbitmq"),
            "RABBITMQ_CONF_ENV_FILE": "/dev/null",
            "RABBITMQ_ADVANCED_CONFIG_FILE": str(self.base / "advanced"),
            "RABBITMQ_ENABLED_PLUGINS_FILE": str(self.base / "plugins"),
            "RABBITMQ_PID_FILE": str(self.base / "pid"),
            "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS": "-kernel inet_dist_use_interface {127,0,0,1} +S 2:2 +sbwt none",
            "ERL_EPMD_PORT": str(self._mapper_port),
            "ERL_EPMD_ADDRESS": "127.0.0.1",
        }

    def command(self) -> list[str]:
        return [script()]

    def start(self) -> None:
        self._start_mapper()
        super().start()

    def _start_mapper(self) -> None:
        """Start the port mapper ourselves: one that the node starts would outlive it."""
        if self._mapper is None:
            mapper = shutil.which("epmd") or need("epmd", "erlang-base")
            asked = [mapper, "-port", str(self._mapper_port), "-address", "127.0.0.1"]
            self._mapper = subprocess.Popen(
                asked, stdin=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env={**os.environ, "HOME": str(self.base)}
            )
            wait_until(lambda: listens(self._mapper_port), "the port mapper listens")

    def answers(self) -> bool:
        return listens(self.port) and "Server startup complete" in self.log_text()

    def stop(self) -> None:
        self.end()
        if self._mapper is not None:
            self._mapper.kill()
            self._mapper.wait(DEADLINE)
            self._mapper = None
        super().stop()
