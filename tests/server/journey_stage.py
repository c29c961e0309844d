"""The demo's processes (forge, FTP server, web, worker) for a browser test, without the demo's own story."""

import os
import re
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from ftp_deploy.standalone.demo.clone import Clone
from ftp_deploy.standalone.demo.compare import Difference, committed_files, compare, served_files
from ftp_deploy.standalone.demo.stage import SITE_PATH, USER, Stage
from ftp_deploy.standalone.processes import ftp_deploy_command

ROOT = Path(__file__).resolve().parents[2]
SECONDS = 60.0
"""Within which anything has to happen, also on a busy machine."""


class JourneyStage(Stage):
    """The demo's stage with the settings of the ready project, whatever the tests' own settings are."""

    @property
    def environment(self) -> dict[str, str]:
        """The demo's settings; the forge's repository is read by a worker that checks services at once."""
        return {
            **super().environment,
            "DJANGO_SETTINGS_MODULE": "ftp_deploy.standalone.settings",
            "PYTHONPATH": str(ROOT),
            "PYTHONUNBUFFERED": "1",
            "FTP_DEPLOY_RETRY_SECONDS": "1",
        }

    def run(self, *arguments: str) -> str:
        """Run an ``ftp-deploy`` command to its end and return what it printed."""
        done = subprocess.run(
            ftp_deploy_command(*arguments),
            env={**os.environ, **self.environment},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout.strip()

    def clone(self) -> Clone:
        """Return a clone of the forge's repository, ready to commit and push."""
        made = Clone(self.work, self.remote, self.branch)
        made.make()
        return made

    def difference(self, commit: str, folder: str = SITE_PATH) -> Difference:
        """Read the FTP server back and compare it with a commit."""
        served = served_files(self.ports["ftp"], USER, self.ftp_password, folder)
        return compare(committed_files(self.bare_repository, commit), served)

    def mails(self) -> str:
        """Return what the worker printed: with the console backend that is every mail."""
        return (self.logs / "worker.log").read_text(encoding="utf-8", errors="replace")


def until(true: Callable[[], Any], what: str, seconds: float = SECONDS) -> None:
    """Ask until it is true; fail with ``what`` after ``seconds``."""
    ends = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < ends, what
        time.sleep(0.1)


def number_in(text: str) -> int:
    """Return the first whole number of a text."""
    found = re.search(r"\d+", text)
    assert found, text
    return int(found[0])
