"""A Django project with real processes: web servers and Celery workers over one database and one broker."""

import json
import os
import secrets
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, Self

from django.db import connections

from tests.servers.ports import free_port
from tests.servers.programs import DEADLINE, group_members, kill_group, listens, wait_until
from tests.standalone.processes import KEPT

ROOT = Path(__file__).resolve().parents[2]
ALIAS = "project"
"""The name under which a test sees the project's database."""

FAST: Mapping[str, Any] = {
    "FTP_DEPLOY_LEASE_SECONDS": 6,
    "FTP_DEPLOY_HEARTBEAT_SECONDS": 0.5,
    "FTP_DEPLOY_RETRY_SECONDS": 1,
    "FTP_DEPLOY_SWEEP_SECONDS": 1.0,
    "FTP_DEPLOY_CONNECT_TIMEOUT": 5.0,
    "FTP_DEPLOY_REPLY_TIMEOUT": 5.0,
    "FTP_DEPLOY_MAX_ATTEMPTS": 30,
    "CELERY_WORKER_SOFT_SHUTDOWN_TIMEOUT": 5.0,
}
"""Settings that let a test see within seconds what takes minutes in life."""


class Process:
    """One process of the project, in a process group of its own."""

    def __init__(self, command: list[str], environment: Mapping[str, str], log: Path) -> None:
        self.log = log
        with log.open("ab") as output:
            self.process = subprocess.Popen(
                command, env=environment, stdin=subprocess.DEVNULL, stdout=output, stderr=output, start_new_session=True
            )

    @property
    def runs(self) -> bool:
        """Whether the process that we started lives."""
        return self.process.poll() is None

    def members(self) -> list[int]:
        """Return the ids of the process and all its children."""
        return group_members(self.process.pid)

    def signal(self, number: int, *, whole: bool = False) -> None:
        """Send a signal to the process, or to it and all its children."""
        with suppress(ProcessLookupError):
            (os.killpg if whole else os.kill)(self.process.pid, number)

    def kill(self) -> None:
        """End the process and its children at once, as a machine that fails would."""
        self.signal(signal.SIGCONT, whole=True)
        kill_group(self.process.pid)
        self.process.wait(DEADLINE)

    def terminate(self, seconds: float = DEADLINE) -> float:
        """Ask for the end as an orchestrator does, wait for it, and return the seconds it took."""
        import time

        began = time.monotonic()
        self.signal(signal.SIGTERM)
        self.process.wait(seconds)
        return time.monotonic() - began

    def log_text(self) -> str:
        """Return what the process wrote."""
        return self.log.read_text(errors="replace")


class Web(Process):
    """A waitress server of the project."""

    def __init__(self, command: list[str], environment: Mapping[str, str], log: Path, port: int) -> None:
        super().__init__(command, environment, log)
        self.port = port
        self.url = f"http://127.0.0.1:{port}"

    def wait(self) -> Self:
        """Wait until it takes requests."""
        wait_until(lambda: listens(self.port) or not self.runs, "the web server listens")
        assert self.runs, self.log_text()[-3000:]
        return self


class Project:
    """The project. As a context manager it ends its processes and removes its folder."""

    def __init__(self, database_url: str = "", broker_url: str = "", **settings: Any) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="project-"))
        for name in ("broker", "spool"):
            (self.folder / name).mkdir()
        self.database_url = database_url or f"sqlite://{self.folder / 'project.sqlite3'}"
        self.broker_url = broker_url
        self.settings: dict[str, Any] = {**FAST, **settings}
        self.variables: dict[str, str] = {}
        self.processes: list[Process] = []

    def environment(self, **more: str) -> dict[str, str]:
        """Return the environment of the project's processes."""
        kept = {name: os.environ[name] for name in KEPT if name in os.environ}
        return {
            **kept,
            "PYTHONPATH": str(ROOT),
            "PYTHONUNBUFFERED": "1",
            "DJANGO_SETTINGS_MODULE": "tests.projects.queue_settings",
            "DATABASE_URL": self.database_url,
            "BROKER_URL": self.broker_url,
            "PROJECT_FOLDER": str(self.folder),
            "PROJECT_SETTINGS": json.dumps(self.settings),
            **self.variables,
            **more,
        }

    def manage(self, *arguments: str, **more: str) -> str:
        """Run a management command to its end and return what it printed."""
        ran = subprocess.run(
            [sys.executable, "-m", "django", *arguments],
            env=self.environment(**more),
            capture_output=True,
            text=True,
            timeout=300,
            check=False,
        )
        assert ran.returncode == 0, ran.stderr[-3000:]
        return ran.stdout

    def python(self, code: str, **more: str) -> str:
        """Run lines of Python with the project set up, in a process of their own, and return what they printed."""
        lines = "import django\ndjango.setup()\n" + code
        ran = subprocess.run(
            [sys.executable, "-c", lines],
            env=self.environment(**more),
            capture_output=True,
            text=True,
            timeout=300,
            check=False,
        )
        assert ran.returncode == 0, ran.stderr[-3000:]
        return ran.stdout

    def worker(
        self,
        *options: str,
        pool: str = "prefork",
        concurrency: int = 2,
        beat: bool = False,
        wait: bool = True,
        **more: str,
    ) -> Process:
        """Start a Celery worker; ``beat`` sends the periodic tasks from a process of its own inside it."""
        name = f"worker{len(self.processes)}"
        command = [sys.executable, "-m", "celery", "-A", "ftp_deploy", "worker", "-l", "INFO", "-n", f"{name}@test"]
        command += ["--pool", pool, "--concurrency", str(concurrency), "--without-gossip", "--without-mingle", *options]
        if beat:
            command += ["-B", "-s", str(self.folder / f"beat-schedule-{name}")]
        process = Process(command, self.environment(**more), self.folder / f"{name}.log")
        self.processes.append(process)
        if wait:
            wait_until(lambda: f"{name}@test ready" in process.log_text() or not process.runs, "the worker is ready")
            assert process.runs, process.log_text()[-3000:]
        return process

    def web(self, *, threads: int = 8, wait: bool = True, **more: str) -> Web:
        """Start a web server on a free port."""
        port = free_port()
        command = [sys.executable, "-m", "waitress", f"--listen=127.0.0.1:{port}", f"--threads={threads}"]
        command += ["--call", "tests.servers.project:application"]
        log = self.folder / f"web{len(self.processes)}.log"
        process = Web(command, self.environment(**more), log, port)
        self.processes.append(process)
        return process.wait() if wait else process

    def logs(self) -> str:
        """Return what all processes wrote."""
        return "\n".join(path.read_text(errors="replace") for path in sorted(self.folder.glob("*.log")))

    def stop_processes(self) -> None:
        """End every process of the project at once."""
        for process in self.processes:
            process.kill()
        self.processes.clear()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop_processes()
        shutil.rmtree(self.folder, ignore_errors=True)


def application() -> Any:
    """Return the project's WSGI application; called in the web process."""
    from django.core.wsgi import get_wsgi_application

    return get_wsgi_application()


@contextmanager
def seen(project: Project) -> Iterator[str]:
    """Let this process use the project's database under the alias that is returned."""
    from tests.projects.databases import database

    connections.settings[ALIAS] = connections.configure_settings(
        {"default": {}, ALIAS: {**database(project.database_url), "CONN_MAX_AGE": 0}}
    )[ALIAS]
    try:
        yield ALIAS
    finally:
        connections[ALIAS].close()
        del connections.settings[ALIAS]
        del connections[ALIAS]


def new_token() -> str:
    """Return a value that is found nowhere by accident: what must never be shown is made of it."""
    return f"canary-{secrets.token_hex(12)}"
