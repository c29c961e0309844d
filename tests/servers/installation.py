"""The app as it is installed: a data folder of its own, a web process and a worker process."""

import json
import os
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

from ftp_deploy.standalone.forge import Forge
from ftp_deploy.standalone.processes import Child, ftp_deploy_command
from tests.servers.base import FTPServer
from tests.servers.ports import free_port

ROOT = Path(__file__).parents[2]
START_SECONDS = 300.0


class Installation:
    """Processes of one installation; ``stop`` ends them.

    ``port`` is where the web process listens, ``apart`` gives web and worker nothing in common but the settings.
    """

    def __init__(self, folder: Path, forge: Forge, *, port: int = 0, apart: bool = False, **settings: str) -> None:
        self.folder = folder
        self.port = port or free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.environment = {
            "PYTHONPATH": str(ROOT),
            "DJANGO_SETTINGS_MODULE": "ftp_deploy.standalone.settings",
            "DATA_FOLDER": str(folder / "data"),
            "BASE_URL": self.url,
            "GITHUB_URL": forge.url,
            "GITHUB_USERNAME": forge.username,
            "GITHUB_TOKEN": forge.token,
            "FTP_DEPLOY_ALLOW_PRIVATE_ADDRESSES": "true",
            "FTP_DEPLOY_RECONCILE_SECONDS": "0",
            "FTP_DEPLOY_VALIDATE_SECONDS": "0",
            "EMAIL_URL": "dummymail://",
            **settings,
        }
        commands = {"web": ("web", "--port", str(self.port)), "worker": ("worker", "--concurrency", "2")}
        self.children = [
            Child(name, ftp_deploy_command(*command), self.environment_of(name, apart), folder / f"{name}.log")
            for name, command in commands.items()
        ]

    def environment_of(self, name: str, apart: bool) -> dict[str, str]:
        """Return the settings of one process; ``apart``: its data folder is its own, as on a machine of its own."""
        return {**self.environment, "DATA_FOLDER": str(self.folder / name)} if apart else self.environment

    def start(self) -> None:
        """Make the database, start both processes, wait until both work."""
        self.run(ftp_deploy_command("migrate"))
        for child in self.children:
            child.start()
        self.wait_for(self._ready, START_SECONDS, "the installation is ready")

    def stop(self) -> None:
        """Stop both processes."""
        for child in self.children:
            child.ask_to_stop()
        for child in self.children:
            child.stop(20)

    def run(self, command: list[str]) -> str:
        """Run a command in the installation's environment and return what it printed."""
        done = subprocess.run(
            command, env={**os.environ, **self.environment}, capture_output=True, text=True, check=False, timeout=300
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    def python(self, code: str, *arguments: str) -> Any:
        """Run Python code that has Django at hand and assigns ``answer``; return it."""
        script = f"import django, json, sys\ndjango.setup()\n{code}\nprint('answer:' + json.dumps(answer))\n"
        output = self.run([sys.executable, "-c", script, *arguments])
        return json.loads(output.rpartition("answer:")[2])

    def add_service(self, server: FTPServer, repository: str, **fields: Any) -> dict[str, Any]:
        """Store a service for a server; return its id, hook address and hook secret."""
        target = server.target()
        values = {
            "protocol": target.protocol, "host": target.host, "port": target.port, "username": target.username,
            "password": target.password, "path": target.path, "provider": "github",
            "repository_name": repository.rpartition("/")[2], "repository_slug": repository, "branch": "main",
        }  # fmt: skip
        code = (
            "from ftp_deploy.models import Service\n"
            "made = Service.objects.create(**json.loads(sys.argv[1]))\n"
            "answer = {'id': made.pk, 'key': made.secret_key, 'secret': made.hook_secret}"
        )
        made: dict[str, Any] = self.python(code, json.dumps({**values, **fields}))
        made["hook"] = f"{self.url}/deploy/{made['key']}"
        return made

    def deploys(self) -> list[dict[str, Any]]:
        """Return all deploys, oldest first, with how many changes each made."""
        code = (
            "from ftp_deploy.models import Deploy\n"
            "answer = [{'after': d.after, 'state': d.state, 'error': d.error, 'kind': d.kind,"
            " 'changes': d.changes.count()} for d in Deploy.objects.order_by('pk')]"
        )
        found: list[dict[str, Any]] = self.python(code)
        return found

    def wait_for_deploys(self, count: int, seconds: float = 300.0) -> list[dict[str, Any]]:
        """Wait until ``count`` deploys exist and all have ended; return them."""
        deadline = time.monotonic() + seconds
        while True:
            found = self.deploys()
            if len(found) >= count and not {deploy["state"] for deploy in found} & {"queued", "running"}:
                return found
            if time.monotonic() > deadline:
                raise TimeoutError(f"After {seconds:.0f} s: {found}\n{self.log()}")
            self.check_processes()
            time.sleep(0.5)

    def wait_for(self, true: Any, seconds: float, what: str) -> None:
        """Poll until ``true()`` is; raise ``TimeoutError`` with the logs."""
        deadline = time.monotonic() + seconds
        while not true():
            self.check_processes()
            if time.monotonic() > deadline:
                raise TimeoutError(f"Not within {seconds:.0f} s: {what}\n{self.log()}")
            time.sleep(0.1)

    def check_processes(self) -> None:
        """Raise where a process has ended."""
        for child in self.children:
            assert child.running, f"{child.name} ended\n{self.log()}"

    def log(self) -> str:
        """Return the end of both logs."""
        texts = [(self.folder / f"{child.name}.log").read_text(errors="replace")[-4000:] for child in self.children]
        return "\n".join(texts)

    def _ready(self) -> bool:
        try:
            with urllib.request.urlopen(f"{self.url}/readyz", timeout=10) as answer:
                return bool(answer.status == 200)
        except urllib.error.HTTPError as answer:
            answer.close()
            return False
        except OSError:
            return False
