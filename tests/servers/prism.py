"""Prism: a mock server that checks every request against an API description and answers with its examples.

It is an npm package. It is installed on first use into a cache folder (``FTP_DEPLOY_TEST_CACHE``, default
``~/.cache/django-ftp-deploy``); without node and npm, or without a network at that time, its tests are skipped.
"""

import fcntl
import json
import os
import subprocess
import tempfile
import time
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

import pytest

from tests.servers.base import DEADLINE
from tests.servers.binaries import need
from tests.servers.ports import free_port

PACKAGE = "@stoplight/prism-cli@5.16.0"
ENTRY = Path("node_modules/@stoplight/prism-cli/dist/index.js")
INSTALL_SECONDS = 300


def cache_folder() -> Path:
    """Return where the package is kept between test runs."""
    default = Path.home() / ".cache" / "django-ftp-deploy"
    return Path(os.environ.get("FTP_DEPLOY_TEST_CACHE", str(default))) / "prism"


def installed() -> Path:
    """Return the program, installing the package on first use; one test process at a time."""
    npm = need("npm", "npm")
    folder = cache_folder()
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (folder / ENTRY).exists():
            command = [npm, "install", "--no-audit", "--no-fund", "--prefix", str(folder), PACKAGE]
            done = subprocess.run(command, capture_output=True, text=True, timeout=INSTALL_SECONDS, check=False)
            if done.returncode:
                pytest.skip(f"npm could not install {PACKAGE}: {done.stderr.strip()[-200:]}")
    return folder / ENTRY


class Prism:
    """One running mock server for one description, mounted at ``base_path``."""

    def __init__(self, description: Path, base_path: str = "") -> None:
        self.description = description
        self.base_path = base_path
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"

    def __enter__(self) -> "Prism":
        node, program = need("node", "nodejs"), installed()
        self._folder = tempfile.TemporaryDirectory(prefix="prism-")
        folder = Path(self._folder.name)
        text = folder / "description.json"
        text.write_text(json.dumps(self._mounted()))
        self._log = (folder / "prism.log").open("wb")
        command = [node, str(program), "mock", "-h", "127.0.0.1", "-p", str(self.port), str(text)]
        self._process = subprocess.Popen(command, stdout=self._log, stderr=subprocess.STDOUT, cwd=folder)
        self._wait(folder / "prism.log")
        return self

    def __exit__(self, *error: object) -> None:
        self._process.terminate()
        self._process.wait(DEADLINE)
        self._log.close()
        self._folder.cleanup()

    def _mounted(self) -> dict[str, Any]:
        """Return the description with its paths below the base path: Prism takes no notice of a base path itself."""
        description: dict[str, Any] = json.loads(self.description.read_bytes())
        if "swagger" in description:
            description |= {"host": f"127.0.0.1:{self.port}", "basePath": "/", "schemes": ["http"]}
        else:
            description["servers"] = [{"url": self.url}]
        description["paths"] = {f"{self.base_path}{path}": item for path, item in description["paths"].items()}
        without_next_page: dict[str, Any] = drop(description, {"next", "Link"})
        return without_next_page

    def _wait(self, log: Path) -> None:
        """Wait until the server answers; reading a description takes it some seconds."""
        end = time.monotonic() + DEADLINE * 3
        while time.monotonic() < end:
            try:
                urllib.request.urlopen(self.url, timeout=5).close()
            except urllib.error.HTTPError as error:
                error.close()
                return
            except OSError:
                if self._process.poll() is not None:
                    break
                time.sleep(0.1)
            else:
                return
        self.__exit__()
        pytest.fail(f"Prism does not answer: {log.read_text()[-500:] if log.exists() else 'no log'}")


def drop(value: Any, names: set[str]) -> Any:
    """Return a JSON value without the fields of these names: an example's next page leads to another host."""
    if isinstance(value, dict):
        return {key: drop(item, names) for key, item in value.items() if key not in names}
    return [drop(item, names) for item in value] if isinstance(value, list) else value
