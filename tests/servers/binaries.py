"""Where the binaries of the test servers are, and what happens when one is missing."""

import os
import shutil
from pathlib import Path

import pytest

FOLDERS = ("usr/sbin", "usr/bin", "usr/lib/proftpd")


def installation() -> Path:
    """Return the folder that Debian packages were unpacked into, for machines that do not install servers."""
    return Path(os.environ.get("FTP_DEPLOY_TEST_SERVERS", "/opt/ftp-servers"))


def find(binary: str) -> str | None:
    """Return the full path of a binary, from PATH, the system's folders or the unpacked packages."""
    unpacked = [str(installation() / folder) for folder in FOLDERS]
    path = os.pathsep.join([os.environ.get("PATH", ""), "/usr/sbin", "/usr/local/sbin", *unpacked])
    return shutil.which(binary, path=path)


def need(binary: str, package: str) -> str:
    """Return the path of a binary. Missing: the test is skipped, naming the package; a failure where CI is set."""
    found = find(binary)
    if found:
        return found
    message = f"{binary} is missing: install the Debian package {package}"
    if os.environ.get("CI", "").lower() == "true":
        pytest.fail(message)
    pytest.skip(message)
