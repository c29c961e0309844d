"""Several machines: PostgreSQL and RabbitMQ, web and worker apart; and going on elsewhere from a back-up.

The commands are those of the page about back-ups, as they stand there.
"""

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from ftp_deploy.standalone.forge import Forge
from tests.docs.commands import blocks
from tests.servers.base import FTPServer
from tests.servers.installation import Installation
from tests.servers.postgresql import PostgreSQL, binary
from tests.servers.rabbitmq import RabbitMQ
from tests.servers.redis import Redis

pytestmark = [pytest.mark.integration, pytest.mark.slow]
KEY = "one-key-for-every-machine-of-this-site"
SETTINGS = "ftp_deploy.standalone.settings"
PAGE = "docs/how-to/backup.rst"
Install = Callable[..., Installation]


@pytest.fixture
def install(tmp_path: Path) -> Iterator[Install]:
    """A function that starts an installation in a folder of its own."""
    running: list[Installation] = []

    def start(name: str, forge: Forge, **options: Any) -> Installation:
        (tmp_path / name).mkdir(exist_ok=True)
        made = Installation(tmp_path / name, forge, **options)
        running.append(made)
        made.start()
        return made

    yield start
    for each in running:
        each.stop()


def type_command(command: str, folder: Path, **variables: str) -> str:
    """Run a command of the page, its folders moved below ``folder``."""
    moved = command.replace("/var/backups", str(folder)).replace("/srv", str(folder))
    tools = os.pathsep.join([str(Path(sys.executable).parent), str(Path(binary("pg_dump")).parent), os.environ["PATH"]])
    done = subprocess.run(
        ["bash", "-c", moved], env={**os.environ, "PATH": tools, "DJANGO_SETTINGS_MODULE": SETTINGS, **variables},
        capture_output=True, text=True, timeout=300, check=False,
    )  # fmt: skip
    assert done.returncode == 0, f"{moved}\n{done.stdout}{done.stderr}"
    return done.stdout


def first_push(site: Installation, forge: Forge, server: FTPServer) -> None:
    """Add a service with its hook, and see a push go live."""
    forge.create_repository("pages", {"a": b"1"})
    service = site.add_service(server, f"{forge.username}/pages")
    forge.add_hook("pages", service["hook"], secret=service["secret"])
    forge.commit("pages", {"b": b"2"})
    assert [deploy["state"] for deploy in site.wait_for_deploys(1)] == ["succeeded"]


def live(server: FTPServer) -> dict[str, bytes]:
    return {path: server.read(path) for path in server.files()}


def push_that_waits(site: Installation, forge: Forge) -> None:
    """Stop the worker, push, and stop the rest: what a back-up then holds is a push that nobody has deployed."""
    web, worker = site.children
    worker.stop()
    forge.commit("pages", {"c": b"3"})
    forge.wait_for_deliveries()
    assert site.deploys()[-1]["state"] == "queued"
    web.stop()


def goes_on(site: Installation, forge: Forge, server: FTPServer) -> None:
    """What waited goes live, and so does the next push."""
    assert [deploy["state"] for deploy in site.wait_for_deploys(2)] == ["succeeded"] * 2
    forge.commit("pages", {"a": None, "d": b"4"})
    deploys = site.wait_for_deploys(3)
    assert (deploys[-1]["state"], deploys[-1]["changes"]) == ("succeeded", 2)
    assert live(server) == {"b": b"2", "c": b"3", "d": b"4"}


def test_web_and_worker_apart_then_dumped_and_restored_with_another_broker(
    install: Install, forge: Forge, pyftpd_server: FTPServer, postgresql: PostgreSQL, rabbitmq: RabbitMQ, redis: Redis,
    tmp_path: Path,
) -> None:  # fmt: skip
    old, new = postgresql.new_database(), postgresql.new_database()
    shared = {"SECRET_KEY": KEY}
    first = install("first", forge, apart=True, DATABASE_URL=old, BROKER_URL=rabbitmq.url, **shared)
    first_push(first, forge, pyftpd_server)
    assert live(pyftpd_server) == {"a": b"1", "b": b"2"}
    examined = subprocess.run(
        [sys.executable, "-m", "ftp_deploy.standalone", "doctor"],
        env={**os.environ, **first.environment}, capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip
    for line in ("ok     database: postgresql, up to date", "ok     broker: amqp", "ok     worker: last sweep"):
        assert line in examined.stdout, examined.stdout
    push_that_waits(first, forge)
    for command in next(block.commands for block in blocks(PAGE) if "pg_dump" in block.body):
        type_command(command, tmp_path, DATABASE_URL=old, NEW_DATABASE_URL=new)
    second = install("second", forge, port=first.port, apart=True, DATABASE_URL=new, BROKER_URL=redis.url, **shared)
    goes_on(second, forge, pyftpd_server)


def test_a_backup_of_sqlite_goes_on_in_another_folder(
    install: Install, forge: Forge, pyftpd_server: FTPServer, tmp_path: Path
) -> None:
    first = install("first", forge)
    first_push(first, forge, pyftpd_server)
    push_that_waits(first, forge)
    backup, unpack = (block.commands for block in blocks(PAGE) if "DATABASE_URL" not in block.body)
    for command in (*backup, *unpack[:-1]):
        type_command(command, tmp_path, DATA_FOLDER=first.environment["DATA_FOLDER"])
    assert unpack[-1] == "DATA_FOLDER=/srv/ftp-deploy ftp-deploy serve"
    second = install("second", forge, port=first.port, DATA_FOLDER=str(tmp_path / "ftp-deploy"))
    goes_on(second, forge, pyftpd_server)
